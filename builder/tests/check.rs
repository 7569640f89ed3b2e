//! `berth build --check` builds twice. It publishes only if both builds are equal. Otherwise it names the first difference of each output.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::assemble_kit::tool;
use crate::build_kit::{Small, done, noise, same, talk};
use berth::{image::difference, plan::Outputs};
use berth_contract::arch::Arch;
use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Position of `bytes` in a file, where they must occur once.
fn find(file: &Path, bytes: &[u8]) -> u64 {
    find_from(file, 0, bytes)
}

/// First position of `bytes` at or after `start`.
fn find_from(file: &Path, start: u64, bytes: &[u8]) -> u64 {
    let content = fs::read(file).unwrap();
    let from = usize::try_from(start).unwrap();
    let at = content[from..].windows(bytes.len()).position(|window| window == bytes);
    (from + at.unwrap_or_else(|| panic!("{}: no {}", file.display(), bytes.escape_ascii()))) as u64
}

/// Offset of a partition in bytes, from sgdisk.
fn partition(raw: &Path, number: u32) -> u64 {
    let info = tool("sgdisk", &["-i", &number.to_string(), raw.to_str().unwrap()]);
    let line = info.lines().find(|line| line.starts_with("First sector:")).unwrap();
    line.split_whitespace().nth(2).unwrap().parse::<u64>().unwrap() * 512
}

/// Offset of a file's inode in bytes, from dump.erofs.
fn erofs_inode(image: &Path, path: &str) -> u64 {
    let text = tool("dump.erofs", &[&format!("--path={path}"), image.to_str().unwrap()]);
    let nid = text.lines().find_map(|line| line.strip_prefix("NID: ")).unwrap_or_else(|| panic!("{text}"));
    nid.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 32
}

/// Offset on the disk, in bytes, of an inode or content in the ext4 file system at `start`. `request` is a command of debugfs.
fn debugfs(raw: &Path, start: u64, request: &str) -> u64 {
    let place = format!("{}?offset={start}", raw.display());
    let text = tool("debugfs", &["-R", request, &place]);
    let number = |word: &str| match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).unwrap(),
        None => word.parse().unwrap(),
    };
    let after = |key: &str| text.split(key).nth(1).map(|rest| rest.split([',', '\n', ' ']).next().unwrap());
    match (after("located at block "), after("offset ")) {
        (Some(block), Some(offset)) => start + number(block) * 4096 + number(offset),
        _ => start + number(text.split_whitespace().next().unwrap()) * 4096,
    }
}

struct Bench {
    first: PathBuf,
    second: PathBuf,
    outputs: Outputs,
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.first.join(name)
    }

    /// Changes the bytes at `places` of the second build and restores them afterwards. Returns position and name of the difference.
    fn name(&self, output: &str, places: &[u64]) -> (u64, String) {
        let file = File::options().read(true).write(true).open(self.second.join(output)).unwrap();
        let flip = || {
            for at in places {
                let mut byte = [0];
                file.read_exact_at(&mut byte, *at).unwrap();
                file.write_all_at(&[byte[0] ^ 1], *at).unwrap();
            }
        };
        flip();
        let found = difference::between(&self.first, &self.second, &self.outputs).unwrap();
        flip();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].output, output);
        let [Some(first), Some(second)] = found[0].bytes else { panic!("{found:?}") };
        assert_eq!(first ^ 1, second, "{found:?}");
        (found[0].at, found[0].place.clone())
    }
}

#[test]
fn a_difference_at_any_place_is_named() {
    let small = Small::new();
    done(&mut small.build("first", "cache"));
    let (first, second) = (small.path("first"), small.path("second"));
    tool("cp", &["-r", "--sparse=always", first.to_str().unwrap(), second.to_str().unwrap()]);
    let outputs = Outputs::new(&"small".parse().unwrap(), &"1".parse().unwrap(), Arch::DEFAULT);
    let bench = Bench { first, second, outputs: outputs.clone() };
    assert_eq!(difference::between(&bench.first, &bench.second, &outputs).unwrap(), []);

    let [root, verity, uki, raw] = [&outputs.root, &outputs.verity, &outputs.uki, &outputs.raw];
    let (root_file, raw_file) = (bench.path(root), bench.path(raw));
    let [esp, root_a, verity_a, root_b, var] = [1, 2, 3, 4, 6].map(|number| partition(&raw_file, number));
    let disk_end = fs::metadata(&raw_file).unwrap().len();
    let inode = |path: &str| erofs_inode(&root_file, path);
    let in_root = |bytes: &[u8]| find(&root_file, bytes);
    let dockerd = in_root(&noise(2, 64));
    let in_var = |request: &str| debugfs(&raw_file, var, request);
    let fat = u64::from(u16::from_le_bytes(bytes(&raw_file, esp + 14))) * 512;
    let fat_len = u64::from(u32::from_le_bytes(bytes(&raw_file, esp + 36))) * 512;
    let l1 = u64::from_be_bytes(bytes(&bench.path(&outputs.disk("qcow2")), 40));
    let guest = find(&bench.path(&outputs.disk("qcow2")), &noise(2, 64));
    let kernel = "file /EFI/Linux/small_1.efi";

    let table: &[(&str, &[u64], &str)] = &[
        (root, &[0], "before the superblock"),
        (root, &[1024 + 24], "superblock: build_time"),
        (root, &[1024 + 4, 1024 + 48], "superblock: uuid"),
        (root, &[1024 + 4], "superblock: checksum"),
        (root, &[inode("/usr/sbin/dockerd") + 8], "inode of /usr/sbin/dockerd: i_size"),
        (root, &[inode("/etc/motd") + 4], "inode of /etc/motd: i_mode"),
        (root, &[inode("/") + 24], "inode of /: i_uid"),
        (root, &[inode("/usr/bin/docker") + 32 + 3], "content of /usr/bin/docker: byte 3"),
        (root, &[dockerd + 5000], "content of /usr/sbin/dockerd: byte 5000"),
        (root, &[in_root(b"hello\n") + 1], "content of /etc/motd: byte 1"),
        (verity, &[16], "superblock: UUID"),
        (verity, &[4096 + 33], "level 1: hash of block 1 of the level below"),
        (verity, &[2 * 4096 + 32 * 7], "level 0: hash of data block 7"),
        (uki, &[find(&bench.path(uki), b"roothash=") + 2], "section .cmdline: byte 2"),
        (uki, &[u64::from(u32::from_le_bytes(bytes(&bench.path(uki), 60))) + 8], "PE headers: TimeDateStamp"),
        (uki, &[find(&bench.path(uki), &noise(1, 64))], "section .linux: byte 0"),
        (raw, &[440], "protective MBR: UniqueMBRDiskSignature"),
        (raw, &[512 + 16, 512 + 56], "primary GPT header: DiskGUID"),
        (raw, &[1024 + 128 + 16], "primary GPT: entry 2 (root-a): UniquePartitionGUID"),
        (raw, &[disk_end - 512 + 24], "backup GPT header: MyLBA"),
        (raw, &[disk_end - 512 - 16384 + 128 * 5 + 48], "backup GPT: entry 6 (var): Attributes"),
        (raw, &[disk_end - 512 - 16384 + 128 * 6], "backup GPT: entry 7 (unused): PartitionTypeGUID"),
        (raw, &[64 << 10], "outside of all partitions"),
        (raw, &[esp + 67], "partition esp (FAT32): boot sector: BS_VolID"),
        (raw, &[esp + 6 * 512 + 67], "partition esp (FAT32): backup of the boot sector: BS_VolID"),
        (raw, &[esp + 512 + 488], "partition esp (FAT32): FSInfo sector: FSI_Free_Count"),
        (raw, &[esp + fat + 8], "partition esp (FAT32): FAT 1: entry of cluster 2, of /"),
        (raw, &[esp + fat + fat_len + 8], "partition esp (FAT32): FAT 2: entry of cluster 2, of /"),
        (
            raw,
            &[find_from(&raw_file, esp, b"BOOTX64 EFI") + 22],
            "partition esp (FAT32): directory /EFI/BOOT/: entry BOOTX64.EFI: DIR_WrtTime",
        ),
        (
            raw,
            &[find_from(&raw_file, esp, b"r\0.\0c\0o\0n\0f\0") + 2],
            "partition esp (FAT32): directory /loader/: entry loader.conf: long name",
        ),
        (
            raw,
            &[find_from(&raw_file, esp, b"timeout 0") + 8],
            "partition esp (FAT32): file /loader/loader.conf: byte 8",
        ),
        (
            raw,
            &[find_from(&raw_file, esp, b"roothash=")],
            &format!("partition esp (FAT32): {kernel}: section .cmdline: byte 0"),
        ),
        (raw, &[root_a + 1024 + 48], "partition root-a (EROFS): superblock: uuid"),
        (raw, &[root_a + inode("/usr/bin/script") + 26], "partition root-a (EROFS): inode of /usr/bin/script: i_gid"),
        (raw, &[root_a + dockerd], "partition root-a (EROFS): content of /usr/sbin/dockerd: byte 0"),
        (raw, &[verity_a + 16], "partition root-a-verity (hash tree): superblock: UUID"),
        (raw, &[root_b + 7], "partition root-b (empty slot): byte 7"),
        (raw, &[var + 1024 + 0x68], "partition var (ext4): superblock: s_uuid"),
        (raw, &[var + 1024 + 0x3fc, var + 1024 + 0x30], "partition var (ext4): superblock: s_wtime"),
        (raw, &[var + 4096 + 32 + 4], "partition var (ext4): descriptor of group 1: bg_inode_bitmap_lo"),
        (raw, &[var + 32768 * 4096 + 0x30], "partition var (ext4): group 1: copy of superblock"),
        (
            raw,
            &[in_var("imap lib/docker/README") + 0x10],
            "partition var (ext4): group 0: inode table: inode of /lib/docker/README: i_mtime",
        ),
        (raw, &[in_var("imap <8>")], "partition var (ext4): group 0: inode table: inode of the journal: i_mode"),
        (raw, &[in_var("blocks lib/docker/README") + 2], "partition var (ext4): content of /lib/docker/README: byte 2"),
        (&outputs.disk("qcow2"), &[27], "header: size"),
        (&outputs.disk("qcow2"), &[l1 + 9], "L1 table: entry 1"),
        (&outputs.disk("qcow2"), &[65536 * 2 + 3], "refcount of cluster 1"),
        (&outputs.disk("qcow2"), &[guest], &format!("byte {} of the disk", root_a + dockerd)),
    ];
    let mut wrong = Vec::new();
    for (output, places, wanted) in table {
        let (at, found) = bench.name(output, places);
        if !places.contains(&at) || found != *wanted {
            wrong.push(format!("{output} {places:?}: expected {wanted:?}, found {found:?} at {at}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // A name in a directory entry. Its number depends on the writer.
    let named = in_root(b"passwd");
    let (_, name) = bench.name(root, &[named]);
    assert!(name.starts_with("directory /etc: entry ") && name.ends_with("passwd: name"), "{name}");
    let manifest = bench.path(&outputs.manifest);
    let (_, line) = bench.name(&outputs.manifest, &[find(&manifest, b"\"format\": 2") + 10]);
    assert_eq!(line, "line 2: `\"format\": 2,` and `\"format\": 3,`");

    // One of the two files is longer.
    let mut file = File::options().append(true).open(bench.second.join(&outputs.checksums)).unwrap();
    file.write_all(b"more\n").unwrap();
    let found = difference::between(&bench.first, &bench.second, &outputs).unwrap();
    assert!(found[0].to_string().ends_with("(end, 0x6d): one of the two files ends here"), "{}", found[0]);
}

fn bytes<const N: usize>(file: &Path, at: u64) -> [u8; N] {
    let mut bytes = [0; N];
    File::open(file).unwrap().read_exact_at(&mut bytes, at).unwrap();
    bytes
}

#[test]
fn two_equal_builds_are_published() {
    let small = Small::new();
    done(&mut small.build("once", "cache"));
    let output = done(small.berth(&["build", "--check", "-o", "place/out"], "cache").current_dir(small.dir.path()));
    same(&small.path("once"), &small.path("place/out"));
    let names: Vec<_> = fs::read_dir(small.path("place")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["out"], "no other file is left beside the output folder");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().next(), Some("place/out/small_1_x86_64.raw"));
    let said = talk(&output);
    let steps: Vec<_> = said.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(steps, ["assemble", "image", "done", "again", "assemble", "image", "done", "same"], "{said}");
}

#[test]
fn two_different_builds_are_kept_and_not_published() {
    let small = Small::new();
    done(&mut small.build("place/out", "cache"));
    let sums = fs::read(small.path("place/out/SHA256SUMS")).unwrap();
    // Damage an unpacked package in the cache. The first build uses the cache, the second build unpacks the package again.
    let unpacked = fs::read_dir(small.path("cache/unpacked")).unwrap().map(|entry| entry.unwrap().path());
    let holds = |path: &PathBuf| fs::read(path).unwrap().windows(64).any(|window| window == noise(2, 64));
    let rotten = unpacked.into_iter().find(holds).unwrap();
    let at = find(&rotten, &noise(2, 64)) + 77;
    let [byte] = bytes(&rotten, at);
    File::options().write(true).open(&rotten).unwrap().write_all_at(&[!byte], at).unwrap();

    for _ in 0..2 {
        let output = small.berth(&["-q", "build", "--check", "-o", "place/out"], "cache").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", talk(&output));
        let said = talk(&output);
        let lines: Vec<_> = said.lines().collect();
        let (found, wanted) = (!byte, byte);
        assert_eq!(
            lines[0], "error: two builds from the same lock file differ; the first difference in each output:",
            "{said}"
        );
        let root = "  small_1_x86_64.root.erofs: byte ";
        let place = format!("({found:#04x}, {wanted:#04x}): content of /usr/sbin/dockerd: byte 77");
        assert!(lines[1].starts_with(root) && lines[1].ends_with(&place), "{said}");
        let outputs: Vec<_> = lines[1..8].iter().map(|line| line.trim_start().split(": ").next().unwrap()).collect();
        let wanted = ["root.erofs", "root.verity", "efi", "raw", "qcow2", "manifest.json"];
        let wanted: Vec<_> = wanted.iter().map(|ending| format!("small_1_x86_64.{ending}")).collect();
        assert_eq!(
            (&outputs[..6], outputs[6]),
            (&wanted[..].iter().map(String::as_str).collect::<Vec<_>>()[..], "SHA256SUMS")
        );
        let kept = "hint: both builds are kept: place/out.check/first and place/out.check/second";
        assert_eq!(lines[8..], [kept], "{said}");
        assert_eq!(fs::read(small.path("place/out/SHA256SUMS")).unwrap(), sums, "the output folder must not change");
        for build in ["first", "second"] {
            crate::build_kit::whole(&small.path(&format!("place/out.check/{build}")));
        }
        assert_eq!(fs::read_dir(small.path("place")).unwrap().count(), 2);
    }
}
