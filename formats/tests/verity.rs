//! dm-verity trees, judged by veritysetup.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::judge::judge;
use berth_contract::digest::{RootHash, Sha256};
use berth_formats::verity::{
    BLOCK, Fault, Superblock, TOP_BLOCK_OFFSET, TreeWriter, VerifyError, block_digests, build, file_digest,
    root_hash_of, survey, verify,
};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

const UUID: [u8; 16] = *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef";
const UUID_TEXT: &str = "01234567-89ab-cdef-0123-456789abcdef";

/// A file of different blocks; a few of them are zeros, a few are holes.
fn data(folder: &Path, blocks: u64) -> PathBuf {
    let path = folder.join("data");
    let file = File::create(&path).unwrap();
    file.set_len(blocks * BLOCK).unwrap();
    for block in (0..blocks).filter(|block| block % 7 != 5) {
        let mut bytes = [0; 4096];
        if block % 11 != 3 {
            bytes.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&(block * 0x1_0001).to_le_bytes()));
            bytes[0] |= 1;
        }
        file.write_all_at(&bytes, block * BLOCK).unwrap();
    }
    path
}

/// `veritysetup format` into `tree`: the root hash it prints.
fn format(data: &Path, tree: &Path, salt: &str) -> RootHash {
    let (salt, uuid) = (format!("--salt={salt}"), format!("--uuid={UUID_TEXT}"));
    let text = judge("veritysetup", &["format", &salt, &uuid, data.to_str().unwrap(), tree.to_str().unwrap()]);
    let root = text.lines().find_map(|line| line.strip_prefix("Root hash:")).unwrap();
    root.trim().parse().unwrap()
}

fn judge_refuses(data: &Path, tree: &Path, root: &RootHash) -> bool {
    let run = Command::new("veritysetup").arg("verify").args([data, tree]).arg(root.to_string()).output().unwrap();
    !run.status.success()
}

fn open(path: &Path) -> File {
    File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn flip(file: &File, at: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

#[test]
fn trees_are_those_of_veritysetup_byte_for_byte() {
    berth_judge::needs!("veritysetup");
    for blocks in [1, 2, 3, 127, 128, 129, 1000, 16_384, 16_385, 20_000] {
        let folder = TempDir::new().unwrap();
        let data = data(folder.path(), blocks);
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        // Old bytes of the file must not remain.
        fs::write(&ours, vec![0xff; 3_000_000]).unwrap();
        let tree = build(&open(&data), blocks * BLOCK, UUID, &open(&ours)).unwrap();
        assert_eq!(tree.root_hash, format(&data, &theirs, "-"), "{blocks}");
        let (mut ours, theirs) = (fs::read(&ours).unwrap(), fs::read(&theirs).unwrap());
        assert!(ours == theirs, "{blocks}");
        assert_eq!(tree.size, ours.len() as u64);
        // A slot is found in this way: from the superblock and one block.
        let superblock = Superblock::parse(&ours).unwrap();
        assert_eq!((superblock.data_size(), superblock.tree_size()), (blocks * BLOCK, tree.size));
        assert_eq!(ours[..512], superblock.to_bytes());
        let top = if blocks == 1 {
            fs::read(&data).unwrap()
        } else {
            ours.split_off(usize::try_from(TOP_BLOCK_OFFSET).unwrap())
        };
        assert_eq!(root_hash_of(&superblock, top[..4096].try_into().unwrap()), tree.root_hash);
    }
}

#[test]
fn trees_with_salt_are_read() {
    berth_judge::needs!("veritysetup");
    let folder = TempDir::new().unwrap();
    let data = data(folder.path(), 300);
    let tree = folder.path().join("tree");
    let root = format(&data, &tree, "00c0ffee");
    let bytes = fs::read(&tree).unwrap();
    let superblock = Superblock::parse(&bytes).unwrap();
    assert_eq!(superblock.salt, [0, 0xc0, 0xff, 0xee]);
    assert_eq!(root_hash_of(&superblock, bytes[4096..8192].try_into().unwrap()), root);
    verify(&open(&data), &open(&tree), &root).unwrap();
}

#[test]
fn one_changed_bit_is_found_by_us_and_by_veritysetup() {
    berth_judge::needs!("veritysetup");
    let folder = TempDir::new().unwrap();
    let path = data(folder.path(), 20_000);
    let tree_path = folder.path().join("tree");
    let (data, tree) = (open(&path), open(&tree_path));
    let root = build(&data, 20_000 * BLOCK, UUID, &tree).unwrap().root_hash;
    let found = || match verify(&data, &tree, &root) {
        Ok(()) => None,
        Err(VerifyError::Mismatch { fault, block, expected, found }) => {
            assert_ne!(expected, found);
            Some((fault, block))
        }
        Err(error) => panic!("{error}"),
    };
    judge("veritysetup", &["verify", path.to_str().unwrap(), tree_path.to_str().unwrap(), &root.to_string()]);
    assert_eq!(found(), None);
    // 20 000 data blocks, 157 leaves, 2 blocks above them, the top.
    for block in [0, 5, 812, 19_999] {
        flip(&data, block * BLOCK + 1234);
        assert_eq!(found(), Some((Fault::Data, block)));
        assert!(judge_refuses(&path, &tree_path, &root));
        flip(&data, block * BLOCK + 1234);
    }
    for block in [1, 2, 3, 4, 160] {
        flip(&tree, block * BLOCK + 7);
        assert_eq!(found(), Some((Fault::Tree, block)));
        assert!(judge_refuses(&path, &tree_path, &root));
        flip(&tree, block * BLOCK + 7);
    }
    // The first of several is named, whichever thread finds it.
    [19_000, 812, 813, 4000].iter().for_each(|block| flip(&data, block * BLOCK));
    assert_eq!(found(), Some((Fault::Data, 812)));
    let text = verify(&data, &tree, &root).unwrap_err().to_string();
    assert!(text.starts_with("verity data: block 812 at byte 3325952: expected "), "{text}");
    let other = RootHash(Sha256([9; 32]));
    assert!(matches!(verify(&data, &tree, &other), Err(VerifyError::Mismatch { fault: Fault::Tree, block: 1, .. })));
}

#[test]
fn missing_bytes_are_an_error() {
    let folder = TempDir::new().unwrap();
    let path = data(folder.path(), 200);
    let (data, tree) = (open(&path), open(&folder.path().join("tree")));
    for len in [0, 1, 4095, 4097] {
        assert!(build(&data, len, UUID, &tree).is_err());
    }
    let error = build(&data, 201 * BLOCK, UUID, &tree).unwrap_err();
    assert_eq!(error.to_string(), "verity: cannot read data at byte 524288");
    let root = build(&data, 200 * BLOCK, UUID, &tree).unwrap().root_hash;
    data.set_len(199 * BLOCK).unwrap();
    assert!(matches!(verify(&data, &tree, &root), Err(VerifyError::Io(_))));
    tree.set_len(2 * BLOCK).unwrap();
    assert!(matches!(verify(&data, &tree, &root), Err(VerifyError::Io(_))));
    tree.set_len(511).unwrap();
    assert!(matches!(verify(&data, &tree, &root), Err(VerifyError::Io(_))));
    tree.write_all_at(&[0; 4096], 0).unwrap();
    let error = verify(&data, &tree, &root).unwrap_err().to_string();
    assert!(error.starts_with("verity superblock: signature: expected verity, found "), "{error}");
}

#[test]
fn digests_of_files_are_those_of_fsverity() {
    berth_judge::needs!("fsverity");
    let folder = TempDir::new().unwrap();
    for blocks in [1, 2, 128, 129, 1000, 128 * 128 + 1] {
        let path = data(folder.path(), blocks);
        let printed = judge("fsverity", &["digest", "--compact", path.to_str().unwrap()]);
        let found = file_digest(&open(&path), blocks * BLOCK).unwrap();
        assert_eq!(found.to_string(), printed.trim(), "{blocks}");
    }
    assert!(file_digest(&open(&folder.path().join("data")), BLOCK + 1).is_err());
}

#[test]
fn a_tree_that_is_written_with_its_data_is_the_same() {
    berth_judge::needs!("veritysetup");
    for (blocks, piece) in [(1, 1), (2, 1), (127, 5), (128, 128), (129, 64), (16_384, 100), (16_385, 128), (20_000, 77)]
    {
        let folder = TempDir::new().unwrap();
        let data = data(folder.path(), blocks);
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        let root = format(&data, &theirs, "-");
        fs::write(&ours, vec![0xff; 3_000_000]).unwrap();
        let out = open(&ours);
        let mut tree = TreeWriter::new(blocks * BLOCK, UUID, &out).unwrap();
        for piece in fs::read(&data).unwrap().chunks(piece * 4096) {
            tree.push(&block_digests(piece)).unwrap();
        }
        let (superblock, found) = tree.finish().unwrap();
        assert_eq!(found, root, "{blocks}");
        let mut first = superblock.to_bytes().to_vec();
        first.resize(4096, 0);
        out.write_all_at(&first, 0).unwrap();
        let (ours, theirs) = (fs::read(&ours).unwrap(), fs::read(&theirs).unwrap());
        assert!(ours[..theirs.len()] == theirs, "{blocks}");
        // Nothing after it is written.
        assert!(ours[theirs.len()..].iter().all(|byte| *byte == 0xff));
    }
    let out = tempfile::tempfile().unwrap();
    let mut tree = TreeWriter::new(2 * BLOCK, UUID, &out).unwrap();
    assert!(tree.push(&[[0; 32]; 3]).unwrap_err().cause.to_string().contains("3 digests for 2 data blocks"));
    let mut tree = TreeWriter::new(2 * BLOCK, UUID, &out).unwrap();
    tree.push(&[[0; 32]]).unwrap();
    assert!(tree.finish().unwrap_err().cause.to_string().contains("1 digests for 2 data blocks"));
}

#[test]
fn a_survey_names_every_wrong_block_and_knows_what_is_right() {
    let dir = TempDir::new().unwrap();
    // Three levels: 157 leaves, 2 blocks, 1 top block.
    let path = data(dir.path(), 20_000);
    let tree_path = dir.path().join("tree");
    let root = format(&path, &tree_path, "-");
    let (data, tree) = (open_again(&path), open_again(&tree_path));
    let (whole_data, whole_tree) = (fs::read(&path).unwrap(), fs::read(&tree_path).unwrap());
    let superblock = Superblock::parse(&whole_tree[..512]).unwrap();
    let levels = superblock.levels();
    let look = |root: &RootHash| survey(&data, &tree, &superblock, root, &mut || {});
    assert_eq!((look(&root).damaged(), look(&root).blocks), (0, 20_000 + 157 + 2 + 1));
    let other = RootHash(Sha256([1; 32]));
    assert_eq!((look(&other).lost, look(&other).data.len()), (1, 0), "nothing is known below a wrong top");

    // Wrong blocks of the data: the first, the last, a block of zeros.
    for block in [0, 5, 300, 19_999] {
        flip(&data, block * BLOCK + 77);
    }
    // Wrong blocks of the tree: a leaf and the top, and then a leaf and the block above it.
    let [leaf, middle, top] = [levels[0].offset + 140 * BLOCK, levels[1].offset + BLOCK, levels[2].offset];
    for offsets in [[top, leaf], [middle, leaf]] {
        for offset in offsets {
            flip(&tree, offset + 8);
        }
        let found = look(&root);
        assert_eq!(found.data.keys().copied().collect::<Vec<_>>(), [0, 5, 300, 19_999]);
        for (block, digest) in &found.data {
            let block = usize::try_from(block * BLOCK).unwrap();
            assert_eq!(digest.0, block_digests(&whole_data[block..block + 4096])[0]);
        }
        assert_eq!(found.lost, 0);
        let wrong: Vec<u64> = found.tree.keys().copied().collect();
        assert_eq!(wrong, offsets);
        for (offset, content) in &found.tree {
            let at = usize::try_from(*offset).unwrap();
            assert!(content[..] == whole_tree[at..at + 4096], "{offset}");
            tree.write_all_at(content, *offset).unwrap();
        }
        assert!(fs::read(&tree_path).unwrap() == whole_tree);
    }

    // A leaf that is wrong together with a block below it cannot be computed: its blocks are not judged.
    flip(&tree, levels[0].offset + 2 * BLOCK);
    assert_eq!((look(&root).lost, look(&root).data.len()), (1, 3));
    // A device that ends early.
    data.set_len(19_000 * BLOCK).unwrap();
    assert_eq!(look(&root).data.len(), 3 - 1 + 1000);
}

#[test]
fn a_survey_reads_trees_with_a_salt_and_trees_of_one_block() {
    let dir = TempDir::new().unwrap();
    let tree_path = dir.path().join("tree");
    for (blocks, salt) in [(1, "-"), (1, "abcd"), (2, "abcd"), (300, "abcd")] {
        let path = data(dir.path(), blocks);
        let root = format(&path, &tree_path, salt);
        let (data, tree) = (open_again(&path), open_again(&tree_path));
        let superblock = Superblock::parse(&fs::read(&tree_path).unwrap()[..512]).unwrap();
        let look = || survey(&data, &tree, &superblock, &root, &mut || {});
        assert_eq!(look().damaged(), 0, "{blocks} {salt}");
        flip(&data, (blocks - 1) * BLOCK);
        assert_eq!(look().data.keys().copied().collect::<Vec<_>>(), [blocks - 1], "{blocks} {salt}");
    }
}

fn open_again(path: &Path) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}
