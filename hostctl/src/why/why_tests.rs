use super::{records::RecordPaths, *};
use berth_contract::{
    digest::{RootHash, Sha256},
    disk::Slot,
    entry::BootCounter,
    update::BootEnd,
};
use std::fs;

fn boot(version: &str, started: u64, verdict: Verdict, end: Option<&str>) -> BootRecord {
    BootRecord {
        boot_id: format!("boot-{started}"),
        id: "berth-test".parse().unwrap(),
        version: version.parse().unwrap(),
        root_hash: root_hash(version),
        slot: Slot::B,
        counter: None,
        started,
        verdict,
        end: end.map(BootEnd::from),
        tail: vec!["[   1.000] a line".to_owned()],
    }
}

/// The root hash of a version in these tests: its first byte, repeated.
fn root_hash(version: &str) -> RootHash {
    RootHash(Sha256([version.as_bytes()[0]; 32]))
}

fn bad(what: Subject, why: &str) -> Verdict {
    Verdict::Bad { what, why: why.to_owned() }
}

fn dump(at: u64, lines: &[&str]) -> Dump {
    Dump { at, reason: "Panic".to_owned(), lines: lines.iter().map(|&line| line.to_owned()).collect() }
}

/// Version 2 has used up three tries; version 1 ran before, and runs again.
fn cause_with(boots: &[BootRecord], dumps: &[Dump]) -> String {
    let mut all = vec![boot("1", 1000, Verdict::Good, Some("reboot"))];
    all.extend_from_slice(boots);
    let records = Records {
        boots: all,
        running: Some(boot("1", 9000, Verdict::Pending, None)),
        dumps: dumps.to_vec(),
        ..Records::default()
    };
    let entry = BootEntry {
        id: "berth-test".parse().unwrap(),
        version: "2".parse().unwrap(),
        counter: Some(BootCounter { left: 0, done: 3 }),
    };
    cause(&entry, &records)
}

const PANIC: &str = "<0>[    2.5] Kernel panic - not syncing: dm-verity device corrupted";

#[test]
fn causes_are_derived_from_boot_records_and_dumps() {
    let failed = |started| boot("2", started, bad(Subject::Service("dockerd".into()), "status 1"), Some("verdict"));
    let cut = |started| boot("2", started, Verdict::Pending, None);
    for (boots, dumps, expected) in [
        (vec![failed(2000), failed(3000), failed(4000)], vec![], "3 boots, each: service dockerd: status 1"),
        (vec![failed(2000)], vec![], "service dockerd: status 1; of 3 boots 2 did not reach /var"),
        (
            vec![failed(2000), cut(3000), cut(4000)],
            vec![],
            "3 boots: service dockerd: status 1; then ended without a verdict (power cut or watchdog)",
        ),
        (
            vec![cut(2000), cut(3000), cut(4000)],
            vec![dump(4100, &["<6>[ 1.0] x", PANIC, "<4>[    2.6] ---[ end"])],
            "3 boots, each: Kernel panic - not syncing: dm-verity device corrupted",
        ),
        (
            vec![],
            vec![dump(2100, &[PANIC])],
            "no boot reached /var: Kernel panic - not syncing: dm-verity device corrupted",
        ),
        (
            vec![],
            vec![dump(2100, &["<4>[    2.6]  </TASK>", "<0>[    2.7] Kernel Offset: 0x3b200000"])],
            "no boot reached /var: Kernel panic (the line with the reason was not kept; last line: Kernel Offset: 0x3b200000)",
        ),
        (
            vec![],
            vec![],
            "no boot reached /var, and none left a record (power cut, watchdog, or the kernel did not start)",
        ),
        (
            vec![boot("2", 2000, Verdict::Pending, Some("poweroff")), failed(3000), failed(4000)],
            vec![],
            "3 boots: shut down before its verdict (poweroff); then service dockerd: status 1",
        ),
    ] {
        assert_eq!(cause_with(&boots, &dumps), expected);
    }
}

#[test]
fn dumps_of_other_versions_or_earlier_times_are_not_the_cause() {
    let of = |version: &str| format!("<6>[    0.0] Command line: roothash={} gpt", root_hash(version));
    let nothing = cause_with(&[], &[]);
    assert_eq!(cause_with(&[], &[dump(2100, &[&of("1"), PANIC])]), nothing, "the dump of the running version");
    assert_eq!(cause_with(&[], &[dump(900, &[PANIC])]), nothing, "before the upgrade");
    assert!(cause_with(&[], &[dump(2100, &[&of("2"), PANIC])]).contains("Kernel panic"));
    let line = format!("<6>[    1.0] berth: root {}: slot b on vda", root_hash("1"));
    assert_eq!(cause_with(&[], &[dump(2100, &[&line, PANIC])]), nothing);
    // The same version was installed earlier, before another one ran.
    let earlier = boot("2", 500, bad(Subject::Check("x".into()), "y"), Some("verdict"));
    assert_eq!(cause_with(&[earlier], &[]), nothing);
}

/// If the clock runs in local time until it is corrected, the recorded start of a boot may be later than its own panic.
#[test]
fn a_dump_that_names_the_version_belongs_to_it_at_any_time() {
    let named = format!("<6>[    1.0] berth: root {}: slot b on vda", root_hash("2"));
    let cut = || boot("2", 9000, Verdict::Pending, None);
    assert!(cause_with(&[cut()], &[dump(5400, &[&named, PANIC])]).contains("Kernel panic"));
    assert!(
        cause_with(&[cut()], &[dump(5400, &[PANIC])]).contains("ended without a verdict"),
        "the dump names no version"
    );
    // No boot of this version has left a record. A root hash that no other version has is taken as its own.
    assert!(cause_with(&[], &[dump(900, &[&named, PANIC])]).contains("Kernel panic"));
    let of_one = format!("<6>[    1.0] berth: root {}: slot b on vda", root_hash("1"));
    assert!(cause_with(&[], &[dump(900, &[&of_one, PANIC])]).contains("none left a record"));
    let records = Records { boots: vec![cut()], dumps: vec![dump(5400, &[&named, PANIC])], ..Records::default() };
    assert!(report(&records).failed.unwrap().cause.contains("Kernel panic"));
}

fn paths_in(folder: &std::path::Path) -> RecordPaths {
    RecordPaths {
        boots: folder.join("boots"),
        pstore: folder.join("pstore"),
        quarantine: folder.join("quarantine.json"),
        slot_checks: folder.join("slots.json"),
        boot_id: folder.join("boot_id"),
    }
}

#[test]
fn records_are_read_from_the_disk_and_a_host_without_records_has_an_empty_report() {
    let dir = tempfile::tempdir().unwrap();
    let paths = paths_in(dir.path());
    let empty = Records::read(&paths);
    assert_eq!(empty, Records::default());
    assert_eq!(show(&report(&empty), Extent::Screen, |at| at.to_string()), "no failed boot is on record\n");

    fs::create_dir(&paths.boots).unwrap();
    fs::create_dir(&paths.pstore).unwrap();
    let mut last = boot("2", 3000, bad(Subject::Time, "not healthy after 300 s"), Some("verdict"));
    last.counter = Some(BootCounter { left: 1, done: 2 });
    for record in [boot("1", 5000, Verdict::Pending, None), last, boot("2", 2000, Verdict::Pending, None)] {
        let path = paths.boots.join(format!("{}.json", record.boot_id));
        fs::write(path, serde_json::to_vec(&record).unwrap()).unwrap();
    }
    fs::write(paths.boots.join("x.json"), "{\"of\": \"another time\"}").unwrap();
    fs::write(paths.boots.join("boot-1.json.new"), "half").unwrap();
    fs::write(paths.pstore.join("0000002500-1001.txt"), format!("Panic\n<6>[ 1.0] \u{1b}[2Jx\n{PANIC}\n")).unwrap();
    fs::write(&paths.boot_id, "boot-5000\n").unwrap();
    let quarantined = Quarantined {
        id: "berth-test".parse().unwrap(),
        version: "2".parse().unwrap(),
        root_hash: root_hash("2"),
        cause: "3 boots, each: time".to_owned(),
        tries: 3,
        at: 5001,
    };
    fs::write(&paths.quarantine, serde_json::to_vec(&[quarantined]).unwrap()).unwrap();

    let records = Records::read(&paths);
    assert_eq!(records.boots.iter().map(|boot| boot.started).collect::<Vec<_>>(), [2000, 3000]);
    assert_eq!(records.running.as_ref().map(|boot| boot.started), Some(5000));
    let report = report(&records);
    assert_eq!(report.failed.as_ref().map(|failed| failed.boots), Some(2));
    assert_eq!(serde_json::from_str::<WhyReport>(&serde_json::to_string(&report).unwrap()).unwrap(), report);
    let expected = "\
version     berth-test 2
booted      at 3000, from slot b, on trial: boot 2, 1 left
failed      time: not healthy after 300 s
ended       verdict
failures    2 on record of this version
last lines:
  [   1.000] a line

kernel panic at at 2500: Kernel panic - not syncing: dm-verity device corrupted
its last lines:
  <6>[ 1.0] [2Jx
  <0>[    2.5] Kernel panic - not syncing: dm-verity device corrupted

quarantined versions (installed again only if named):
  berth-test 2: 3 boots, each: time (at 5001)
";
    assert_eq!(show(&report, Extent::Full, |at| format!("at {at}")), expected);
    fs::write(&paths.quarantine, "[{").unwrap();
    // Damaged files count as empty and are named; the others are read.
    fs::create_dir(paths.boots.join("y.json")).unwrap();
    let damaged = Records::read(&paths);
    assert_eq!((damaged.boots.len(), damaged.quarantine.len(), damaged.damaged.len()), (2, 0, 2));
    assert!(damaged.damaged.iter().any(|what| what.contains("quarantine.json")), "{:?}", damaged.damaged);
    assert!(show(&super::report(&damaged), Extent::Screen, |at| at.to_string()).contains("quarantine.json"));
}

#[test]
fn a_boot_that_did_not_fail_is_not_reported() {
    let mut records = Records {
        boots: vec![boot("1", 1, Verdict::Good, None), boot("1", 2, Verdict::Pending, Some("poweroff"))],
        running: Some(boot("1", 3, Verdict::Pending, None)),
        ..Records::default()
    };
    assert_eq!(report(&records).failed, None);
    // The running version was found unhealthy, and was not rebooted.
    records.running = Some(boot("1", 3, bad(Subject::Check("disk".into()), "full"), None));
    assert_eq!(report(&records).failed.unwrap().cause, "check disk: full");
}

/// A record of an older or newer version may have words that this version does not know.
#[test]
fn unknown_words_of_a_record_are_shown_as_they_are() {
    let mut json = serde_json::to_value(boot("2", 1, bad(Subject::Time, "late"), Some("reboot"))).unwrap();
    json["end"] = "kexec".into();
    json["verdict"]["bad"]["what"] = serde_json::json!({ "kind": "disk", "name": "vda" });
    let records = Records { boots: vec![serde_json::from_value(json).unwrap()], ..Records::default() };
    let text = show(&report(&records), Extent::Screen, |at| at.to_string());
    assert!(text.contains("failed      disk vda: late\nended       kexec\n"), "{text}");
}

#[test]
fn the_report_fits_on_a_screen_and_the_rest_is_shown_on_request() {
    let mut failed = boot("2", 3000, bad(Subject::Time, "not healthy after 300 s"), Some("verdict"));
    failed.tail = (0..40).map(|line| format!("[{line:>8}.000] {}", "x".repeat(200))).collect();
    let lines: Vec<String> = (0..60).map(|line| format!("<6>[{line:>5}.0] {}", "y".repeat(200))).collect();
    let quarantined = |version: usize| Quarantined {
        id: "berth-test".parse().unwrap(),
        version: version.to_string().parse().unwrap(),
        root_hash: root_hash("2"),
        cause: "3 boots, each: time".to_owned(),
        tries: 3,
        at: 5001,
    };
    let records = Records {
        boots: vec![failed],
        dumps: vec![dump(2500, &lines.iter().map(String::as_str).chain([PANIC]).collect::<Vec<_>>())],
        quarantine: (0..20).map(quarantined).collect(),
        ..Records::default()
    };
    let screen = show(&report(&records), Extent::Screen, |_| "2026-11-30T06:00:00Z".to_owned());
    assert!(
        screen.lines().count() <= 23
            && screen.lines().filter(|line| line.starts_with("  ")).all(|line| line.chars().count() <= 80),
        "{screen}"
    );
    assert!(
        screen.contains("[      39.000]") && screen.contains("berth-test 19") && screen.contains("dm-verity"),
        "{screen}"
    );
    assert!(screen.ends_with("`hostctl why --full` shows 89 more lines\n"), "{screen}");
    let full = show(&report(&records), Extent::Full, |_| String::new());
    assert!(full.lines().count() > 100 && full.contains("[       0.000]") && full.contains("berth-test 0"), "{full}");
}
