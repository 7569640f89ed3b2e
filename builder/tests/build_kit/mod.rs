//! Whole builds by the `berth` program: of a very small recipe, and of the recipe for docker hosts.

use crate::assemble_kit::{Deb, module, tool, xz};
use crate::refusal_kit::fixture::{Fixture, GOOD, TestKey, hex};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// The `berth` program under test. The programs for the image are in the same folder.
pub(crate) const BERTH: &str = env!("CARGO_BIN_EXE_berth");
const RELEASE: &str = "6.12.1-test";
/// Our programs in every image. The builder only checks that they are static.
const PROGRAMS: [&str; 7] = ["init", "netd", "logd", "timed", "workload", "hostd", "hostctl"];

/// A scratch folder on a real disk. All users may read it.
pub(crate) fn scratch() -> TempDir {
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// The stderr of `berth`.
pub(crate) fn talk(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs `command`, which must succeed.
pub(crate) fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: run ci/setup"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, talk(&output));
    output
}

/// `program` as the superuser, for mounts and for a change of the user. Uses sudo if an ordinary user runs the tests.
pub(crate) fn superuser(program: &str) -> Command {
    let mut command = match rustix::process::geteuid().is_root() {
        true => Command::new("env"),
        false => Command::new("sudo"),
    };
    command.arg(program);
    command
}

/// Checks with cmp that two folders have the same file names and contents.
pub(crate) fn same(first: &Path, second: &Path) {
    let names = |folder: &Path| {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    assert_eq!(names(first), names(second));
    assert_eq!(names(first).len(), 7, "{}", first.display());
    for name in names(first) {
        let path = |folder: &Path| folder.join(&name).to_str().unwrap().to_owned();
        tool("cmp", &[&path(first), &path(second)]);
    }
}

/// Checks the digests of a folder's outputs: SHA256SUMS, and the disk's digest in the manifest.
pub(crate) fn whole(folder: &Path) {
    done(Command::new("sha256sum").args(["--quiet", "--check", "SHA256SUMS"]).current_dir(folder));
    let the = |ending: &str| {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let found = names.into_iter().find(|path| path.to_str().unwrap().ends_with(ending));
        found.unwrap().to_str().unwrap().to_owned()
    };
    let wanted = tool("jq", &["-r", ".outputs[] | .fsverity // empty", &the(".manifest.json")]);
    assert_eq!(tool("fsverity", &["digest", "--compact", &the(".raw")]), wanted, "{}", folder.display());
}

/// Hard-links only the fetched files of a cache into another cache.
pub(crate) fn blobs(cache: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    tool("cp", &["-al", cache.join("blobs").to_str().unwrap(), to.to_str().unwrap()]);
}

/// A small recipe with its archive. A build takes a fraction of a second.
pub(crate) struct Small {
    pub(crate) dir: TempDir,
    archive: Fixture,
}

impl Small {
    /// Makes recipe and archive, and runs `berth lock`.
    pub(crate) fn new() -> Self {
        let small = Self { dir: scratch(), archive: Fixture::new() };
        let key = TestKey::new(GOOD);
        small.write("recipe/keys.gpg", key.binary());
        small.write("recipe/small.toml", RECIPE);
        small.write("recipe/overlays/own/etc/motd", "hello\n");
        small.write("recipe/overlays/own/usr/bin/script", "executable\n");
        let script = fs::Permissions::from_mode(0o755);
        fs::set_permissions(small.path("recipe/overlays/own/usr/bin/script"), script).unwrap();
        small.programs();
        small.packages(&key);
        done(
            Command::new(small.path("bin/berth"))
                .args(["pack", "bin/init", "--name", "hello", "-o"])
                .arg("recipe/hello.tar")
                .current_dir(small.dir.path()),
        );
        done(&mut small.berth(&["lock"], "lock-cache"));
        small
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Puts `berth` into the folder `bin`, with the smallest files that are accepted as static programs.
    fn programs(&self) {
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(64, 0);
        elf[16..20].copy_from_slice(&[2, 0, 62, 0]);
        elf[32] = 64;
        elf[54] = 56;
        for name in PROGRAMS {
            self.write(&format!("bin/{name}"), [&elf, name.as_bytes()].concat());
        }
        tool("cp", &["-l", BERTH, self.path("bin/berth").to_str().unwrap()]);
    }

    fn packages(&self, key: &TestKey) {
        let pool = self.archive.path().join("debian/pool");
        fs::create_dir_all(&pool).unwrap();
        let work = tempfile::tempdir().unwrap();
        let folder = format!("usr/lib/modules/{RELEASE}");
        let mut kernel = Deb::new("linux-image-test")
            .file(&format!("boot/vmlinuz-{RELEASE}"), noise(1, 300_000))
            .file(&format!("{folder}/modules.builtin"), "kernel/drivers/md/dm-verity.ko\n");
        for name in ["erofs", "virtio_blk", "overlay"] {
            let ko = module(work.path(), name, &[&format!("name={name}"), "depends="]);
            kernel = kernel.file(&format!("{folder}/kernel/{name}.ko.xz"), xz(work.path(), &ko));
        }
        let efi = Path::new("/usr/lib/systemd/boot/efi");
        let part = |name: &str| fs::read(efi.join(name)).expect("systemd-boot-efi is missing: run ci/setup");
        let mut boot = Deb::new("systemd-boot-efi");
        for name in ["linuxx64.efi.stub", "systemd-bootx64.efi"] {
            boot = boot.file(&efi.strip_prefix("/").unwrap().join(name).to_string_lossy(), part(name));
        }
        let mut engine = Deb::new("docker.io")
            .file("usr/sbin/dockerd", noise(2, 900_000))
            .link("usr/bin/docker", "../sbin/dockerd")
            .file("var/lib/docker/README", "state\n")
            .dir("var/cache/empty");
        for number in 0..200_u32 {
            engine = engine.file(&format!("usr/share/many/{number:03}"), noise(1000 + number, 40 * number as usize));
        }
        let mut index = String::new();
        for deb in [kernel, boot, engine] {
            let package = deb.copyright().build(&pool);
            let bytes = fs::read(&package.deb).unwrap();
            index += &format!(
                "Package: {0}\nVersion: 1.0\nArchitecture: amd64\nFilename: pool/{0}.deb\nSize: {1}\nSHA256: {2}\n\n",
                package.name,
                bytes.len(),
                hex(&bytes)
            );
        }
        self.archive.suite(key, "trixie", "", &index);
    }

    /// `berth` with this verb for the recipe. The mirrors, folders and environment variables of the computer are not used. `cache` is a
    /// folder in `dir`.
    pub(crate) fn berth(&self, verb: &[&str], cache: &str) -> Command {
        let mut command = Command::new(self.path("bin/berth"));
        command.env_clear().args(["--mirror", &self.archive.url(), "--cache"]).arg(self.path(cache));
        command.args(verb).arg("recipe/small.toml").current_dir(self.dir.path());
        command
    }

    /// A build into the folder `output` in `dir`.
    pub(crate) fn build(&self, output: &str, cache: &str) -> Command {
        self.berth(&["-q", "build", "-o", output], cache)
    }

    /// The same build, which uses only the cache and not the archive.
    pub(crate) fn build_offline(&self, output: &str, cache: &str) -> Command {
        let mut command = Command::new(self.path("bin/berth"));
        command.env_clear().args(["-q", "--offline", "--mirror", "http://127.0.0.1:9", "--cache"]);
        command.arg(self.path(cache)).args(["build", "-o", output, "recipe/small.toml"]).current_dir(self.dir.path());
        command
    }
}

const RECIPE: &str = r#"id = "small"
version = "1"
overlays = ["own"]
[debian]
suite = "trixie"
keyring = "keys.gpg"
packages = ["docker.io"]
[kernel]
package = "linux-image-test"
modules = ["overlay"]
[engine]
kind = "docker"
[disk]
esp = "64MiB"
slot = "16MiB"
[[oci]]
image = "oci-archive:hello.tar"
[[device]]
path = "usr/lib/own-device"
type = "char"
major = 1234
minor = 56789
mode = "0640"
"#;

/// Pseudo-random bytes. The same seed always gives the same bytes.
pub(crate) fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = u64::from(seed) << 1 | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A build of the recipe for docker hosts, in a checkout.
pub(crate) struct Docker {
    /// The checkout.
    pub(crate) root: PathBuf,
    /// The outputs of the first build. All other builds must be equal to them.
    pub(crate) reference: PathBuf,
    /// The cache of this computer. It has all packages after the first build.
    pub(crate) cache: PathBuf,
}

impl Docker {
    /// Builds the recipe as a user does. Only this build may use the computer's Debian mirror.
    pub(crate) fn new(dir: &Path) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
        let programs = Path::new(BERTH).parent().unwrap();
        let built = PROGRAMS.iter().all(|name| programs.join(name).exists());
        assert!(built && root.join("recipes/images/hello.tar").exists(), "programs are missing: run ci/build");
        let reference = dir.join("reference");
        let mut build = Command::new(BERTH);
        build.args(["-q", "build", "recipes/docker.toml", "-o"]).arg(&reference).current_dir(&root);
        done(&mut build);
        let variable = std::env::var_os;
        let cache =
            berth_fetch::store::default_root(variable("XDG_CACHE_HOME").as_deref(), variable("HOME").as_deref());
        Self { root, reference, cache: cache.unwrap() }
    }
}

/// Builds the recipe again as the user nobody, from the fetched packages and without a network. Compares the outputs with the reference.
/// Returns the folder that contains the output folder. `prepare` and `around` are those of [`Nobody`].
pub(crate) fn as_nobody(docker: &Docker, dir: &Path, (prepare, around): (&str, &str)) -> PathBuf {
    let (cache, output) = (dir.join("cache"), dir.join("theirs"));
    blobs(&docker.cache, &cache);
    let programs = Path::new(BERTH).parent().unwrap();
    let nobody = Nobody { source: &docker.root, programs, cache: &cache, output: &output, prepare, around };
    done(&mut nobody.run("-q --offline --cache /mnt/cache build -o /mnt/output/out recipes/docker.toml"));
    done(superuser("chmod").args(["-R", "a+rX"]).arg(&output));
    same(&docker.reference, &output.join("out"));
    output
}

/// A run as the user nobody in a mount namespace. The inputs are mounted below /mnt, so the user nobody can read them even if they are in a
/// private folder.
pub(crate) struct Nobody<'a> {
    /// The checkout, read-only.
    pub(crate) source: &'a Path,
    /// The programs, read-only.
    pub(crate) programs: &'a Path,
    /// The cache.
    pub(crate) cache: &'a Path,
    /// The folder that contains the output folder.
    pub(crate) output: &'a Path,
    /// Shell commands that the superuser runs in the namespace before the build.
    pub(crate) prepare: &'a str,
    /// Shell text in front of the program's path, such as `umask 077; exec env -i`.
    pub(crate) around: &'a str,
}

impl Nobody<'_> {
    /// `berth` with these arguments, in the checkout and without a network.
    pub(crate) fn run(&self, arguments: &str) -> Command {
        for folder in [self.cache, self.output] {
            fs::create_dir_all(folder).unwrap();
            // Change only the owner of folders: the blobs are hard links to the computer's cache, so their owner must not change.
            done(superuser("find").arg(folder).args(["-type", "d", "-exec", "chown", "65534:65534", "{}", "+"]));
        }
        let script = format!(
            "mount -t tmpfs -o mode=755 none /mnt
            for part in source programs cache output; do mkdir /mnt/$part; mount --bind \"$1\" /mnt/$part; shift; done
            for part in source programs; do mount -o remount,bind,ro /mnt/$part; done
            {}
            cd /mnt/source
            exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs sh -c '{} /mnt/programs/berth {arguments}'",
            self.prepare, self.around
        );
        let mut command = superuser("unshare");
        command.args(["--mount", "--net", "sh", "-euc", &script, "sh"]);
        command.args([self.source, self.programs, self.cache, self.output]);
        command
    }
}
