//! Runs the `berth` command with bad input: the test makes an archive, and a local mirror serves it and can send wrong answers. The output
//! of the command is compared without the parts that differ between computers and runs.

mod deb;
/// The archive of the unit tests, signed with a key of its own.
#[path = "../../src/source/debian/fixture.rs"]
#[expect(dead_code, reason = "the unit tests use the rest")]
pub(crate) mod fixture;
#[path = "../../../fetch/tests/server/mod.rs"]
#[expect(dead_code, reason = "the tests of fetch use the rest")]
pub(crate) mod server;
pub(crate) mod whole;

pub(crate) use deb::Deb;

use fixture::{Fixture, GOOD, TestKey};
use server::{Reply, Request, Server, page};

// The fixture imports this from its parent module.
use berth::date::Date;
use std::{
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

const BERTH: &str = env!("CARGO_BIN_EXE_berth");
/// Id of the user nobody and of its group.
const NOBODY: u32 = 65534;

/// A folder with a recipe, an archive, and everything else that a build needs.
pub(crate) struct Desk {
    pub(crate) dir: TempDir,
    pub(crate) archive: Fixture,
    pub(crate) key: TestKey,
}

/// The text of the recipe. `{}` is replaced by the packages.
const RECIPE: &str = r#"id = "small"
version = "1"
[debian]
suite = "trixie"
keyring = "keys.gpg"
packages = [{}]
[kernel]
package = "linux-image-test"
"#;

impl Desk {
    /// Makes an archive with these packages. If the kernel or the boot loader is missing, an empty package is added.
    pub(crate) fn new(debs: Vec<Deb>) -> Self {
        let mut debs = debs;
        for name in ["linux-image-test", "systemd-boot-efi"] {
            if !debs.iter().any(|deb| deb.name == name) {
                debs.push(Deb::new(name));
            }
        }
        // `berth` is hard-linked, because a debug build is large. A hard link needs the same file system.
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let desk = Self { dir, archive: Fixture::new(), key: TestKey::new(GOOD) };
        fs::create_dir(desk.path("bin")).unwrap();
        fs::hard_link(BERTH, desk.path("bin/berth")).unwrap();
        // The smallest file that is accepted as a static program: an ELF header.
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(64, 0);
        (elf[16], elf[18], elf[32], elf[54]) = (2, 62, 64, 56);
        for name in ["init", "netd", "logd", "timed", "workload", "hostd", "hostctl"] {
            desk.write(&format!("bin/{name}"), &elf);
        }
        desk.write("keys.gpg", desk.key.binary());
        desk.publish("", &debs);
        desk.recipe("");
        desk
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Writes the recipe `r.toml` with these packages. The form of `packages` is `"a", "b"`.
    pub(crate) fn recipe(&self, packages: &str) {
        self.write("r.toml", RECIPE.replace("{}", packages));
    }

    /// Puts packages into the archive. `fields` are more fields for the Release file.
    pub(crate) fn publish(&self, fields: &str, debs: &[Deb]) {
        let index: String = debs.iter().map(|deb| deb.publish(&self.archive)).collect();
        self.archive.suite(&self.key, "trixie", fields, &index);
    }

    /// Starts a web server for the archive. If `trick` returns an answer for a path, that answer is sent instead of the file.
    pub(crate) fn serve(&self, trick: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) -> Server {
        let root = self.archive.path().join("debian");
        Server::start(move |Request { path, .. }| {
            let file = || fs::read(root.join(path.trim_start_matches('/'))).ok().map(Reply::Good);
            trick(path).or_else(file).unwrap_or_else(|| page("404 Not Found", "text/plain", "not here"))
        })
    }

    /// `berth` without the computer's configuration. The cache is the folder `cache`.
    pub(crate) fn command(&self, mirror: &str, args: &[&str]) -> Command {
        let mut command = Command::new(self.path("bin/berth"));
        command.env_clear().args(["-q", "--cache", "cache", "--mirror", mirror]).args(args);
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn berth(&self, mirror: &str, args: &[&str]) -> Said {
        self.said(&self.command(mirror, args).output().unwrap())
    }

    /// Runs `berth lock`. It reads the archive through a `file:` URL.
    pub(crate) fn lock(&self) -> Said {
        self.berth(&self.archive.url(), &["lock", "r.toml"])
    }

    pub(crate) fn build(&self) -> Said {
        self.berth(&self.archive.url(), &["build", "r.toml"])
    }

    /// Builds as a user who owns the folder and is not the superuser. `prepare` runs after the change of the owner.
    pub(crate) fn build_as_nobody(&self, prepare: impl Fn(&Self)) -> Said {
        let mut command = self.command(&self.archive.url(), &["build", "r.toml"]);
        if rustix::process::geteuid().is_root() {
            for folder in [self.dir.path(), self.archive.path()] {
                let owner = format!("{NOBODY}:{NOBODY}");
                assert!(Command::new("chown").args(["-R", &owner]).arg(folder).status().unwrap().success());
            }
            command.uid(NOBODY).gid(NOBODY);
        }
        prepare(self);
        self.said(&command.output().unwrap())
    }

    pub(crate) fn said(&self, output: &Output) -> Said {
        let text = String::from_utf8(output.stderr.clone()).unwrap();
        let text = text.replace(self.dir.path().to_str().unwrap(), "DIR");
        let text = text.replace(self.archive.path().to_str().unwrap(), "ARCHIVE");
        Said { code: output.status.code(), text: same_everywhere(&text) }
    }
}

/// Exit status and stderr of the command.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

impl Said {
    /// The text of a failure. It must have a hint.
    pub(crate) fn refusal(self) -> String {
        let Self { code, text } = self;
        assert_eq!(code, Some(1), "{text}");
        assert!(text.starts_with("error: ") && text.contains("\nhint: "), "{text}");
        text
    }

    pub(crate) fn success(self) {
        assert_eq!(self.code, Some(0), "{}", self.text);
    }
}

/// Replaces ports, digests, key ids and times in `text`, because they differ between runs.
fn same_everywhere(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let line = line
            .split_once("and now it is ")
            .map_or(line.to_owned(), |(before, _)| format!("{before}and now it is NOW"));
        let mut rest = line.as_str();
        while let Some((before, after)) = rest.split_once("http://127.0.0.1:") {
            out += &format!("{before}http://MIRROR");
            rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        }
        out += rest;
        out.push('\n');
    }
    let is_hex = |c: char| c.is_ascii_hexdigit();
    let words: Vec<&str> = out.split(|c| !is_hex(c)).filter(|word| word.len() >= 40).collect();
    words.iter().fold(out.clone(), |text, word| text.replacen(word, if word.len() == 64 { "DIGEST" } else { "KEY" }, 1))
}
