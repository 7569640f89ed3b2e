//! The `berth` command: its output on stdout and stderr, and its exit status.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

const BERTH: &str = env!("CARGO_BIN_EXE_berth");

fn berth(dir: &Path, args: &[&str]) -> Output {
    Command::new(BERTH).args(args).current_dir(dir).env_clear().env("HOME", dir).output().unwrap()
}

fn talk(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn wrong_usage_exits_with_2_and_names_the_expected_arguments() {
    let dir = TempDir::new().unwrap();
    for (args, wanted) in [
        (&[][..], "Usage: berth"),
        (&["biuld"], "tip: a similar subcommand exists: 'build'"),
        (&["build"], "<RECIPE>"),
        (&["build", "r.toml", "--version", "1_0"], "expected 1 to 48 of letters"),
        (&["build", "r.toml", "--mirror", "ftp://example.org"], "expected http:, https: or file:"),
        (&["lock", "-q", "-v", "r.toml"], "cannot be used with"),
        (&["lock"], "<RECIPE>"),
        (&["lock", "--update"], "expected a recipe, found none"),
        (&["why", "r.toml"], "<PKG|PATH>"),
        (&["pack", "hello"], "--output <FILE.tar>"),
    ] {
        let output = berth(dir.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(talk(&output).contains(wanted) && output.stdout.is_empty(), "{args:?}: {}", talk(&output));
    }
}

#[test]
fn wrong_arguments_with_a_password_are_shown_without_it() {
    let dir = TempDir::new().unwrap();
    for args in [
        &["lock", "r.toml", "--mirror", "https://joe:hunter2@example.org/debian"][..],
        &["build", "r.toml", "https://joe:hunter2@example.org/debian"],
    ] {
        let output = berth(dir.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let said = talk(&output);
        assert!(said.contains("https://example.org/debian") && !said.contains("hunter2"), "{args:?}: {said}");
    }
}

#[test]
fn a_failure_exits_with_1_and_prints_the_cause_on_stderr_without_colours() {
    let dir = TempDir::new().unwrap();
    for verb in ["lock", "build"] {
        let output = berth(dir.path(), &[verb, "none.toml"]);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{verb}");
        let wanted = "error: cannot read recipe none.toml\n  caused by: No such file or directory (os error 2)\nhint: ";
        assert!(talk(&output).starts_with(wanted), "{verb}: {}", talk(&output));
    }
    // The recipe may come before or after the names of the packages.
    for args in [
        &["lock", "none.toml", "--update"][..],
        &["lock", "none.toml", "--update", "a", "b"],
        &["lock", "--update", "none.toml"],
        &["lock", "--update", "a", "b", "none.toml"],
        &["why", "none.toml", "a"],
    ] {
        let output = berth(dir.path(), args);
        assert!(talk(&output).starts_with("error: cannot read recipe none.toml\n"), "{args:?}: {}", talk(&output));
    }
    fs::write(dir.path().join("r.toml"), "verison = '1'\n").unwrap();
    let output = berth(dir.path(), &["build", "r.toml"]);
    let lines: Vec<_> = talk(&output).lines().map(str::to_owned).collect();
    assert_eq!(lines[0], "error: r.toml:1:1: unknown key `verison`");
    assert_eq!(lines[3], "  | ^^^^^^^");
    assert_eq!(lines.last().unwrap(), "hint: did you mean `version`?");
}

#[test]
fn failures_have_a_hint() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::write(dir.path().join("r.toml"), "id = x\n").unwrap();
    for (args, error, hint) in [
        (&["build", "."][..], ". is a folder: expected a recipe", "name the recipe in this folder: r.toml"),
        (&["lock", "empty"], "empty is a folder: expected a recipe", "name a recipe: a TOML file"),
        (&["build", "r.toml"], "r.toml:1:6: ", "TOML has texts in quotes"),
        (
            &["keys", "new", "keys", "--threshold", "3"],
            "root: expected a threshold of 1 to ",
            "make more keys (--root-keys",
        ),
        (&["run", "empty"], "empty: expected a recipe (.toml) or a disk image, found a folder", "name a recipe"),
    ] {
        let output = berth(dir.path(), args);
        let said = talk(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.starts_with(&format!("error: {error}")), "{args:?}: {said}");
        assert_eq!(said.matches("\nhint: ").count(), 1, "{args:?}: {said}");
        assert!(said.contains(&format!("\nhint: {hint}")), "{args:?}: {said}");
    }
    let made = berth(dir.path(), &["keys", "new", "keys"]);
    assert!(made.status.success(), "{}", talk(&made));
    let said = talk(&berth(dir.path(), &["release", "empty", "--repo", "repo", "--keys", "keys"]));
    let wanted = "error: empty is not a build: it has no SHA256SUMS\nhint: name the output folder of `berth build`\n";
    assert!(said.ends_with(wanted), "{said}");
    let help = String::from_utf8(berth(dir.path(), &["--help"]).stdout).unwrap();
    assert!(help.contains("130 or 143 when interrupted"), "{help}");
}

/// A closed pipe is no error; a full disk is one, in the form of all others.
#[test]
fn standard_output_that_cannot_be_written_is_reported() {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("program");
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(64, 0);
    (elf[16], elf[18]) = (2, 62);
    fs::write(&program, elf).unwrap();
    let pack = |stdout: std::process::Stdio| {
        let mut command = Command::new(BERTH);
        command.args(["pack", "program", "-o", "x.tar"]).current_dir(dir.path()).env_clear().env("HOME", dir.path());
        command.stdout(stdout).output().unwrap()
    };
    let full = pack(fs::File::options().write(true).open("/dev/full").unwrap().into());
    assert_eq!(full.status.code(), Some(1));
    let wanted = "error: cannot write to standard output\n  caused by: No space left on device (os error 28)\nhint: free some space";
    assert!(talk(&full).contains(wanted), "{}", talk(&full));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let closed = pack(writer.into());
    assert!(closed.status.success() && !talk(&closed).contains("error"), "{}", talk(&closed));
}

#[test]
fn invalid_environment_variables_are_errors() {
    let output = Command::new(BERTH).args(["build", "r.toml"]).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(talk(&output).ends_with("hint: name a folder with --cache\n"), "{}", talk(&output));
    let output = Command::new(BERTH).args(["build", "r.toml"]).env_clear().env("SOURCE_DATE_EPOCH", "today").output();
    assert!(talk(&output.unwrap()).starts_with("error: SOURCE_DATE_EPOCH: expected seconds since 1970"));
}

#[test]
fn berth_pack_makes_the_same_bytes_in_every_environment() {
    let dir = TempDir::new().unwrap();
    // `berth` itself serves as a static program.
    let pack = |name: &str, umask: &str, zone: &str| -> (PathBuf, Output) {
        let place = dir.path().join(name);
        fs::create_dir(&place).unwrap();
        fs::copy(BERTH, place.join("tool")).unwrap();
        let script = format!("umask {umask}; exec '{BERTH}' pack tool --cmd=--help --cmd -v -o tool.tar");
        let output = Command::new("sh").args(["-c", &script]).current_dir(&place).env("TZ", zone).output().unwrap();
        (place.join("tool.tar"), output)
    };
    let (first, output) = pack("a", "022", "UTC");
    assert!(output.status.success(), "{}", talk(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "tool.tar\n");
    assert!(talk(&output).starts_with("    pack tool:latest sha256:"), "{}", talk(&output));
    let (second, _) = pack("b", "077", "Asia/Tokyo");
    assert!(fs::read(&first).unwrap() == fs::read(second).unwrap());
    let mut names: Vec<_> = fs::read_dir(dir.path().join("a")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["tool", "tool.tar"], "no other file is left");
    let quiet = berth(&dir.path().join("a"), &["-q", "pack", "tool", "-o", "nowhere/tool.tar"]);
    assert_eq!(quiet.status.code(), Some(1));
    assert!(talk(&quiet).starts_with("error: cannot write nowhere/tool.tar\n"), "{}", talk(&quiet));
    let config =
        Command::new("skopeo").args(["inspect", "--config", &format!("oci-archive:{}", first.display())]).output();
    let config = String::from_utf8(config.expect("skopeo is missing: run ci/setup").stdout).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["config"], serde_json::json!({"Entrypoint": ["/tool"], "Cmd": ["--help", "-v"]}));
}

#[test]
fn a_host_toml_and_a_recipe_are_checked_on_a_desk() {
    let dir = TempDir::new().unwrap();
    for (text, expected) in [
        ("hostname = 'node-1'\n[[container]]\nname = 'web'\nimage = 'x'\n", Ok("file.toml is a valid host.toml")),
        (
            "[[container]]\nname = 'web'\nimage = 'x'\ncpus = 0.0",
            Err("file.toml: line 4, column 8: container[0].cpus: expected a number greater than 0, found 0"),
        ),
        ("hostnam = 'x'", Err("hint: did you mean `hostname`?")),
        ("hostname = 'a", Err("hint: TOML has texts in quotes")),
        ("id = 'a'\n[debian]\nsuite = 'trixie'\n[kernel]\npackage = 'linux'", Ok("file.toml is a valid recipe")),
        ("id = 'a'\n[debian]\npackges = []", Err("hint: did you mean `packages`?")),
    ] {
        fs::write(dir.path().join("file.toml"), text).unwrap();
        let output = berth(dir.path(), &["check", "file.toml"]);
        let (code, words) = expected.map_or_else(|words| (1, words), |words| (0, words));
        assert_eq!(output.status.code(), Some(code), "{text}: {}", talk(&output));
        assert!(talk(&output).contains(words) && output.stdout.is_empty(), "{text}: {}", talk(&output));
    }
    let output = berth(dir.path(), &["check", "file.toml", "--kind", "host"]);
    assert!(talk(&output).contains("unknown key `debian`"), "{}", talk(&output));
    assert!(talk(&berth(dir.path(), &["check", "none.toml"])).contains("cannot read none.toml"));
}
