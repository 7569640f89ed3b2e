//! A build that is killed, or finds the disk full, leaves the output folder as it was, and a cache that can be used.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod assemble_kit;
mod build_kit;

use build_kit::{Small, done, superuser, talk, whole};
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

/// In two tests: by the clock, and by what is done to files.
const KILLS: usize = 100;
/// Calls that change something, or that something depends on.
const CALLS: &str = "openat,mkdir,rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,symlink,symlinkat,\
    ftruncate,write,pwrite64,copy_file_range,sendfile,fsync,fdatasync,fchmod,flock";

/// A recipe that is built by turns with these times for all files: two images, so that a mixture of both shows.
struct Bench {
    small: Small,
    sums: BTreeMap<u64, String>,
    /// Of a build with an empty cache, and of one with a full one.
    times: Vec<Duration>,
    /// Paths below a complete cache.
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

    /// Paths below the cache, but for the initrds of both images: which of them are there is a matter of what was built.
    fn cached(&self) -> Vec<String> {
        let initrd = |path: &String| path.starts_with("compressed/") && !path.ends_with(".partial");
        listing(&self.small.path("cache")).into_iter().filter(|path| !initrd(path)).collect()
    }

    /// Which files stand in the output folder; changes with every write.
    fn stamps(&self) -> BTreeMap<String, (u64, u64, i64, i64)> {
        let Ok(entries) = fs::read_dir(self.out()) else { return BTreeMap::new() };
        let stamp = |entry: fs::DirEntry| {
            let meta = entry.metadata().unwrap();
            let stamp = (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec());
            (entry.file_name().into_string().unwrap(), stamp)
        };
        entries.map(|entry| stamp(entry.unwrap())).collect()
    }

    /// Kills builds, each with `kill`, which is told how long it may take, and tells what it did.
    fn kills(mut self, mut kill: impl FnMut(&Small, &mut StdRng, (Command, Duration)) -> String) {
        let mut killed = 0;
        // Builds take more or less time as the test goes on: about one in ten is to end before it is killed.
        let mut pace = [1.0; 2];
        for number in 0..KILLS {
            // The second of two kills meets what the first one left of the same image.
            let epoch = EPOCHS[number / 2 % 2];
            // Half of them begin with fetching and unpacking, half with what the one before left.
            if number % 2 == 0 {
                fs::remove_dir_all(self.small.path("cache")).unwrap();
            }
            // One of them finds no earlier build.
            if number % 10 == 0 {
                fs::remove_dir_all(self.out()).unwrap();
            }
            let before = self.stamps();
            let command = self.build(epoch);
            // The others find a cache that is somewhere between.
            let time = if number % 2 == 0 { self.times[0] } else { (self.times[0] + self.times[1]) / 2 };
            let pace = &mut pace[number % 2];
            let how = kill(&self.small, &mut self.rng, (command, time.mul_f64(*pace)));
            let context = format!("kill {number} of BERTH_SEED={}: {how}", self.seed);
            let in_time = self.judge(&before, epoch, &context);
            killed += usize::from(in_time);
            *pace *= if in_time { 1.03 } else { 0.8 };
            // Every second time: a build has to cope with more than one that was killed.
            if number % 2 == 1 {
                self.next(epoch, &context);
            }
        }
        assert!(killed > KILLS / 2, "only {killed} builds were killed before their end");
    }

    /// Whether the folder holds the earlier build; else it must hold the new one.
    fn judge(&self, before: &BTreeMap<String, (u64, u64, i64, i64)>, epoch: u64, context: &str) -> bool {
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

    /// The next build works, makes the same bytes, and nothing of the killed one is left.
    fn next(&self, epoch: u64, context: &str) {
        // With all packages there, the archive is not needed any more.
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

/// All paths below a folder, sorted; none of one that is not there yet.
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
fn killed_at_any_moment() {
    Bench::new().kills(|_, rng, (mut command, time)| {
        let delay = time.mul_f64(rng.gen_range(0.0..1.05));
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(delay);
        // One that has ended is not there to be killed.
        child.kill().unwrap();
        child.wait().unwrap();
        format!("after {delay:?}")
    });
}

/// The clock seldom meets what takes no time.
#[test]
fn killed_at_any_call() {
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
        // The end of a call that another thread's has cut in two.
        if name.starts_with('<') {
            continue;
        }
        let count = counts.entry((thread, name)).or_default();
        *count += 1;
        calls.push((name, *count));
    }
    assert!(calls.len() > 300, "{calls:?}");
    // What gives or takes a name, or waits for the disk, is where mistakes are: each of these once, others by chance.
    let names = ["mkdir", "rename", "link", "unlink", "rmdir", "symlink", "ftruncate", "fsync", "fdatasync"];
    let mut chosen: Vec<_> =
        calls.iter().filter(|(name, _)| names.iter().any(|known| name.starts_with(known))).collect();
    chosen.sort();
    chosen.dedup();
    assert!((30..KILLS).contains(&chosen.len()), "{chosen:?}");
    bench.kills(|small, rng, (command, _)| {
        let (name, number) = *chosen.pop().unwrap_or_else(|| &calls[rng.gen_range(0..calls.len())]);
        let inject = format!("inject={name}:signal=KILL:when={number}");
        let mut command = strace(Path::new("/dev/null"), &inject, &command);
        command.current_dir(small.dir.path()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        format!("at a thread's {name} number {number}")
    });
}

/// `command` under strace, which is told what to do in strace's words.
fn strace(trace: &Path, what: &str, command: &Command) -> Command {
    let mut strace = Command::new("strace");
    // Not --seccomp-bpf: with that, strace 6.1 injects nothing.
    strace.args(["-f", "-qq", "-e", "signal=none", "-e", what, "-o"]).arg(trace);
    for (name, value) in command.get_envs() {
        strace.env(name, value.unwrap());
    }
    strace.arg(command.get_program()).args(command.get_args());
    strace
}

/// What a shell does in a mount namespace where `$1` is a small file system of `$2` bytes: fail to build, see what is there,
/// find room, build. The earlier build `$3`, if any, is copied there before; `$4...` is the build.
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

/// A build with a full disk below `full`, of several sizes up to `need`.
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

/// Bytes that a folder takes on the disk.
fn usage(folder: &Path) -> u64 {
    let found = done(Command::new("du").args(["-s", "-B1"]).arg(folder)).stdout;
    String::from_utf8(found).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_full_disk_under_the_output_folder() {
    let bench = Bench::new();
    let need = usage(&bench.out());
    full(&bench, "full", "", (4096, need), "full/out");
    // Now beside an earlier build, which needs as much.
    full(&bench, "full", "place/out", (need, need), "full/out");
}

#[test]
fn a_full_disk_under_the_cache() {
    let bench = Bench::new();
    let need = usage(&bench.small.path("cache"));
    fs::remove_dir_all(bench.small.path("cache")).unwrap();
    full(&bench, "cache", "", (4096, need), "place/out");
}
