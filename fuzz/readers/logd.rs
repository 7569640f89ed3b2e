//! Readers of stored logs: bytes that a power cut or a bad disk has left.

use super::reader::Reader;
use berth_formats::log_segment::{HEADER, Header, Line, Position, Record};

/// The readers.
pub(crate) const READERS: &[Reader] = &[Reader { name: "log-segment", seeds, read }];

fn seeds() -> Vec<Vec<u8>> {
    let mut bytes = Header { boot_id: [7; 16], first: Position { boot: 3, line: 9 } }.bytes().to_vec();
    let start = bytes.len();
    Record::Clock { at_us: 5, offset_us: 1_795_140_670_000_000 }.write(&mut bytes);
    Record::Mark { log: "kernel", number: 8 }.write(&mut bytes);
    for (number, text) in [(9, "it is on fire"), (10, ""), (11, "\u{1f525}")] {
        Record::Line(Line { log: "kernel", level: 3, at_us: 6, number, text }).write(&mut bytes);
    }
    let records = bytes[start..].to_vec();
    vec![bytes, records]
}

fn read(bytes: &[u8]) {
    if let Ok(header) = Header::parse(bytes) {
        assert_eq!(header.bytes(), bytes[..HEADER]);
        records(&bytes[HEADER..]);
    }
    records(bytes);
}

fn records(mut bytes: &[u8]) {
    while let Ok(Some((record, size))) = Record::parse(bytes) {
        let mut again = Vec::new();
        record.write(&mut again);
        assert_eq!(again, bytes[..size]);
        bytes = &bytes[size..];
    }
}
