//! Makes and applies deltas, for ci/bench.

use berth_formats::{
    delta::{
        chunks, cuts,
        index::{Chunk, Index},
        marks::{Mark, RUN_BLOCKS, Window, requests},
        patch,
    },
    erofs::read::Image,
    verity,
};
use std::{
    collections::BTreeSet,
    env,
    error::Error,
    fs,
    fs::File,
    io::{self, Write},
    ops::Range,
    os::unix::fs::FileExt,
};

const USAGE: &str = "usage: delta chunks IMAGE CHUNKS INDEX | unchunk CHUNKS INDEX IMAGE | missing CHUNKS INDEX OLD | \
                     make OLD NEW OLD_UKI NEW_UKI DELTA | apply DELTA OLD OLD_UKI NEW NEW_UKI";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["chunks", image, chunks, index] => {
            let file = File::open(image)?;
            let cuts = cuts::of(&Image::open(file.try_clone()?, 0)?)?;
            let settings = chunks::Settings::default();
            let made = chunks::write(&file, file.metadata()?.len(), &cuts, settings, &mut File::create(chunks)?)?;
            Ok(fs::write(index, made.to_bytes())?)
        }
        ["unchunk", chunks, index, image] => {
            let (chunks, index) = (File::open(chunks)?, Index::parse(&fs::read(index)?)?);
            let mut image = File::options().create(true).truncate(true).read(true).write(true).open(image)?;
            for chunk in index.chunks() {
                let prefix = index.prefix_of(chunk);
                let mut before = vec![0; usize::try_from(prefix.end - prefix.start)?];
                image.read_exact_at(&mut before, prefix.start)?;
                let mut compressed = vec![0; usize::try_from(chunk.compressed)?];
                chunks.read_exact_at(&mut compressed, chunk.offset)?;
                let mut out = vec![0; usize::try_from(chunk.len())?];
                chunks::decode(&before, &compressed, &mut out)?;
                image.write_all(&out)?;
            }
            Ok(())
        }
        ["missing", chunks, index, old] => {
            let (chunks, index, old) = (fs::read(chunks)?, Index::parse(&fs::read(index)?)?, fs::read(old)?);
            let old: Vec<Mark> = verity::block_digests(&old).iter().map(Mark::of).collect();
            let Range { start, end } = index.marks_of(&index.blocks_of(&(0..index.runs().len())));
            let marks = &chunks[usize::try_from(start)?..usize::try_from(end)?];
            let marks: Vec<Mark> = marks.as_chunks().0.iter().map(|mark| Mark(*mark)).collect();
            let (mut window, mut keys) = (Window::default(), BTreeSet::new());
            keys.extend(old.iter().filter_map(|mark| window.push(*mark)));
            let runs = index.runs().iter().zip(marks.chunks(RUN_BLOCKS));
            let known: Vec<bool> = runs.map(|(run, its)| its.len() == RUN_BLOCKS && keys.contains(&run.key)).collect();
            let asked = requests(&known).into_iter().map(|runs| index.marks_of(&index.blocks_of(&runs)));
            let have: BTreeSet<Mark> = old.into_iter().collect();
            let block = |block| usize::try_from(block).map(|block| marks[block]);
            let lacks = |chunk: &&Chunk| chunk.range().any(|at| block(at).is_ok_and(|mark| !have.contains(&mark)));
            let fetched: u64 = index.chunks().iter().filter(lacks).map(|chunk| u64::from(chunk.compressed)).sum();
            Ok(writeln!(io::stdout(), "{fetched} {}", asked.map(|range| range.end - range.start).sum::<u64>())?)
        }
        ["make", old, new, old_uki, new_uki, delta] => {
            let (old, new, out) = (File::open(old)?, File::open(new)?, File::create(delta)?);
            Ok(patch::make(&old, &new, &fs::read(old_uki)?, &fs::read(new_uki)?, out)?)
        }
        ["apply", delta, old, old_uki, new, new_uki] => {
            let delta = patch::Delta::open(File::open(delta)?)?;
            let kernel = delta.root(&File::open(old)?, &mut File::create(new)?)?;
            Ok(kernel.uki(&File::open(old_uki)?, &mut File::create(new_uki)?)?)
        }
        _ => Err(USAGE.into()),
    }
}
