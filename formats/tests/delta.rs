//! Deltas: they make the right bytes, foreign programs read them, and damage is found.
#![expect(clippy::unwrap_used, reason = "tests")]

mod judge;

use berth_formats::{
    data::Data,
    delta::{
        chunks::{self, Settings},
        cuts,
        index::Index,
        marks::{Mark, RUN_BLOCKS, Run},
        patch::{self, Delta},
    },
    erofs::{self, Body, FileSystem, Inode, InodeIndex, read::Image},
    node::Meta,
    verity,
};
use judge::judge;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};
use tempfile::TempDir;

/// Bytes similar to a program: words that repeat, and some random bytes.
fn program(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 12
    };
    let words: Vec<[u8; 4]> = (0..600).map(|_| random().to_le_bytes()).collect();
    (0..len / 4).flat_map(|_| words[usize::try_from(random()).unwrap() % words.len()]).collect()
}

/// An EROFS image, as a file, with files at paths FOLDER/NAME.
fn image(folder: &Path, name: &str, files: &[(&str, &str, Vec<u8>)]) -> File {
    let inode = |body, mode| Inode { meta: Meta::root(mode), body };
    let mut inodes = Vec::new();
    let mut folders: BTreeMap<&str, BTreeMap<Vec<u8>, InodeIndex>> = BTreeMap::new();
    for (folder, file, content) in files {
        folders.entry(folder).or_default().insert(file.as_bytes().to_vec(), InodeIndex(inodes.len()));
        inodes.push(inode(Body::File(Data::from(content.clone())), 0o644));
    }
    let mut root = BTreeMap::new();
    for (folder, names) in folders {
        root.insert(folder.as_bytes().to_vec(), InodeIndex(inodes.len()));
        inodes.push(inode(Body::Directory(names), 0o755));
    }
    let at = InodeIndex(inodes.len());
    inodes.push(inode(Body::Directory(root), 0o755));
    let fs = FileSystem { inodes, root: at, epoch: 1, uuid: [7; 16], label: String::new() };
    let file = File::options().read(true).write(true).create(true).truncate(true).open(folder.join(name)).unwrap();
    erofs::write(&fs, &file).unwrap();
    file
}

/// Two versions with all kinds of changes to files.
fn versions(folder: &Path) -> (File, File) {
    let library = program(1, 300_000);
    let mut changed = library.clone();
    changed[5000..].iter_mut().step_by(1000).for_each(|byte| *byte = byte.wrapping_add(16));
    changed.splice(100_000..100_000, program(9, 5000));
    let module = program(2, 50_000);
    let mut newer = module.clone();
    newer[777] ^= 1;
    let (same, zeros) = (program(3, 200_000), [program(4, 1 << 20), vec![0; 1 << 20], program(5, 4096)].concat());
    let old = [
        ("lib", "libx.so.1.2", library),
        ("lib", "same", same.clone()),
        ("m-6.1-7", "mod.ko", module),
        ("lib", "zeros", zeros.clone()),
        ("lib", "gone", program(6, 70_000)),
        ("lib", "small", b"one".to_vec()),
    ];
    let new = [
        ("lib", "libx.so.1.3", changed),
        ("opt", "renamed", same),
        ("m-6.1-10", "mod.ko", newer),
        ("lib", "zeros", zeros),
        ("opt", "came", program(8, 60_000)),
        ("lib", "small", b"two".to_vec()),
    ];
    (image(folder, "old", &old), image(folder, "new", &new))
}

fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).unwrap()
}

fn size(len: u64) -> usize {
    usize::try_from(len).unwrap()
}

const SETTINGS: Settings = Settings { level: 3, chunk_blocks: 16, prefix_blocks: 32, group_blocks: 40 };

fn chunked(folder: &Path) -> (Vec<u8>, Index, Vec<u8>) {
    let (_, file) = versions(folder);
    let cuts = cuts::of(&Image::open(file.try_clone().unwrap(), 0).unwrap()).unwrap();
    let mut out = Vec::new();
    let index = chunks::write(&file, file.metadata().unwrap().len(), &cuts, SETTINGS, &mut out).unwrap();
    (bytes(folder, "new"), index, out)
}

#[test]
fn chunks_make_the_image_and_begin_at_files() {
    let folder = TempDir::new().unwrap();
    let (image, index, file) = chunked(folder.path());
    assert_eq!((index.image_len(), index.chunks_len()), (image.len() as u64, file.len() as u64));
    let mut made = Vec::new();
    for (number, chunk) in index.chunks().iter().enumerate() {
        assert!(chunk.blocks <= SETTINGS.chunk_blocks);
        assert_eq!(index.chunk_of(chunk.first), Some(number));
        assert_eq!(index.chunk_of(chunk.range().end - 1), Some(number));
        let prefix = index.prefix_of(chunk);
        let compressed = &file[size(chunk.offset)..][..size(chunk.compressed.into())];
        let mut out = vec![0; size(chunk.len())];
        chunks::decode(&made[size(prefix.start)..size(prefix.end)], compressed, &mut out).unwrap();
        made.extend(out);
    }
    assert!(made == image);
    assert_eq!(index.chunk_of(image.len() as u64 / 4096), None);
    let digests = verity::block_digests(&image);
    let runs = 0..index.runs().len();
    assert_eq!(index.blocks_of(&runs), 0..digests.len() as u64);
    let marks = index.marks_of(&index.blocks_of(&runs));
    assert_eq!(marks.end, file.len() as u64);
    let marks: Vec<Mark> = file[size(marks.start)..].as_chunks().0.iter().map(|mark| Mark(*mark)).collect();
    assert!(marks.len() == digests.len() && marks.iter().zip(&digests).all(|(mark, digest)| mark.0 == digest[..8]));
    assert!(index.runs().iter().zip(marks.chunks(RUN_BLOCKS)).all(|(run, marks)| *run == Run::of(marks)));
    // The library has a chunk that begins with it.
    let library = Image::open(File::open(folder.path().join("new")).unwrap(), 0).unwrap();
    let (_, node) = library.walk().unwrap().into_iter().find(|(path, _)| path.ends_with(b"libx.so.1.3")).unwrap();
    let start = library.extents(&node).unwrap()[0].start / 4096;
    assert_eq!(index.chunks()[index.chunk_of(start).unwrap()].first, start);
}

#[test]
fn zstd_decodes_chunks_and_sha256sum_confirms_their_digests() {
    let folder = TempDir::new().unwrap();
    let (image, index, file) = chunked(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let numbers = [0, 1, index.chunks().len() / 2, index.chunks().len() - 1];
    for chunk in numbers.map(|number| &index.chunks()[number]) {
        let prefix = index.prefix_of(chunk);
        fs::write(path("prefix"), &image[size(prefix.start)..size(prefix.end)]).unwrap();
        fs::write(path("chunk.zst"), &file[size(chunk.offset)..][..size(chunk.compressed.into())]).unwrap();
        let patch_from = format!("--patch-from={}", path("prefix"));
        let from: &[&str] = if prefix.is_empty() { &[] } else { &[&patch_from] };
        judge("zstd", &[&["-d", "-f", "-q", &path("chunk.zst"), "-o", &path("chunk")], from].concat());
        assert!(bytes(folder.path(), "chunk") == image[size(chunk.first * 4096)..][..size(chunk.len())]);
        assert!(judge("sha256sum", &[&path("chunk.zst")]).starts_with(&chunk.digest.to_string()));
    }
    // The same for runs of marks.
    let marks = index.marks_of(&index.blocks_of(&(1..2)));
    fs::write(path("marks"), &file[size(marks.start)..size(marks.end)]).unwrap();
    let digest: String = index.runs()[1].digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(judge("sha256sum", &[&path("marks")]).starts_with(&digest));
}

#[test]
fn chunks_do_not_depend_on_threads_or_time() {
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let ((_, index, file), (_, again, same)) = (chunked(one.path()), chunked(two.path()));
    assert!(index == again && file == same);
}

/// The bytes before a chunk may look like a dictionary of zstd.
#[test]
fn blocks_that_look_like_dictionaries_are_decoded() {
    let folder = TempDir::new().unwrap();
    let mut image = program(30, 100 * 4096);
    image.chunks_mut(4096).for_each(|block| block[..4].copy_from_slice(&[0x37, 0xa4, 0x30, 0xec]));
    fs::write(folder.path().join("image"), &image).unwrap();
    let (source, mut file) = (File::open(folder.path().join("image")).unwrap(), Vec::new());
    let index = chunks::write(&source, image.len() as u64, &[], SETTINGS, &mut file).unwrap();
    for chunk in index.chunks() {
        let (prefix, mut out) = (index.prefix_of(chunk), vec![0; size(chunk.len())]);
        let compressed = &file[size(chunk.offset)..][..size(chunk.compressed.into())];
        chunks::decode(&image[size(prefix.start)..size(prefix.end)], compressed, &mut out).unwrap();
        assert!(out == image[size(chunk.first * 4096)..][..out.len()]);
    }
}

#[test]
fn damaged_chunks_and_indices_are_found() {
    let folder = TempDir::new().unwrap();
    let (image, index, file) = chunked(folder.path());
    let chunk = &index.chunks()[index.chunks().len() / 2];
    let compressed = &file[size(chunk.offset)..][..size(chunk.compressed.into())];
    let prefix = index.prefix_of(chunk);
    let prefix = &image[size(prefix.start)..size(prefix.end)];
    let decode = |compressed: &[u8], len: usize| chunks::decode(prefix, compressed, &mut vec![0; len]);
    decode(compressed, size(chunk.len())).unwrap();
    decode(compressed, size(chunk.len()) - 1).unwrap_err();
    decode(compressed, size(chunk.len()) + 1).unwrap_err();
    for len in (0..compressed.len()).step_by(3) {
        decode(&compressed[..len], size(chunk.len())).unwrap_err();
    }
    // Check only that decoding ends within its bounds: the caller has checked the digest before.
    for bit in (0..compressed.len() * 8).step_by(5) {
        let mut damaged = compressed.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        drop(decode(&damaged, size(chunk.len())));
    }

    let good = index.to_bytes();
    assert!(Index::parse(&good).unwrap() == index);
    for len in (0..good.len()).step_by(3) {
        Index::parse(&good[..len]).unwrap_err();
    }
    Index::parse(&[good.as_slice(), &[0]].concat()).unwrap_err();
    for bit in 0..32 * 8 {
        let mut damaged = good.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let parsed = Index::parse(&damaged);
        // Another prefix or group makes a valid index, but its chunks do not decode.
        let prefix = (24..32).contains(&(bit / 8));
        assert!(parsed.is_err() || prefix, "bit {bit}");
    }
    for length in [[0; 3], [0xff; 3]] {
        let mut damaged = good.clone();
        damaged[32..35].copy_from_slice(&length);
        let error = Index::parse(&damaged).unwrap_err().to_string();
        assert!(error.contains("chunk 0: expected 1 to"), "{error}");
    }
    let mut damaged = good;
    damaged[35] ^= 1;
    assert!(Index::parse(&damaged).unwrap_err().to_string().contains("blocks of all chunks"));
}

fn delta(folder: &Path) -> (Vec<u8>, [Vec<u8>; 2]) {
    let (old, new) = versions(folder);
    let uki = program(20, 40_000);
    let newer = [&uki[..10_000], b"root=1", &uki[10_003..]].concat();
    let mut out = Vec::new();
    patch::make(&old, &new, &uki, &newer, &mut out).unwrap();
    (out, [uki, newer])
}

/// Root file system and kernel image.
fn apply(delta: impl Read, old: &[u8], uki: &[u8]) -> Result<[Vec<u8>; 2], patch::ApplyError> {
    let (mut root, mut kernel) = (Vec::new(), Vec::new());
    let delta = Delta::open(delta)?;
    delta.root(old, &mut root)?.uki(uki, &mut kernel)?;
    Ok([root, kernel])
}

#[test]
fn a_static_delta_makes_the_new_version_and_is_small() {
    let folder = TempDir::new().unwrap();
    let (delta, [uki, newer]) = delta(folder.path());
    let [root, kernel] = apply(delta.as_slice(), &bytes(folder.path(), "old"), &uki).unwrap();
    fs::write(folder.path().join("made"), root).unwrap();
    judge(
        "cmp",
        &["made", "new"]
            .map(|name| folder.path().join(name).to_str().unwrap().to_owned())
            .each_ref()
            .map(String::as_str),
    );
    assert!(kernel == newer);
    // New are 60 KB that repeat 600 words, and 5 KB of the same kind. All other changes are a few bytes.
    fs::write(folder.path().join("came"), program(8, 60_000)).unwrap();
    let path = folder.path().join("came");
    judge("xz", &["-9", "-k", path.to_str().unwrap()]);
    let came = bytes(folder.path(), "came.xz").len();
    assert!(delta.len() < came * 65 / 60 + 4000, "{} bytes, of which {came} for what came", delta.len());
}

#[test]
fn xz_unpacks_a_static_delta() {
    let folder = TempDir::new().unwrap();
    let (delta, _) = delta(folder.path());
    let path = folder.path().join("sections.xz");
    fs::write(&path, &delta[48..]).unwrap();
    judge("xz", &["-d", path.to_str().unwrap()]);
    let sections = bytes(folder.path(), "sections");
    let lens = sections[..12].as_chunks().0.iter().map(|len| u32::from_le_bytes(*len)).collect::<Vec<_>>();
    assert!(lens.iter().all(|len| *len <= 1 << 20) && lens[0] > 0, "{lens:?}");
}

#[test]
fn a_damaged_static_delta_is_an_error_or_makes_other_bytes() {
    let folder = TempDir::new().unwrap();
    let small = |content: &[u8]| vec![("a", "b", content.to_vec())];
    let (old, new) = (program(1, 9000), [program(1, 8000), program(2, 2000)].concat());
    let files = [image(folder.path(), "old", &small(&old)), image(folder.path(), "new", &small(&new))];
    let mut delta = Vec::new();
    patch::make(&files[0], &files[1], b"old kernel", b"new kernel", &mut delta).unwrap();
    let (old, new) = (bytes(folder.path(), "old"), bytes(folder.path(), "new"));
    assert!(apply(delta.as_slice(), &old, b"old kernel").unwrap() == [new.clone(), b"new kernel".to_vec()]);
    for len in 0..delta.len() {
        apply(&delta[..len], &old, b"old kernel").unwrap_err();
    }
    for bit in 0..delta.len() * 8 {
        let mut damaged = delta.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok([root, kernel]) = apply(damaged.as_slice(), &old, b"old kernel") {
            assert_eq!((root.len(), kernel.len()), (new.len(), 10), "bit {bit}");
        }
    }
    // With the wrong old version the result is wrong, and the caller's digest shows it. A shorter old version is an error.
    let error = apply(delta.as_slice(), &old[..4096], b"old kernel").unwrap_err().to_string();
    assert!(error.contains("of the old root file system"), "{error}");
}

/// A delta with these unpacked sections.
fn crafted(new_root: u64, sections: &[u8], dictionary: u32) -> Vec<u8> {
    use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
    let mut out = [b"berthdlt".as_slice(), &1_u64.to_le_bytes()].concat();
    out.extend([8192, new_root, 0, 0].iter().flat_map(|len: &u64| len.to_le_bytes()));
    let mut options = LzmaOptions::new_preset(1).unwrap();
    options.dict_size(dictionary);
    let stream = Stream::new_stream_encoder(Filters::new().lzma2(&options), Check::None).unwrap();
    let mut packed = liblzma::read::XzEncoder::new_stream(sections, stream);
    packed.read_to_end(&mut out).unwrap();
    out
}

/// A section of steps, differences and new bytes.
fn section(steps: &[u8], differences: &[u8], new: &[u8]) -> Vec<u8> {
    let parts = [steps, differences, new];
    let lens = parts.iter().flat_map(|part| u32::try_from(part.len()).unwrap().to_le_bytes());
    lens.chain(parts.concat()).collect()
}

#[test]
fn hostile_static_deltas_are_refused_by_name() {
    let old = [5; 8192];
    let apply = |delta: Vec<u8>| match apply(delta.as_slice(), &old, b"") {
        Ok([root, _]) => format!("{root:?}"),
        // The error with its cause.
        Err(error) => {
            format!("{error} {}", std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default())
        }
    };
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let made = |sections: Vec<u8>| apply(crafted(4, &sections, 1 << 20));
    assert_eq!(made(section(&[0, 1, 2, 1], &[1, 255], &[9])), "[5, 6, 4, 9]");
    assert_eq!(made(section(&[0, 2, 0, 0, 3, 2, 0, 0], &[], &[])), "[5, 5, 5, 5]", "back and on");
    let cases: [(&str, Vec<u8>); 12] = [
        ("a step that makes nothing", section(&[0, 0, 0, 0], &[], &[])),
        ("too much is copied", section(&[0, 5, 0, 0], &[], &[])),
        ("lengths overflow", section(&[&[0][..], &huge, &huge, &[1]].concat(), &[], &[])),
        ("before the old bytes", section(&[1, 1, 0, 0], &[], &[])),
        ("behind the old bytes", section(&[0xfe, 0x7f, 4, 0, 0], &[], &[])),
        ("far behind", section(&[&huge[..], &[4, 0, 0]].concat(), &[], &[])),
        ("a number too long", section(&[&[0x80; 10][..], &[0, 4, 0, 0]].concat(), &[], &[])),
        ("half a step", section(&[0, 4], &[], &[])),
        ("differences that lack", section(&[0, 0, 4, 0], &[1], &[])),
        ("new bytes that lack", section(&[0, 0, 0, 4], &[], &[1, 2])),
        ("bytes that nobody wants", section(&[0, 4, 0, 0], &[], &[1])),
        ("no steps", section(&[], &[1], &[])),
    ];
    for (what, sections) in cases {
        let said = made(sections);
        assert!(
            said.starts_with("static delta: ") && said.contains("of the root file system: expected"),
            "{what}: {said}"
        );
    }
    let mut large = section(&[0, 4, 0, 0], &[], &[]);
    large[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(made(large).contains("section at byte 0 of the root file system: expected at most 1048576"));
    assert!(made([section(&[0, 4, 0, 0], &[], &[]), vec![0]].concat()).contains("rest at byte 0 of the kernel image"));
    // A dictionary that is larger than a host's memory limit.
    let said = apply(crafted(4, &section(&[0, 4, 0, 0], &[], &[]), 64 << 20));
    assert!(said.contains("cannot read the static delta") && said.contains("memory"), "{said}");
    // An impossible length of an image.
    let said = apply(crafted(u64::MAX, &[], 1 << 20));
    assert!(said.contains("new root file system's length at byte 0 of the header"), "{said}");
}

/// A writer that fails after some bytes.
struct Full(usize);

impl io::Write for Full {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(buf.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failed_write_differs_from_a_bad_delta() {
    let folder = TempDir::new().unwrap();
    let (delta, _) = delta(folder.path());
    let old = bytes(folder.path(), "old");
    let failed = Delta::open(delta.as_slice()).unwrap().root(old.as_slice(), &mut Full(100_000)).map(drop);
    assert!(matches!(failed, Err(patch::ApplyError::Output { part: "root file system", .. })), "{failed:?}");
}
