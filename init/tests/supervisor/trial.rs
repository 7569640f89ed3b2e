//! Verdicts on versions on trial.

use super::{
    init::{POWEROFF, REBOOT},
    kit::{Host, SLEEPS},
};
use berth_contract::{
    subject::Subject,
    update::{BootEnd, BootRecord, Verdict},
};
use berth_control::ClientError;
use std::{fs, path::Path, time::Duration};

/// Writes the EFI variable that systemd-boot writes for an entry with a counter.
pub(crate) fn count(folder: &Path) {
    let units = "\\EFI\\Linux\\berth-test_1+2-1.efi\0".encode_utf16().flat_map(u16::to_le_bytes);
    let bytes: Vec<u8> = [6, 0, 0, 0].into_iter().chain(units).collect();
    fs::write(folder.join("LoaderBootCountPath"), bytes).unwrap();
}

fn record(host: &Host) -> Option<BootRecord> {
    let entry = fs::read_dir(host.path("boots"))
        .ok()?
        .flatten()
        .find(|entry| entry.path().extension().is_some_and(|end| end == "json"))?;
    serde_json::from_slice(&fs::read(entry.path()).ok()?).ok()
}

fn bad(what: Subject, why: &str) -> Verdict {
    Verdict::Bad { what, why: why.to_owned() }
}

pub(crate) fn a_version_on_trial_that_is_bad_or_late_is_rebooted_and_a_good_one_is_not() {
    // Healthy: the host continues, and the log of `hostctl bless` has its output.
    let mut host = Host::start_with(&[SLEEPS], "echo \"$@\"; echo '\"good\"'", count);
    host.wait_for("verdict", |host| record(host).is_some_and(|record| record.verdict == Verdict::Good));
    assert_eq!(record(&host).unwrap().counter.map(|counter| (counter.left, counter.done)), Some((2, 1)));
    let mut said = Vec::new();
    host.client()
        .logs("bless", false, |line| {
            said.push(line.text);
            Ok::<_, ClientError>(())
        })
        .unwrap();
    assert_eq!(said, ["bless --until 10000000", "\"good\""]);
    host.client().poweroff().unwrap();
    assert_eq!(host.status_of_end(), POWEROFF);
    let found = record(&host).unwrap();
    assert_eq!((found.verdict, found.end), (Verdict::Good, Some(BootEnd::Poweroff)));

    // Not healthy: the verdict and the logs are recorded, then the host goes down.
    let word = r#"echo checking; echo '{"bad":{"what":{"kind":"service","name":"sleeps"},"why":"status 3"}}'; exit 1"#;
    let mut host = Host::start_with(&[SLEEPS], &format!("sleep 0.5; {word}"), count);
    assert_eq!(host.status_of_end(), REBOOT);
    let found = record(&host).unwrap();
    let sleeps = Subject::Service("sleeps".to_owned());
    assert_eq!((&found.verdict, &found.end), (&bad(sleeps, "status 3"), &Some(BootEnd::Verdict)));
    for words in ["sleeps: something to say", "bless: checking"] {
        assert!(found.tail.iter().any(|line| line.contains(words)), "{words}: {found:#?}");
    }

    // No verdict in time, or no verdict at all.
    let mut host = Host::start_with(&[SLEEPS], "echo still waiting; sleep 1000", |folder| {
        count(folder);
        let now = berth_init::timeline::now_us() / 1_000_000;
        fs::write(folder.join("limit"), (now + 2).to_string()).unwrap();
    });
    assert_eq!(host.status_of_end(), REBOOT);
    let verdict = record(&host).unwrap().verdict;
    let Verdict::Bad { what, why } = verdict else { panic!("{verdict:?}") };
    assert!(what == Subject::Time && why.ends_with("s: still waiting"), "{what}: {why}");
    let mut host = Host::start_with(&[SLEEPS], "echo oh; kill -SEGV $$", count);
    assert_eq!(host.status_of_end(), REBOOT);
    let why = "hostctl bless ended with signal 11 (SIGSEGV); it said: oh";
    assert_eq!(record(&host).unwrap().verdict, bad(Subject::Bless, why));
}

pub(crate) fn a_version_that_is_not_on_trial_is_never_rebooted() {
    let word = r#"echo '{"bad":{"what":{"kind":"check","name":"disk"},"why":"full"}}'; exit 1"#;
    let mut host = Host::start_with(&[SLEEPS], word, |folder| fs::write(folder.join("limit"), "1").unwrap());
    let full = bad(Subject::Check("disk".to_owned()), "full");
    host.wait_for("verdict", |host| record(host).is_some_and(|record| record.verdict == full));
    assert!(host.process.try_wait().unwrap().is_none());
    assert_eq!(record(&host).unwrap().end, None);
    // No verdict in time does not reboot it either.
    let mut host = Host::start_with(&[SLEEPS], "sleep 1000", |folder| fs::write(folder.join("limit"), "1").unwrap());
    host.client().wait_ready().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(host.process.try_wait().unwrap().is_none() && record(&host).is_none());
}

pub(crate) fn a_trial_fails_without_hostctl_or_without_var() {
    let mut host = Host::start_with(&[SLEEPS], "", |folder| {
        count(folder);
        fs::remove_file(folder.join("hostctl")).unwrap();
    });
    assert_eq!(host.status_of_end(), REBOOT);
    let verdict = record(&host).unwrap().verdict;
    assert!(
        matches!(&verdict, Verdict::Bad { what, why } if *what == Subject::Bless && why.contains("cannot start")),
        "{verdict:?}"
    );
    let mut host = Host::start_with(&[SLEEPS], "exit 0", |folder| {
        count(folder);
        fs::write(folder.join("var-in-memory"), "").unwrap();
    });
    assert_eq!(host.status_of_end(), REBOOT);
    assert_eq!(record(&host), None);
    // A version that is not on trial is not rebooted for that.
    let mut host = Host::start_with(&[SLEEPS], "exit 0", |folder| fs::write(folder.join("var-in-memory"), "").unwrap());
    host.client().wait_ready().unwrap();
    assert!(host.process.try_wait().unwrap().is_none());
}
