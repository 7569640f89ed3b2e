//! Runs APT with its own folders and configuration.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// An APT that knows a few suites and has nothing installed.
pub(crate) struct Apt {
    _dir: TempDir,
    config: PathBuf,
}

impl Apt {
    /// Configures APT for the suites of the archive at `mirror`, with pins for the suites in `priorities`, and reads the indices.
    pub(crate) fn new(mirror: &Path, suites: &[String], priorities: &BTreeMap<String, i16>) -> Self {
        let dir = TempDir::new().unwrap();
        let root = dir.path();
        for folder in ["state/lists/partial", "cache/archives/partial", "etc"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let (config, shown) = (root.join("apt.conf"), root.display());
        let text = format!(
            "Dir::State \"{shown}/state\";\nDir::State::status \"{shown}/status\";\nDir::Cache \"{shown}/cache\";\n\
             Dir::Etc \"{shown}/etc\";\nDir::Etc::sourcelist \"{shown}/etc/sources.list\";\n\
             APT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\nAPT::Install-Recommends \"false\";\n\
             APT::Sandbox::User \"root\";\nAPT::Solver \"internal\";\nAcquire::Languages \"none\";\n\
             Acquire::By-Hash \"no\";\nDebug::NoLocking \"true\";\n"
        );
        fs::write(&config, text).unwrap();
        fs::write(root.join("status"), "").unwrap();
        let mut sources = String::new();
        let keyring = berth::source::debian::keyring::DEBIAN_KEYRING;
        for suite in suites {
            writeln!(sources, "deb [signed-by={keyring}] file:{} {suite} main", mirror.display()).unwrap();
        }
        fs::write(root.join("etc/sources.list"), sources).unwrap();
        let mut preferences = String::new();
        for (suite, priority) in priorities {
            write!(preferences, "Package: *\nPin: release n={suite}\nPin-Priority: {priority}\n\n").unwrap();
        }
        fs::write(root.join("etc/preferences"), preferences).unwrap();
        let apt = Self { _dir: dir, config };
        let output = apt.run(&["update"]);
        assert!(output.status.success(), "apt-get update: {}", told(&output));
        // This call writes the package cache. Later calls read it.
        apt.closure("apt").unwrap();
        apt
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut apt = Command::new("apt-get");
        apt.args(args).env("APT_CONFIG", &self.config).env("LC_ALL", "C");
        apt.output().expect("apt-get is missing: tests of the resolver need Debian")
    }

    /// Names and versions of all packages that `apt-get install` would install for this set.
    pub(crate) fn closure(&self, set: &str) -> Result<BTreeMap<String, String>, String> {
        // `--print-uris` makes APT list the packages and stop. A simulation (-s) would also compute the order of unpacking, which takes
        // seconds for a large set.
        let args = ["--print-uris", "--verbose-versions", "--no-install-recommends", "install"];
        let output = self.run(&args.into_iter().chain(set.split(' ')).collect::<Vec<_>>());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let Some((_, list)) = text.split_once("\nThe following NEW packages will be installed:\n") else {
            return Err(told(&output));
        };
        assert!(output.status.success(), "{}", told(&output));
        // Each line has the form `   NAME (VERSION)`.
        let lines = list.lines().map_while(|line| line.strip_prefix("   ")?.split_once(" ("));
        Ok(lines.map(|(name, rest)| (name.to_owned(), rest.trim_end_matches(')').to_owned())).collect())
    }
}

fn told(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().filter(|line| line.starts_with("E:")).collect::<Vec<_>>().join(" ")
}
