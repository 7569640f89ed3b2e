//! `berth schema`: taplo, a checker of TOML files, accepts with it what Berth accepts, and finds wrong keys and values.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A schema in a file, and the program that checks with it.
struct Judge {
    dir: TempDir,
    taplo: PathBuf,
}

impl Judge {
    fn new(kind: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("ci/taplo");
        let output = Command::new(script).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let dir = TempDir::new().unwrap();
        let schema = Command::new(env!("CARGO_BIN_EXE_berth")).args(["schema", kind]).output().unwrap();
        assert!(schema.status.success());
        fs::write(dir.path().join("schema.json"), schema.stdout).unwrap();
        Self { taplo: String::from_utf8(output.stdout).unwrap().trim().into(), dir }
    }

    /// Checks a file. Returns taplo's messages if it finds a fault.
    fn check(&self, file: &Path) -> Result<(), String> {
        let schema = format!("file://{}", self.dir.path().join("schema.json").display());
        let mut command = Command::new(&self.taplo);
        command.args(["lint", "--no-auto-config", "--schema", &schema]).arg(file).env("NO_COLOR", "1");
        let output = command.output().unwrap();
        output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn check_text(&self, text: &str) -> Result<(), String> {
        let file = self.dir.path().join("file.toml");
        fs::write(&file, text).unwrap();
        self.check(&file)
    }
}

#[test]
fn the_schema_of_recipes_accepts_those_of_this_repository_and_finds_faults() {
    let judge = Judge::new("recipe");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for entry in fs::read_dir(root.join("recipes")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            judge.check(&path).unwrap();
        }
    }
    judge
        .check_text(
            "id = 'a'\narch = 'x86_64'\noverlays = { add = ['a'], remove = ['b'] }\n[debian]\nsuite = 'trixie'\n\
             archives = ['trixie-updates', { suite = './', name = 'x', mirror = ['https://x'] }]\nvalid_until = 'ignore'\n\
             versions = { a = '=1*', b = { suite = 'trixie' } }\nunpack_limit = '4GiB'\n[disk]\nslot = 1073741824\n\
             [config]\nsources = ['disk']\n[scripts]\npkg = 'ignore'\n[[device]]\npath = 'dev/x'\ntype = 'fifo'\n",
        )
        .unwrap();
    for (text, words) in [
        ("idd = 'a'", "'idd' was unexpected"),
        ("arch = 'vax'", "\"vax\" is not"),
        ("[debian]\npackages = 'a'", "\"a\" is not"),
        ("[debian]\nvalid_until = 'later'", "\"later\" is not"),
        ("[config]\nsources = ['tape']", "is not valid"),
        ("[disk]\nslot = '1GB'", "\"1GB\" is not valid"),
        ("[[device]]\npath = 'dev/x'", "is not valid under any"),
        ("[scripts]\npkg = 'run'", "\"run\" is not"),
    ] {
        let fault = judge.check_text(text).unwrap_err();
        assert!(fault.contains(words), "{text}: {fault}");
    }
}

#[test]
fn the_schema_of_host_toml_finds_unknown_keys_and_wrong_values() {
    let judge = Judge::new("host");
    judge
        .check_text(
            "hostname = 'node-1'\n[docker.tls]\nca = 'x'\ncert = 'x'\nkey = 'x'\n[update]\nsource = 'https://x'\n\
             [[container]]\nname = 'web'\nimage = 'hello'\nports = ['8080:80', '[::1]:1:2/udp']\nmemory = '256MiB'\n\
             network = 'container:db'\nvolumes = ['data:/data', '/var/srv:/srv:ro']\ncpus = 0.5\nrestart = 'on-failure'\n\
             [[health]]\nname = 'a'\nexec = ['/x']\n",
        )
        .unwrap();
    for (text, words) in [
        ("hostnam = 'x'", "'hostnam' was unexpected"),
        ("hostname = 5", "5 is not of type \"string\""),
        ("[[container]]\nname = 'aa'", "\"image\" is a required property"),
        ("[[container]]\nname = 'aa'\nimage = 'b'\nports = ['80']", "\"80\" does not match"),
        ("[[container]]\nname = 'aa'\nimage = 'b'\nrestart = 'sometimes'", "\"sometimes\" is not valid"),
        ("[[health]]\nname = 'a'\nexec = ['/x']\ntimeout = -1", "-1"),
    ] {
        let fault = judge.check_text(text).unwrap_err();
        assert!(fault.contains(words), "{text}: {fault}");
    }
}
