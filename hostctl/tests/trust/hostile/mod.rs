//! Hostile repositories, each named after its fault, and what python-tuf (the reference implementation) thinks of them.
//!
//! The attacker of most rows has the keys that sign often, or a server between host and publisher. The last part of an upgrade's trust is
//! included: selection, record, and the kernel image.

mod case;
mod files;
mod keys;
mod targets;
mod versions;

use case::Case;
use std::{fs, io::Write as _, path::Path, process::Stdio};

/// The verdict of the reference implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judge {
    /// It refuses the repository too.
    Refuses,
    /// It accepts what this host refuses, for the reason given.
    Accepts(&'static str),
}

/// One repository.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) make: fn(&mut Case),
    /// Part of the host's error; empty if the repository is not hostile.
    pub(crate) error: &'static str,
    pub(crate) judge: Judge,
}

const fn row(name: &'static str, make: fn(&mut Case), error: &'static str, judge: Judge) -> Row {
    Row { name, make, error, judge }
}

fn rows() -> Vec<&'static Row> {
    [keys::ROWS, versions::ROWS, files::ROWS, targets::ROWS].into_iter().flatten().collect()
}

#[test]
fn every_hostile_repository_is_refused_and_nothing_of_it_is_remembered() {
    let mut faults = Vec::new();
    for row in rows() {
        let mut case = Case::new();
        (row.make)(&mut case);
        let before = case.remembered();
        let found = case.take();
        let right = match &found {
            Ok(()) => row.error.is_empty(),
            Err(error) => !row.error.is_empty() && error.contains(row.error),
        };
        if !right {
            faults.push(format!("{}: expected {:?}, found {found:?}", row.name, row.error));
        }
        // What the metadata alone do not show (a wrong target) is found later.
        if !row.error.is_empty() && case.remembered() != before && !case.trusts_metadata() {
            faults.push(format!("{}: it is remembered", row.name));
        }
        // After the attack the host still upgrades from the right repository.
        let sound = if case.trusts_metadata() { Ok(()) } else { case.take_sound() };
        if let Err(error) = sound {
            faults.push(format!("{}: the sound repository is refused afterwards: {error}", row.name));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_reference_implementation_agrees() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut script = berth_judge::tuf::python(&here.join("tests/kit/judge_repos.py"));
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().unwrap();
    let (mut stdin, mut cases) = (child.stdin.take().unwrap(), Vec::new());
    for row in rows() {
        let mut case = Case::new();
        (row.make)(&mut case);
        let root = case.dir.path().join("root.json");
        fs::write(&root, &case.host.root).unwrap();
        let before: Vec<_> = case.before.iter().map(|copy| copy.path().to_owned()).collect();
        let question = serde_json::json!({
            "root": root, "before": before, "repo": case.repo.dir.path(), "target": case.target,
            "state": case.dir.path().join("state"), "now": "2026-11-21T00:00:00+00:00",
        });
        writeln!(stdin, "{question}").unwrap();
        cases.push(case);
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), rows().len(), "{answers}");
    let mut others = Vec::new();
    for (row, answer) in rows().into_iter().zip(answers.lines()) {
        let accepts = row.error.is_empty() || matches!(row.judge, Judge::Accepts(_));
        if (answer == "accepted") != accepts {
            others.push(format!("{}: {answer}", row.name));
        }
    }
    assert!(others.is_empty(), "{others:#?}");
}
