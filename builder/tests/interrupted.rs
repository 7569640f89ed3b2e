//! A build that is killed, or that fills the disk, does not change the output folder. The next build can use the cache.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::build_kit::{Small, done, superuser, talk, whole};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sha2::Digest as _;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Number of kills after a random time.
const TIMED_KILLS: usize = 60;
/// Number of kills at random system calls. In addition each system call that adds, removes or syncs a file gets a kill.
const RANDOM_CALLS: usize = 20;
/// System calls that change files, or that such changes depend on.
const CALLS: &str = "openat,mkdir,rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,symlink,symlinkat,\
    ftruncate,write,pwrite64,copy_file_range,sendfile,fsync,fdatasync,fchmod,flock";

/// A recipe that is built alternately with two different file times. The two images differ, so a mixture of both is detected.
struct Bench {
    small: Small,
    /// The text of SHA256SUMS for each of [`EPOCHS`].
    sums: BTreeMap<u64, String>,
    /// Duration of a build with an empty cache, and with a full cache.
    times: Vec<Duration>,
    /// Paths of a complete cache.
    cache: Vec<String>,
    rng: StdRng,
    seed: u64,
}

const EPOCHS: [u64; 2] = [1_000_000_000, 1_700_000_000];

impl Bench {
    fn new() -> Self {
        let seed = std::env::var("BERTH_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
        let mut bench = Self {
            small: Small::new(),
            sums: BTreeMap::new(),
            times: Vec::new(),
            cache: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
            seed,
        };
        for epoch in EPOCHS {
            let start = Instant::now();
            done(&mut bench.build(epoch));
            bench.times.push(start.elapsed());
            whole(&bench.out());
            bench.sums.insert(epoch, bench.read_sums().unwrap());
        }
        assert_eq!(bench.sums.values().collect::<std::collections::BTreeSet<_>>().len(), EPOCHS.len());
        bench.cache = bench.cached();
        bench
    }

    fn out(&self) -> std::path::PathBuf {
        self.small.path("place/out")
    }

    fn build(&self, epoch: u64) -> Command {
        let mut command = self.small.build("place/out", "cache");
        command.env("SOURCE_DATE_EPOCH", epoch.to_string()).stdout(Stdio::null());
        command
    }

    fn read_sums(&self) -> Option<String> {
        fs::read_to_string(self.out().join("SHA256SUMS")).ok()
    }

    /// Paths in the cache, without the initrds. Each of the two images has its own initrd, and only those of built images exist.
    fn cached(&self) -> Vec<String> {
        let initrd = |path: &String| path.starts_with("compressed/") && !path.ends_with(".partial");
        listing(&self.small.path("cache")).into_iter().filter(|path| !initrd(path)).collect()
    }

    /// State of the files in the output folder. It changes with each write.
    fn stamps(&self) -> BTreeMap<String, (u64, u64, i64, i64)> {
        let Ok(entries) = fs::read_dir(self.out()) else { return BTreeMap::new() };
        let stamp = |entry: fs::DirEntry| {
            let meta = entry.metadata().unwrap();
            let stamp = (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec());
            (entry.file_name().into_string().unwrap(), stamp)
        };
        entries.map(|entry| stamp(entry.unwrap())).collect()
    }

    /// Starts and kills `count` builds with `kill`. `kill` gets the build's command and its expected duration, and returns a description of
    /// the kill for messages.
    fn kills(mut self, count: usize, mut kill: impl FnMut(&Small, &mut StdRng, (Command, Duration)) -> String) {
        let mut killed = 0;
        // The speed of builds changes during the test. The pace is adjusted so that about one build in ten ends before its kill.
        let mut pace = [1.0; 2];
        for number in 0..count {
            // Two builds of the same image are killed in a row, so the second build finds the remains of the first build.
            let epoch = EPOCHS[number / 2 % 2];
            // Half of the builds start with an empty cache. The others start with the cache of the previous, killed build.
            if number % 2 == 0 {
                fs::remove_dir_all(self.small.path("cache")).unwrap();
            }
            // One build in ten finds no earlier output.
            if number % 10 == 0 {
                fs::remove_dir_all(self.out()).unwrap();
            }
            let before = self.stamps();
            let command = self.build(epoch);
            // The other builds find a partial cache.
            let time = if number % 2 == 0 { self.times[0] } else { (self.times[0] + self.times[1]) / 2 };
            let pace = &mut pace[number % 2];
            let how = kill(&self.small, &mut self.rng, (command, time.mul_f64(*pace)));
            let context = format!("kill {number} of BERTH_SEED={}: {how}", self.seed);
            let in_time = self.check_after_kill(&before, epoch, &context);
            killed += usize::from(in_time);
            *pace *= if in_time { 1.03 } else { 0.8 };
            // Only after every second kill, so that a build also finds the remains of two killed builds.
            if number % 2 == 1 {
                self.next(epoch, &context);
            }
        }
        assert!(killed > count / 2, "only {killed} of {count} builds were killed before they ended");
    }

    /// Checks the output folder and the cache after a kill. Returns true if the output folder has the earlier build. Otherwise it must have
    /// the complete new build.
    fn check_after_kill(&self, before: &BTreeMap<String, (u64, u64, i64, i64)>, epoch: u64, context: &str) -> bool {
        for name in fs::read_dir(self.small.path("place")).unwrap() {
            let name = name.unwrap().file_name();
            assert!([".out.lock", ".out.partial", "out"].iter().any(|known| name == *known), "{context}: {name:?}");
        }
        let blobs = fs::read_dir(self.small.path("cache/blobs/sha256")).into_iter().flatten();
        for blob in blobs.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_none()) {
            let digest = berth_contract::digest::Sha256(sha2::Sha256::digest(fs::read(&blob).unwrap()).into());
            assert_eq!(blob.file_name().unwrap().to_str().unwrap(), digest.to_string(), "{context}");
        }
        let after = self.stamps();
        if after == *before {
            return true;
        }
        assert_eq!(self.read_sums().as_ref(), self.sums.get(&epoch), "{context}: {after:?}");
        assert_eq!(after.len(), 7, "{context}: {after:?}");
        whole(&self.out());
        false
    }

    /// Checks that the next build works, makes the same bytes, and leaves no file of the killed build.
    fn next(&self, epoch: u64, context: &str) {
        // If all packages are in the cache, the build must work without the archive.
        let fetched = listing(&self.small.path("cache/blobs")).iter().filter(|name| !name.ends_with(".part")).count();
        let all = self.cache.iter().filter(|name| name.starts_with("blobs/")).count();
        let mut command = match fetched == all {
            true => self.small.build_offline("place/out", "cache"),
            false => self.build(epoch),
        };
        let output = command.env("SOURCE_DATE_EPOCH", epoch.to_string()).output().unwrap();
        assert!(output.status.success(), "{context}: the next build: {}", talk(&output));
        assert_eq!(self.read_sums().as_ref(), self.sums.get(&epoch), "{context}");
        assert_eq!(
            listing(&self.small.path("place")).len(),
            1 + 7,
            "{context}: {:?}",
            listing(&self.small.path("place"))
        );
        assert_eq!(self.cached(), self.cache, "{context}");
    }
}

/// All paths below a folder, sorted. Empty if the folder does not exist.
fn listing(folder: &Path) -> Vec<String> {
    if !folder.exists() {
        return Vec::new();
    }
    let found = done(Command::new("find").arg(folder).args(["-mindepth", "1", "-printf", "%P\n"])).stdout;
    let mut paths: Vec<_> = String::from_utf8(found).unwrap().lines().map(str::to_owned).collect();
    paths.sort();
    paths
}

#[test]
fn killed_after_a_random_time() {
    Bench::new().kills(TIMED_KILLS, |_, rng, (mut command, time)| {
        let delay = time.mul_f64(rng.gen_range(0.0..1.05));
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(delay);
        // If the build has already ended, the kill has no effect.
        child.kill().unwrap();
        child.wait().unwrap();
        format!("after {delay:?}")
    });
}

/// A kill after a random time rarely hits a short system call. So this test chooses the call.
#[test]
fn killed_at_a_chosen_system_call() {
    let bench = Bench::new();
    fs::remove_dir_all(bench.small.path("cache")).unwrap();
    let command = bench.build(EPOCHS[0]);
    done(strace(&bench.small.path("trace"), &format!("trace={CALLS}"), &command).current_dir(bench.small.dir.path()));
    let trace = fs::read_to_string(bench.small.path("trace")).unwrap();
    // strace counts the calls of each name in each thread.
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let name = call.trim_start().split('(').next().unwrap();
        // Skip the second line of a call that strace prints in two parts.
        if name.starts_with('<') {
            continue;
        }
        let count = counts.entry((thread, name)).or_default();
        *count += 1;
        calls.push((name, *count));
    }
    assert!(calls.len() > 300, "{calls:?}");
    // Faults are likely at calls that add or remove a name or sync to the disk. Kill once at each of these calls, and at other calls by
    // chance.
    let names = ["mkdir", "rename", "link", "unlink", "rmdir", "symlink", "ftruncate", "fsync", "fdatasync"];
    let mut chosen: Vec<_> =
        calls.iter().filter(|(name, _)| names.iter().any(|known| name.starts_with(known))).collect();
    chosen.sort();
    chosen.dedup();
    assert!((30..100).contains(&chosen.len()), "{chosen:?}");
    // The number must be even, because a build checks the state after every second kill.
    let count = (chosen.len() + RANDOM_CALLS).next_multiple_of(2);
    bench.kills(count, |small, rng, (command, _)| {
        let (name, number) = *chosen.pop().unwrap_or_else(|| &calls[rng.gen_range(0..calls.len())]);
        let inject = format!("inject={name}:signal=KILL:when={number}");
        let mut command = strace(Path::new("/dev/null"), &inject, &command);
        command.current_dir(small.dir.path()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        format!("at a thread's {name} number {number}")
    });
}

/// `command` under strace with this `-e` option.
fn strace(trace: &Path, what: &str, command: &Command) -> Command {
    let mut strace = Command::new("strace");
    // Do not use --seccomp-bpf: strace 6.1 then injects nothing.
    strace.args(["-f", "-qq", "-e", "signal=none", "-e", what, "-o"]).arg(trace);
    for (name, value) in command.get_envs() {
        strace.env(name, value.unwrap());
    }
    strace.arg(command.get_program()).args(command.get_args());
    strace
}

/// A shell script for a mount namespace. It mounts a file system of `$2` bytes at `$1`, and copies the earlier output `$3`, if any, into
/// it. The build `$4...` must then fail and must not change files. After that the file system grows, and the build must succeed.
const FULL: &str = r#"
full=$1 size=$2 earlier=$3; shift 3
mount -t tmpfs -o "size=$size,mode=755" none "$full"
if [ -n "$earlier" ]; then cp -a --sparse=always "$earlier" "$full/out"; fi
before=$(ls -A "$full")
status=0; "$@" 2>talk || status=$?
[ $status = 1 ] || { echo "expected status 1, found $status"; cat talk; exit 9; } >&2
grep -q "No space left on device (os error 28)" talk || { cat talk; exit 9; } >&2
if [ -n "$earlier" ]; then for file in "$earlier"/*; do cmp "$file" "$full/out/${file##*/}"; done; fi
[ -n "$KEEPS" ] || [ "$(ls -A "$full")" = "$before" ] || { echo "left: $(ls -A "$full")"; exit 9; } >&2
mount -o remount,size=4g "$full"
"$@"
find "$full" -name '*.part*' | grep . && exit 9
cp -a --sparse=always "$OUT" result
"#;

/// Builds several times. Each time a file system at the folder `full` is too small for the build. Its sizes are between `least` and `least`
/// + `need` bytes.
fn full(bench: &Bench, full: &str, earlier: &str, (least, need): (u64, u64), out: &str) {
    let (small, epoch) = (&bench.small, EPOCHS[1]);
    let build = small.build(if out.is_empty() { "place/out" } else { out }, "cache");
    let path = |name: &str| small.path(name).to_str().unwrap().to_owned();
    fs::create_dir_all(small.path(full)).unwrap();
    for eighth in [0, 1, 3, 5, 7] {
        let size = least + need * eighth / 8;
        let mut command = superuser("env");
        command.arg(format!("SOURCE_DATE_EPOCH={epoch}")).arg(format!("OUT={}", path(out)));
        command.arg(if full == "cache" { "KEEPS=1" } else { "KEEPS=" });
        let earlier = if earlier.is_empty() { String::new() } else { path(earlier) };
        command.args(["unshare", "--mount", "sh", "-euc", FULL, "sh", &path(full), &size.to_string(), &earlier]);
        command.arg(build.get_program()).args(build.get_args()).current_dir(small.dir.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{full} of {size} bytes: {}", talk(&output));
        assert_eq!(fs::read_to_string(small.path("result/SHA256SUMS")).unwrap(), bench.sums[&epoch], "{size}");
        whole(&small.path("result"));
        done(superuser("rm").arg("-rf").arg(small.path("result")));
    }
}

/// Bytes that a folder uses on the disk.
fn usage(folder: &Path) -> u64 {
    let found = done(Command::new("du").args(["-s", "-B1"]).arg(folder)).stdout;
    String::from_utf8(found).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_full_disk_under_the_output_folder_keeps_the_earlier_output() {
    let bench = Bench::new();
    let need = usage(&bench.out());
    full(&bench, "full", "", (4096, need), "full/out");
    // Repeat with an earlier output on the same file system.
    full(&bench, "full", "place/out", (need, need), "full/out");
}

#[test]
fn a_full_disk_under_the_cache_does_not_break_the_next_build() {
    let bench = Bench::new();
    let need = usage(&bench.small.path("cache"));
    fs::remove_dir_all(bench.small.path("cache")).unwrap();
    full(&bench, "cache", "", (4096, need), "place/out");
}
