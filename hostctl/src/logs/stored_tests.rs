use super::*;
use berth_formats::log_segment::{Header, Line, Position, Record, SegmentName};
use std::{fs, path::Path};

const RUNNING: &str = "02020202-0202-0202-0202-020202020202";
const SECOND: i64 = 1_000_000;

/// A segment of boot `boot`: clocks as `(None, offset in s)`, lines as `(Some(log), time in s)`.
fn segment(folder: &Path, boot: u8, first: u64, records: &[(Option<&str>, i64)]) {
    let first = Position { boot: boot.into(), line: first };
    let mut bytes = Header { boot_id: [boot; 16], first }.bytes().to_vec();
    for (log, number) in records {
        match log {
            None => Record::Clock { at_us: 0, offset_us: number * SECOND }.write(&mut bytes),
            Some(log) => {
                let text = format!("at {number}");
                let line = Line { log, level: 6, at_us: number * SECOND, number: 1, text: &text };
                Record::Line(line).write(&mut bytes);
            }
        }
    }
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(SegmentName(first).to_string()), bytes).unwrap();
}

fn paths(root: &Path) -> LogPaths {
    fs::write(root.join("boot_id"), format!("{RUNNING}\n")).unwrap();
    fs::create_dir_all(root.join("pstore")).unwrap();
    let folders = vec![root.join("disk"), root.join("memory")];
    LogPaths { folders, boot_id: root.join("boot_id"), pstore: root.join("pstore") }
}

/// A host whose clock is set in its first boot, and that has booted twice.
fn host(root: &Path) -> LogPaths {
    let (disk, memory) = (root.join("disk"), root.join("memory"));
    let (init, kernel, netd) = (Some("init"), Some("kernel"), Some("netd"));
    segment(&disk, 1, 1, &[(None, 5), (init, 2), (init, 9), (kernel, 1)]);
    segment(&memory, 1, 4, &[(None, 5), (kernel, 3), (None, 1000), (netd, 20)]);
    segment(&disk, 2, 1, &[(None, 2000), (kernel, 1), (netd, 4)]);
    fs::create_dir_all(root.join("pstore")).unwrap();
    fs::write(root.join("pstore/0000001900-1.txt"), "Panic\n<0>[ 900.0] Kernel panic - not syncing\n").unwrap();
    fs::write(root.join("pstore/0000009999-1.txt"), "Panic\nof another boot\n").unwrap();
    paths(root)
}

fn shown(logs: &StoredLogs, query: &Query) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    let take = |line: StoredLine| {
        let wall = line.wall_us.map_or(-1, |wall| wall / SECOND);
        lines.push(format!("{}/{} {wall} {} {}", line.boot, line.line, line.log, line.text));
        Ok::<_, LogsError>(())
    };
    logs.lines(query, take).map_err(|error| format!("{error}; {}", error.hint().unwrap_or_default()))?;
    Ok(lines)
}

#[test]
fn lines_are_in_the_order_of_time_with_the_clock_that_was_set_later() {
    let dir = tempfile::tempdir().unwrap();
    let logs = StoredLogs::open(host(dir.path())).unwrap();
    let show = |query: Query| shown(&logs, &query).unwrap();
    let before = [
        "1/3 1001 kernel at 1",
        "1/1 1002 init at 2",
        "1/4 1003 kernel at 3",
        "1/2 1009 init at 9",
        "1/5 1020 netd at 20",
        "1/0 1900 crash Panic:",
        "1/0 1900 crash <0>[ 900.0] Kernel panic - not syncing",
    ];
    let this = ["2/1 2001 kernel at 1", "2/2 2004 netd at 4"];
    assert_eq!(show(Query { boot: Some(BootChoice::Relative(-1)), ..Query::default() }), before);
    assert_eq!(show(Query { boot: Some(BootChoice::Number(1)), ..Query::default() }), before);
    assert_eq!(show(Query::default()), this);
    let since = |since: i64, log: Option<&str>| Query {
        since_us: Some(since * SECOND),
        log: log.map(str::to_owned),
        ..Query::default()
    };
    assert_eq!(show(since(1009, None)), [&before[3..], &this].concat(), "over a reboot");
    assert_eq!(show(since(0, Some("netd"))), [before[4], this[1]]);
    let boots = logs.boots().unwrap();
    let facts: Vec<_> = boots.iter().map(|boot| (boot.number, boot.relative, boot.lines, boot.started_us)).collect();
    assert_eq!(facts, [(1, -1, 5, Some(1000 * SECOND)), (2, 0, 2, Some(2000 * SECOND))]);
}

#[test]
fn a_boot_or_log_that_does_not_exist_is_an_error_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let paths = host(dir.path());
    let logs = StoredLogs::open(paths.clone()).unwrap();
    let none = shown(&logs, &Query { boot: Some(BootChoice::Relative(-2)), ..Query::default() }).unwrap_err();
    assert!(none.contains("found none for --boot -2") && none.contains("--list-boots"), "{none}");
    let none = shown(&logs, &Query { log: Some("dockerd".into()), ..Query::default() }).unwrap_err();
    assert!(none.contains("\"dockerd\"") && none.contains("kernel, netd"), "{none}");
    // The running boot has no stored line yet: the newest one is the boot before.
    fs::write(dir.path().join("boot_id"), "ffffffff-ffff-ffff-ffff-ffffffffffff\n").unwrap();
    let logs = StoredLogs::open(paths).unwrap();
    assert!(shown(&logs, &Query::default()).unwrap_err().contains("--boot 0"));
    let last = Query { boot: Some("-1".parse().unwrap()), log: Some("netd".into()), ..Query::default() };
    assert_eq!(shown(&logs, &last).unwrap(), ["2/2 2004 netd at 4"]);
    assert!("x".parse::<BootChoice>().is_err());
}
