//! Ctrl-C: an interrupted build prints a message, leaves no partial file, and keeps the earlier output.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::refusal_kit::{Deb, Desk, Said, fixture::hex, server::Reply, whole};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// Path of the large package in the archive.
const LARGE: &str = "debian/pool/large.deb";
const WORDS: &str = "error: interrupted: unfinished files were removed, downloads are kept\n";

/// A desk with an earlier output and a recipe with 100 MiB of data. Its build takes long enough to be interrupted.
fn desk() -> Desk {
    let mut large = Deb::new("large")
        .field("Installed-Size: 102400")
        .file("usr/share/doc/large/copyright", "free")
        .file("usr/share/large", vec![1; 100 << 20]);
    large.data_name += ".zst";
    let desk = Desk::new([whole::essentials(1000), vec![large]].concat());
    desk.lock().success();
    desk.build().success();
    desk.recipe("\"large\"");
    desk.write("r.toml", desk.text("r.toml") + "[disk]\nslot = \"256MiB\"\n");
    desk.lock().success();
    desk
}

/// Starts a build, waits until `reached` returns true, and sends `signal`.
fn interrupted(desk: &Desk, mirror: &str, signal: Signal, reached: impl Fn() -> bool) -> Said {
    let mut command = desk.command(mirror, &["build", "r.toml"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while !reached() {
        assert!(Instant::now() < end, "the build does not reach the state");
        assert_eq!(child.try_wait().unwrap(), None, "the build ended too early: {:?}", child.wait_with_output());
        thread::sleep(Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&child), signal).unwrap();
    desk.said(&child.wait_with_output().unwrap())
}

/// All files below `folder` with the name of a partial file.
fn half_made(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".part") || name.ends_with(".partial") || name.starts_with(".out.") {
            found.push(path.clone());
        }
        found.extend(half_made(&path));
    }
    found
}

/// Name, inode, length and time of each file in the output folder.
fn outputs(desk: &Desk) -> BTreeSet<(OsString, u64, u64, SystemTime)> {
    let one = |entry: fs::DirEntry| {
        let meta = entry.metadata().unwrap();
        (entry.file_name(), meta.ino(), meta.len(), meta.modified().unwrap())
    };
    let all: BTreeSet<_> = fs::read_dir(desk.path("out")).unwrap().map(|entry| one(entry.unwrap())).collect();
    assert_eq!(all.len(), 7);
    all
}

/// Builds. strace sends `signal` at the first of the system calls `calls` for the file `path`. A timer cannot hit this moment reliably.
fn interrupted_at(desk: &Desk, path: &str, calls: &str, signal: &str) -> Said {
    let command = desk.command(&desk.archive.url(), &["build", "r.toml"]);
    let mut strace = Command::new("strace");
    strace.env_clear().args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(desk.path("trace"));
    strace.args(["-e", &format!("inject={calls}:signal={signal}:when=1")]);
    // Forms of the path: as the program writes it, and as a file descriptor resolves to it.
    for path in [path.into(), format!("./{path}").into(), fs::canonicalize(desk.dir.path()).unwrap().join(path)] {
        strace.arg("-P").arg(path);
    }
    strace.arg(command.get_program()).args(command.get_args()).current_dir(desk.dir.path()).stdin(Stdio::null());
    desk.said(&strace.output().expect("strace: run ci/setup"))
}

#[test]
fn an_interrupted_build_leaves_no_partial_file_and_keeps_the_output() {
    let desk = desk();
    let before = outputs(&desk);
    let part = format!("cache/unpacked/{}.part", hex(&fs::read(desk.archive.path().join(LARGE)).unwrap()));
    for (number, (path, calls, signal, code)) in [
        (part.as_str(), "write,pwrite64,copy_file_range", "INT", 130),
        (&part, "write,pwrite64,copy_file_range", "TERM", 143),
        (&part, "rename,renameat,renameat2", "INT", 130),
        (".out.partial", "mkdir,mkdirat", "INT", 130),
        (".out.partial/small_1_x86_64.root.erofs", "write,pwrite64,copy_file_range", "INT", 130),
        (".out.partial/small_1_x86_64.raw", "write,pwrite64,copy_file_range", "TERM", 143),
    ]
    .into_iter()
    .enumerate()
    {
        let said = interrupted_at(&desk, path, calls, signal);
        assert_eq!((said.code, said.text.as_str()), (Some(code), WORDS), "{number}: {}", desk.text("trace"));
        assert_eq!(half_made(desk.dir.path()), Vec::<PathBuf>::new(), "{number}");
        assert_eq!(before, outputs(&desk), "{number}");
    }
    // The next build works.
    desk.build().success();
}

#[test]
fn after_an_interruption_the_next_build_continues_the_download() {
    let desk = Desk::new([whole::essentials(1000), vec![Deb::new("tool").file("usr/tool", vec![1; 5000])]].concat());
    desk.recipe("\"tool\"");
    desk.lock().success();
    let deb = fs::read(desk.archive.path().join("debian/pool/tool.deb")).unwrap();
    let bytes = deb.clone();
    let slow = desk
        .serve(move |path| path.ends_with("/tool.deb").then(|| Reply::Drip(bytes.clone(), Duration::from_millis(20))));
    let part = desk.path(&format!("cache/blobs/sha256/{}.part", hex(&deb)));
    let some = || part.metadata().is_ok_and(|part| part.len() > 0);
    let said = interrupted(&desk, &slow.base, Signal::INT, some);
    assert_eq!((said.code, said.text.as_str()), (Some(130), WORDS));
    let good = desk.serve(|_| None);
    desk.berth(&good.base, &["build", "r.toml"]).success();
    let starts: Vec<_> = good.requests().into_iter().filter(|request| request.path.ends_with("/tool.deb")).collect();
    assert!(starts.len() == 1 && starts[0].start.is_some_and(|start| start > 0), "{starts:?}");
    assert_eq!(half_made(desk.dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn an_interrupted_lock_does_not_change_the_lock_file() {
    let desk = Desk::new(vec![]);
    desk.lock().success();
    let before = desk.text("r.lock");
    let mute = desk.serve(|_| {
        thread::sleep(Duration::from_secs(600));
        None
    });
    let mut command = desk.command(&mute.base, &["lock", "r.toml"]);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while mute.requests().is_empty() {
        assert!(Instant::now() < end, "no request reaches the mirror");
        thread::sleep(Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let said = desk.said(&child.wait_with_output().unwrap());
    assert_eq!((said.code, said.text.as_str()), (Some(130), WORDS));
    assert!(desk.text("r.lock") == before && !desk.path(".r.lock.partial").exists());
}
