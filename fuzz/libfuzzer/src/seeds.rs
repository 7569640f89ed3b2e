//! `seeds DIR`: writes the seeds of every reader to `DIR/NAME/`, and prints the names of the readers.

#[path = "../../readers/mod.rs"]
mod readers;

use std::{env, fs, path::Path};

fn main() -> std::io::Result<()> {
    let folder = env::args().nth(1).expect("usage: seeds DIR");
    for reader in readers::all() {
        let folder = Path::new(&folder).join(reader.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in (reader.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
        println!("{}", reader.name);
    }
    Ok(())
}
