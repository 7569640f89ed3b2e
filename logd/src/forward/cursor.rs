//! How far a receiver has got: a small file on /var.

use super::Feed;
use berth_file::{Flush, read_json, replace};
use berth_formats::log_segment::Position;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Size limit of the file in bytes.
const MAX_SIZE: u64 = 64 << 10;
/// Lines that may be sent before the file must be written again. After a power cut, this number of lines at most is marked as perhaps sent
/// before although it was not.
const AHEAD: u64 = 1000;

/// The cursor of a receiver.
#[derive(Debug)]
pub struct Cursor {
    path: PathBuf,
    state: State,
    /// The last line that was sent by this process.
    sent: [Position; 2],
    /// No line after this one was sent by an earlier process.
    sent_before: [Position; 2],
    /// Whether there was no file: the receiver is new.
    is_new: bool,
    is_changed: bool,
}

/// The content of the file. Places are boot and line, of the system's store and of the containers' store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// The last line that the receiver has.
    acknowledged: [(u32, u64); 2],
    /// No line after this one was ever sent.
    tried: [(u32, u64); 2],
}

impl Cursor {
    /// Reads the cursor. A file that cannot be read counts as missing.
    #[must_use]
    pub fn open(folder: &Path, to: &str) -> Self {
        let path = folder.join(file_name(to));
        let found: Option<State> = read_json(&path, MAX_SIZE).ok();
        let is_new = found.is_none();
        let state = found.unwrap_or_default();
        let sent_before = state.tried.map(place);
        Self { path, state, sent: [Position::default(); 2], sent_before, is_new, is_changed: false }
    }

    /// The last line that the receiver has.
    #[must_use]
    pub fn acknowledged(&self, feed: Feed) -> Position {
        place(self.state.acknowledged[feed as usize])
    }

    /// Whether the receiver has never got a line.
    #[must_use]
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether a line may have been sent before.
    #[must_use]
    pub(super) fn was_sent(&self, feed: Feed, line: Position) -> bool {
        line <= self.sent_before[feed as usize].max(self.sent[feed as usize])
    }

    /// Must be called before the lines up to `last` are sent. Writes the file only sometimes.
    pub(super) fn try_up_to(&mut self, feed: Feed, last: Position) -> Result<(), String> {
        if last > place(self.state.tried[feed as usize]) {
            self.state.tried[feed as usize] = (last.boot, last.line + AHEAD);
            self.is_changed = true;
            self.save()?;
        }
        let sent = &mut self.sent[feed as usize];
        *sent = last.max(*sent);
        Ok(())
    }

    /// The receiver has all lines up to `last`.
    pub(super) fn acknowledge(&mut self, feed: Feed, last: Position) {
        self.state.acknowledged[feed as usize] = (last.boot, last.line);
        self.is_changed = true;
    }

    /// No line after the acknowledged ones was sent: there is nothing to mark after the next start.
    pub(super) fn settle(&mut self) {
        if self.state.tried != self.state.acknowledged {
            self.state.tried = self.state.acknowledged;
            self.is_changed = true;
        }
    }

    /// Writes the file, if it has changed.
    pub(super) fn save(&mut self) -> Result<(), String> {
        if !self.is_changed {
            return Ok(());
        }
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        let text = serde_json::to_vec(&self.state).map_err(|error| error.to_string())?;
        let written = replace(&self.path, &text, 0o600, Flush::ContentAndName);
        written.map_err(|error| berth_contract::chain::Chain(&error).to_string())?;
        (self.is_changed, self.is_new) = (false, false);
        Ok(())
    }
}

fn place((boot, line): (u32, u64)) -> Position {
    Position { boot, line }
}

/// A file name for an address: letters and digits stay, other bytes are hexadecimal.
fn file_name(to: &str) -> String {
    let mut name = String::new();
    for byte in to.bytes().take(100) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => name.push(char::from(byte)),
            other => name.push_str(&format!("_{other:02x}")),
        }
    }
    // A long address is cut: its length and a sum of all bytes tell most of them apart.
    let sum = to.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    if to.len() > 100 {
        name.push_str(&format!("-{:x}-{sum:x}", to.len()));
    }
    name + ".json"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_as_tried_until_they_are_settled() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cursors");
        let at = |line| Position { boot: 3, line };
        let mut cursor = Cursor::open(&folder, "tcp://a:1");
        assert!(cursor.is_new() && !cursor.was_sent(Feed::System, at(1)));
        cursor.try_up_to(Feed::System, at(10)).unwrap();
        assert!(cursor.was_sent(Feed::System, at(10)) && !cursor.was_sent(Feed::System, at(11)));
        cursor.acknowledge(Feed::System, at(10));
        // The process is killed: what it has acknowledged since the last save may be sent again, with a mark.
        let again = Cursor::open(&folder, "tcp://a:1");
        assert_eq!(again.acknowledged(Feed::System), Position::default());
        assert!(!again.is_new() && again.was_sent(Feed::System, at(10 + AHEAD)));
        assert!(!again.was_sent(Feed::System, at(11 + AHEAD)) && !again.was_sent(Feed::Containers, at(1)));
        // It ends in order: nothing has a mark.
        cursor.settle();
        cursor.save().unwrap();
        let again = Cursor::open(&folder, "tcp://a:1");
        assert_eq!(again.acknowledged(Feed::System), at(10));
        assert!(!again.was_sent(Feed::System, at(11)));
        assert!(Cursor::open(&folder, "tcp://a:2").is_new());
    }
}
