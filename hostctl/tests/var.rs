//! The new file system of `hostctl reset --var`. strace shows the order of the writes, and ends the program in between.

use berth_contract::disk::VAR_ERASE_MARK;
use berth_formats::ext4::MIN_SIZE;
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    process::{Command, Output},
};

/// A partition with old content and the mark.
fn partition(path: &Path) -> File {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    file.set_len(MIN_SIZE + (64 << 20)).unwrap();
    file.write_all_at(&[0xa5; 16384], 0).unwrap();
    file.write_all_at(VAR_ERASE_MARK, 0).unwrap();
    file
}

/// Makes the file system under strace, which writes the calls for the partition to `calls`.
fn make(dir: &Path, options: &[&str]) -> Output {
    let mut command = Command::new("strace");
    command.arg("-o").arg(dir.join("calls")).arg("-P").arg(dir.join("var"));
    command.args(["-s0", "--trace=pwrite64,fsync,fdatasync,fallocate"]).args(options);
    command.arg(env!("CARGO_BIN_EXE_hostctl")).arg("make-var").arg(dir.join("var"));
    command.output().expect("strace is missing: run ci/setup")
}

#[test]
fn the_mark_is_removed_when_all_else_is_on_the_disk() {
    berth_judge::needs!("strace", "e2fsck");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("var");
    let file = partition(&path);
    let output = make(dir.path(), &[]);
    assert!(output.status.success(), "{output:?}");
    // `pwrite64(3, ""..., 1024, 0) = 1024` is a write of 1024 bytes at 0.
    let calls = fs::read_to_string(dir.path().join("calls")).unwrap();
    let calls: Vec<(&str, Option<u64>)> = calls
        .lines()
        .filter_map(|line| line.split_once('('))
        .map(|(name, rest)| {
            let offset = rest.split_once(')').unwrap().0.rsplit(", ").next().unwrap();
            (name, offset.parse().ok().filter(|_| name == "pwrite64"))
        })
        .collect();
    let last = [("fsync", None), ("pwrite64", Some(1024)), ("fsync", None), ("pwrite64", Some(0)), ("fsync", None)];
    assert!(calls.ends_with(&last), "{calls:?}");
    let before = &calls[..calls.len() - last.len()];
    let writes = before.iter().filter(|(name, _)| *name == "pwrite64").count();
    assert!(writes > 0 && before.iter().all(|(_, offset)| offset.is_none_or(|offset| offset >= 4096)), "{calls:?}");

    // After a power cut the mark is still there, and the work starts again.
    for number in [1, writes, writes + 1, writes + 2] {
        partition(&path);
        let killed = make(dir.path(), &[&format!("--inject=pwrite64:signal=SIGKILL:when={number}")]);
        assert!(!killed.status.success(), "{number}: {killed:?}");
        let mut mark = vec![0; VAR_ERASE_MARK.len()];
        file.read_exact_at(&mut mark, 0).unwrap();
        assert_eq!(mark, VAR_ERASE_MARK, "{number}");
        let output = make(dir.path(), &[]);
        assert!(output.status.success(), "{number}: {output:?}");
        let judge = Command::new("e2fsck").arg("-fn").arg(&path).output().unwrap();
        assert!(judge.status.success(), "{number}: {}", String::from_utf8_lossy(&judge.stdout));
    }
}
