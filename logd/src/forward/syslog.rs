//! Syslog messages: RFC 5424, https://www.rfc-editor.org/rfc/rfc5424

use super::{Feed, Item};
use jiff::Timestamp;
use std::fmt::Write as _;

/// The structured data's id. 32473 is the number that RFC 5612 reserves for documentation: the project has none of its own.
pub const STRUCTURED_DATA: &str = "berth@32473";
/// Facilities: kernel messages, system daemons, local use 0.
const KERNEL: u8 = 0;
const DAEMON: u8 = 3;
const LOCAL_0: u8 = 16;
/// Longest APP-NAME.
const LONGEST_NAME: usize = 48;
/// Longest HOSTNAME.
const LONGEST_HOST: usize = 255;
/// Prefix of the names of containers' logs.
const CONTAINER: &str = "container:";

/// The message of a line. Its structured data has `seq` and `boot`, which identify the line, and `again="1"` if it may have been sent
/// before.
#[must_use]
pub fn message(item: &Item, host: &str) -> String {
    let facility = match (item.feed, item.log.as_str()) {
        (Feed::Containers, _) => LOCAL_0,
        (Feed::System, "kernel") => KERNEL,
        (Feed::System, _) => DAEMON,
    };
    let priority = facility * 8 + item.level.min(7);
    let time = Timestamp::from_microsecond(item.wall_us).map_or_else(|_| "-".to_owned(), timestamp);
    let host = printable(host, LONGEST_HOST);
    let name = printable(item.log.strip_prefix(CONTAINER).unwrap_or(&item.log), LONGEST_NAME);
    let mut text = format!("<{priority}>1 {time} {host} {name} - - [{STRUCTURED_DATA} seq=\"{}\"", item.place.line);
    let _ = write!(text, " boot=\"{}\"", hex(&item.boot_id));
    if item.feed == Feed::Containers {
        text.push_str(" feed=\"containers\"");
    }
    if item.again {
        text.push_str(" again=\"1\"");
    }
    text + "] " + &item.text
}

/// A message with its length in front: RFC 6587, 3.4.1.
pub fn frame(item: &Item, host: &str, out: &mut Vec<u8>) {
    let message = message(item, host);
    out.extend_from_slice(format!("{} {message}", message.len()).as_bytes());
}

/// RFC 3339 with microseconds, in UTC.
fn timestamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// PRINTUSASCII of the specification, `-` if it is empty.
fn printable(text: &str, longest: usize) -> String {
    let plain = text.chars().take(longest).map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect::<String>();
    if plain.is_empty() { "-".to_owned() } else { plain }
}

/// The id of a boot as the kernel prints it, without hyphens.
#[must_use]
pub fn hex(id: &[u8; 16]) -> String {
    id.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_formats::log_segment::Position;

    #[test]
    fn a_message_has_the_fields_of_the_specification() {
        let mut item = Item {
            feed: Feed::System,
            place: Position { boot: 3, line: 17 },
            boot_id: [0xab; 16],
            wall_us: 1_795_140_670_000_042,
            log: "kernel".into(),
            level: 3,
            text: "it is on fire".into(),
            again: false,
        };
        let id = "ab".repeat(16);
        assert_eq!(
            message(&item, "node-1"),
            format!(
                "<3>1 2026-11-20T02:11:10.000042Z node-1 kernel - - [berth@32473 seq=\"17\" boot=\"{id}\"] it is on fire"
            )
        );
        (item.feed, item.log, item.again, item.level) = (Feed::Containers, "container:w\u{e4}b x".into(), true, 6);
        let text = message(&item, "");
        assert!(text.starts_with("<134>1 ") && text.contains(" - w_b_x - - "), "{text}");
        assert!(text.contains("feed=\"containers\" again=\"1\"] it"), "{text}");
        let mut out = Vec::new();
        frame(&item, "h", &mut out);
        let out = String::from_utf8(out).unwrap();
        let (length, rest) = out.split_once(' ').unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), rest.len());
    }
}
