//! The process that unpacks bytes which are not verified: what it can do, and what its end means.

use crate::kit::decoder;
use hostctl::decoder::{Decoder, Limits, Packing, Unpacking};
use std::{
    fs,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Bytes that do not get smaller, packed.
fn packed(packing: Packing) -> (Vec<u8>, Vec<u8>) {
    let mut state = 1_u64;
    let plain: Vec<u8> = (0..4_000_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .collect();
    let packed = match packing {
        Packing::Xz => {
            let mut packed = Vec::new();
            liblzma::read::XzEncoder::new(&plain[..], 0).read_to_end(&mut packed).unwrap();
            packed
        }
        Packing::Zstd => zstd::bulk::compress(&plain, 1).unwrap(),
    };
    (plain, packed)
}

/// A decoder that has unpacked its first byte: it is confined, and waits until the next byte is read.
fn running(packed: &[u8]) -> Unpacking<&[u8]> {
    let mut unpacking = Unpacking::start(decoder(), Packing::Xz, packed).unwrap();
    unpacking.read_exact(&mut [0]).unwrap();
    unpacking
}

#[test]
fn both_formats_are_unpacked_and_damage_is_an_error() {
    for packing in [Packing::Xz, Packing::Zstd] {
        let (plain, packed) = packed(packing);
        let unpack = |packed: &[u8]| {
            let mut unpacked = Vec::new();
            let read = Unpacking::start(decoder(), packing, packed).unwrap().read_to_end(&mut unpacked);
            read.map(|_| unpacked)
        };
        assert!(unpack(&packed).unwrap() == plain);
        // What follows the stream is not read.
        assert!(unpack(&[&packed[..], &[7; 1_000_000]].concat()).unwrap() == plain);
        for (what, packed) in [
            ("short", &packed[..packed.len() / 2]),
            ("empty", &[]),
            ("other", b"neither xz nor zstd, but long enough to be a header"),
        ] {
            let error = unpack(packed).map(|bytes| bytes.len()).unwrap_err();
            assert!(!error.to_string().is_empty() && error.kind() == io::ErrorKind::InvalidData, "{what}: {error}");
        }
        // An error of the source stays what it is.
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let error = Unpacking::start(decoder(), packing, Broken).unwrap().read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_killed_decoder_is_an_error_and_none_is_left_behind() {
    let (_, packed) = packed(Packing::Xz);
    let mut unpacking = running(&packed);
    let process = PathBuf::from(format!("/proc/{}", unpacking.id()));
    let pid = rustix::process::Pid::from_raw(i32::try_from(unpacking.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let error = unpacking.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "the decoder was ended by signal 9");
    drop(unpacking);
    assert!(!process.exists());
    let unpacking = running(&packed);
    let process = PathBuf::from(format!("/proc/{}", unpacking.id()));
    drop(unpacking);
    assert!(!process.exists());
}

#[test]
fn a_decoder_that_never_ends_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("decoder");
    let (short, long) = (Duration::from_millis(200), Duration::from_secs(60));
    // The decoder may already be in the hands of whoever made the bytes.
    for (what, script, silence, expected) in [
        ("closes its output", "exec sleep 1000 >&-", long, "has not ended"),
        ("does nothing", "exec sleep 1000", short, "has done nothing"),
        ("closes its output and fills stderr", "exec cat /dev/zero >&2", long, "has not ended"),
    ] {
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let (begin, limits) = (Instant::now(), Limits { silence, end: short });
        let mut unpacking = loop {
            match Unpacking::start_within(limits, Decoder(&program), Packing::Xz, io::repeat(7)) {
                // Another thread has forked while the file was open for writing.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {}
                started => break started.unwrap(),
            }
        };
        let process = PathBuf::from(format!("/proc/{}", unpacking.id()));
        let error = unpacking.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.kind() == io::ErrorKind::TimedOut && error.to_string().contains(expected), "{what}: {error}");
        drop(unpacking);
        assert!(!Path::exists(&process) && begin.elapsed() < Duration::from_secs(60), "{what}");
    }
}

#[test]
fn the_decoder_has_no_privileges_no_network_and_no_files() {
    let (_, packed) = packed(Packing::Xz);
    let unpacking = running(&packed);
    let process = PathBuf::from(format!("/proc/{}", unpacking.id()));
    let status = fs::read_to_string(process.join("status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("{name}: {status}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&field(set), 16).unwrap(), 0, "{set}");
    }
    assert_eq!((field("NoNewPrivs"), field("Seccomp"), field("Threads")), ("1".into(), "2".into(), "1".into()));
    let limits = fs::read_to_string(process.join("limits")).unwrap();
    for limit in ["Max file size", "Max core file size", "Max processes", "Max open files", "Max locked memory"] {
        let line = limits.lines().find(|line| line.starts_with(limit)).unwrap();
        assert_eq!(line[limit.len()..].split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"], "{line}");
    }
    // Only root may look at the rest, and only root can give up all of it.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    assert_eq!(u64::from_str_radix(&field("CapBnd"), 16).unwrap(), 0);
    assert_eq!((field("Uid"), field("Groups")), ("65533 65533 65533 65533".into(), String::new()));
    for namespace in ["net", "ipc", "uts"] {
        let of = |process: &str| fs::read_link(format!("{process}/ns/{namespace}")).unwrap();
        assert_ne!(of(process.to_str().unwrap()), of("/proc/self"), "{namespace}");
    }
    let devices = fs::read_to_string(process.join("net/dev")).unwrap();
    assert!(devices.lines().skip(2).all(|line| line.trim().starts_with("lo:")), "{devices}");
    let mut open: Vec<_> = fs::read_dir(process.join("fd")).unwrap().map(|entry| entry.unwrap().path()).collect();
    open.sort();
    for file in &open {
        let to = fs::read_link(file).unwrap();
        assert!(to.to_str().unwrap().starts_with("pipe:"), "{} is {}", file.display(), to.display());
    }
    let root = fs::read_link(process.join("root")).unwrap();
    assert!(root.to_str().unwrap().ends_with("/fdinfo"), "{}", root.display());
}
