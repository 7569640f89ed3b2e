//! `verity DATA TREE`: builds a hash tree, for ci/bench.

use std::{env, error::Error, fs::File};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args_os().skip(1);
    let (Some(data), Some(tree)) = (args.next(), args.next()) else { return Err("usage: verity DATA TREE".into()) };
    let data = File::open(data)?;
    let out = File::options().create(true).truncate(true).read(true).write(true).open(tree)?;
    berth_formats::verity::build(&data, data.metadata()?.len(), [0; 16], &out)?;
    Ok(())
}
