use super::*;
use berth_formats::log_segment::{Event, LogReader, segments};
use std::{fs, path::Path};

/// The report of a clock that follows a server. It is from the future, so it is not too old.
const TIME_STATUS: &str = r#"{"synchronised":true,"origin":null,"servers":[],"source":null,"offset":null,"stratum":null,"problem":null,
    "checked_us":9000000000000000000}"#;
const SECOND: Duration = Duration::from_secs(1);

fn options(root: &Path, boot: u8) -> StoreOptions {
    StoreOptions {
        disk: root.join("disk"),
        memory: root.join("memory"),
        max_size: 1 << 20,
        max_age: 86_400 * SECOND,
        time_status: root.join("time.json"),
        boot_id: [boot; 16],
        since_boot: true,
        at_least: Position::default(),
    }
}

fn push(store: &mut Store, log: &str, number: u64, text: &str) {
    store.push(&Line { log, level: 6, at_us: 5, number, text });
}

/// All lines from a place on, as `BOOT/LINE TEXT`, and gaps.
fn read(root: &Path, from: Position) -> Vec<String> {
    let mut reader = LogReader::new(Store::folders(&options(root, 0)), from);
    let mut found = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        match event {
            Event::Line(place, line) => found.push(format!("{}/{} {}", place.boot, place.line, line.text)),
            Event::Missing { lines } => found.push(format!("missing {lines:?}")),
            Event::Boot(_) | Event::Clock { .. } => {}
        }
    }
    found
}

fn all(root: &Path) -> Vec<String> {
    read(root, Position::default())
}

#[test]
fn a_process_that_is_started_again_continues_its_boot_and_a_new_boot_gets_the_next_number() {
    let dir = tempfile::tempdir().unwrap();
    for (boot, texts) in [(1, ["a", "b"]), (1, ["c", "d"]), (2, ["e", "f"])] {
        let mut store = Store::open(options(dir.path(), boot), SECOND);
        let known = store.numbers().get("x").copied();
        assert_eq!(known, (texts[0] == "c").then_some(2), "numbers start again with a boot");
        for (text, number) in texts.into_iter().zip(known.unwrap_or(0) + 1..) {
            push(&mut store, "x", number, text);
        }
        // Not written in order: the process is killed.
        store.write(SECOND);
    }
    assert_eq!(all(dir.path()), ["1/1 a", "1/2 b", "1/3 c", "1/4 d", "2/1 e", "2/2 f"]);
    assert_eq!(read(dir.path(), Position { boot: 1, line: 4 }), ["1/4 d", "2/1 e", "2/2 f"]);
    assert_eq!(read(dir.path(), Position { boot: 2, line: 3 }), [""; 0]);
    let mut later = options(dir.path(), 2);
    later.at_least = Position { boot: 2, line: 9 };
    assert_eq!(Store::open(later, SECOND).next(), Position { boot: 2, line: 10 }, "a receiver has more than the disk");
}

#[test]
fn after_a_power_cut_at_any_byte_all_lines_before_the_unfinished_one_are_readable() {
    let dir = tempfile::tempdir().unwrap();
    let mut ends = Vec::new();
    for (boot, count) in [(1, 3), (2, 4)] {
        let mut store = Store::open(options(dir.path(), boot), SECOND);
        for number in 1..=count {
            push(&mut store, "log", number, &format!("text {number} \u{e4}"));
            store.write(SECOND);
            ends.push(store.file.as_ref().unwrap().length());
        }
    }
    let whole = all(dir.path());
    assert_eq!(whole.len(), 7);
    let last = segments(&[dir.path().join("disk")]).unwrap().pop().unwrap().path;
    let bytes = fs::read(&last).unwrap();
    for cut in 0..=bytes.len() {
        let complete = 3 + ends[3..].iter().filter(|&&end| end <= cut as u64).count();
        // The rest of the file is missing, or was not written yet and has zeros, or has other bytes.
        for tail in [Vec::new(), vec![0; bytes.len() - cut], bytes[cut..].iter().map(|byte| !byte).collect()] {
            fs::write(&last, [&bytes[..cut], &tail].concat()).unwrap();
            assert_eq!(all(dir.path()), whole[..complete], "cut at {cut}");
        }
        fs::write(&last, &bytes[..cut]).unwrap();
        let mut store = Store::open(options(dir.path(), 3), SECOND);
        push(&mut store, "log", 1, "after");
        store.write(SECOND);
        let after = [&whole[..complete], &["3/1 after".to_owned()]].concat();
        assert_eq!(all(dir.path()), after, "cut at {cut}");
        let new = segments(&[dir.path().join("disk")]).unwrap().pop().unwrap().path;
        assert_ne!(new, last);
        fs::remove_file(new).unwrap();
        // The same boot: only the process was killed in the middle of a record.
        let mut store = Store::open(options(dir.path(), 2), SECOND);
        push(&mut store, "log", 9, "after");
        store.write(SECOND);
        assert_eq!(all(dir.path()).last().unwrap().split(' ').nth(1), Some("after"), "cut at {cut}");
        for segment in segments(&[dir.path().join("disk")]).unwrap().into_iter().skip(2) {
            fs::remove_file(segment.path).unwrap();
        }
    }
}

#[test]
fn the_store_is_bounded_and_a_slow_reader_is_told_what_it_missed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(options(dir.path(), 1), SECOND);
    let mut reader = LogReader::new(Store::folders(&options(dir.path(), 1)), Position::default());
    assert!(matches!(reader.next_event().unwrap(), Some(Event::Boot(_))));
    for number in 0..40_000 {
        push(&mut store, "chatty", number, &"x".repeat(100));
        if number % 100 == 0 {
            store.write(SECOND);
        }
    }
    store.write(SECOND);
    let size: u64 =
        fs::read_dir(dir.path().join("disk")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(size <= 1 << 20 && size > 500 << 10, "{size}");
    assert_eq!(store.next().line, 40_001);
    let (mut lines, mut missing) = (0, 0);
    while let Some(event) = reader.next_event().unwrap() {
        match event {
            Event::Line(..) => lines += 1,
            Event::Missing { lines } => missing += lines.unwrap(),
            _ => {}
        }
    }
    assert_eq!(lines + missing, 40_000);
    assert!(missing > 10_000);
    // The age limit applies to all segments but the current one.
    store.options.max_age = Duration::ZERO;
    store.tick(AGE_AFTER + SECOND);
    assert!(
        segments(&[dir.path().join("disk")]).unwrap().len() > 1,
        "while the clock may be wrong, nothing is too old"
    );
    fs::write(dir.path().join("time.json"), TIME_STATUS).unwrap();
    store.tick(AGE_AFTER + AGE_EVERY + SECOND);
    assert_eq!(segments(&[dir.path().join("disk")]).unwrap().len(), 1);
}

#[test]
fn a_folder_that_cannot_be_written_is_replaced_by_memory_and_taken_again_later() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("disk"), "a file, not a folder").unwrap();
    let mut store = Store::open(options(dir.path(), 1), SECOND);
    push(&mut store, "x", 1, "a");
    store.write(SECOND);
    let said = store.take_messages();
    assert!(said.len() == 1 && said[0].contains("kept in memory"), "{said:?}");
    assert!(segments(&[dir.path().join("memory")]).unwrap().len() == 1);
    fs::remove_file(dir.path().join("disk")).unwrap();
    push(&mut store, "x", 2, "b");
    store.write(SECOND * 2);
    assert!(!dir.path().join("disk").exists());
    push(&mut store, "x", 3, "c");
    store.write(SECOND * 40);
    assert!(store.take_messages()[0].contains("can be written again"));
    // While the process runs, the file on the disk fails.
    store.file = Some(SegmentFile::create(&store.disk, [1; 16], Position { boot: 1, line: 4 }, &[]).unwrap());
    assert_eq!(read(dir.path(), Position { boot: 1, line: 1 }), ["1/1 a", "1/2 b", "1/3 c"]);
}

#[test]
fn without_any_folder_lines_wait_and_the_fault_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["disk", "memory"] {
        fs::write(dir.path().join(folder), "a file, not a folder").unwrap();
    }
    let mut store = Store::open(options(dir.path(), 1), SECOND);
    assert_eq!(store.take_messages().len(), 2);
    for (number, text) in [(1, "a"), (2, "b")] {
        push(&mut store, "x", number, text);
        store.write(SECOND);
    }
    assert_eq!(store.take_messages(), [""; 0], "a message would be a line that causes the next one");
    for folder in ["disk", "memory"] {
        fs::remove_file(dir.path().join(folder)).unwrap();
    }
    push(&mut store, "x", 3, "c");
    store.write(SECOND);
    assert_eq!(all(dir.path()), ["1/1 a", "1/2 b", "1/3 c"]);
    // Not without a limit.
    fs::remove_dir_all(dir.path().join("memory")).unwrap();
    fs::write(dir.path().join("memory"), "").unwrap();
    store.file = None;
    for number in 4..40 {
        push(&mut store, "x", number, &"d".repeat(MOST_PENDING / 32));
    }
    store.write(SECOND);
    assert_eq!((store.pending(), store.take_messages().len()), (0, 1));
}

#[test]
fn lines_are_flushed_after_five_seconds_and_errors_after_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(options(dir.path(), 1), SECOND);
    push(&mut store, "x", 1, "a");
    store.write(SECOND * 10);
    assert_eq!(store.next_tick(), SECOND * 15);
    store.tick(SECOND * 14);
    assert!(store.unflushed_since.is_some());
    store.push(&Line { log: "x", level: 3, at_us: 1, number: 2, text: "error" });
    store.write(SECOND * 14);
    assert!(store.next_tick() <= SECOND * 14);
    store.tick(SECOND * 14);
    assert!(store.unflushed_since.is_none() && store.next_tick() > SECOND * 100);
}
