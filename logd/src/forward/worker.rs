//! The thread of one receiver: reads lines from the stores, sends them in batches, and repeats a batch until the receiver has it.

use super::{Cursor, Feed, Item, SendError, Sender, say};
use crate::bell::Bell;
use berth_formats::log_segment::{Event, LogReader, Position};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// Maximum number of lines in a batch, and about its maximum number of bytes.
const MOST_LINES: usize = 500;
const MOST_BYTES: usize = 256 << 10;
/// Waits after failures: doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Longest time from an acknowledgement to its record on /var.
const SAVE_AFTER: Duration = Duration::from_secs(5);
/// Time between two looks at the stores without a reason.
const IDLE: Duration = Duration::from_secs(600);
/// Shortest time between two messages about a receiver. Each message is a line that is sent in turn: without a limit, a receiver that refuses
/// it would cause the next one at once.
const SAY_AFTER: Duration = Duration::from_secs(60);

/// A change of the clock from which on it was set: 60 s in microseconds.
const CLOCK_WAS_SET: u64 = 60_000_000;

pub(super) struct Worker {
    name: String,
    sender: Box<dyn Sender>,
    cursor: Cursor,
    sources: [Source; 2],
    bell: Arc<Bell>,
    saved_at: Instant,
    unsaved: bool,
    /// The last problem that was said.
    problem: Option<String>,
    /// When a problem or its end was said.
    said_at: Option<Instant>,
    /// Number of refused lines that were not said yet, and when some were said.
    refused: usize,
    refused_at: Option<Instant>,
}

/// A store, and what its reader knows about the lines that come next.
struct Source {
    feed: Feed,
    reader: LogReader,
    /// Number of the running boot.
    running: u32,
    boot_id: [u8; 16],
    offset_us: i64,
}

impl Worker {
    pub(super) fn new(
        name: String,
        sender: Box<dyn Sender>,
        mut cursor: Cursor,
        folders: &[Vec<PathBuf>; 2],
        bell: Arc<Bell>,
    ) -> Self {
        let mut source = |feed: Feed| {
            let segments = berth_formats::log_segment::segments(&folders[feed as usize]).unwrap_or_default();
            let running = segments.last().map_or(0, |newest| newest.first.boot);
            let Position { boot, line } = cursor.acknowledged(feed);
            let mut from = Position { boot, line: line + 1 };
            if cursor.is_new() {
                // A new receiver gets the lines of this boot, also when it is reached only after the next start.
                from = Position { boot: running, line: 0 };
                cursor.acknowledge(feed, from);
            }
            let reader = LogReader::new(folders[feed as usize].clone(), from);
            Source { feed, reader, running, boot_id: [0; 16], offset_us: 0 }
        };
        let sources = [source(Feed::System), source(Feed::Containers)];
        Self {
            name,
            sender,
            cursor,
            sources,
            bell,
            saved_at: Instant::now(),
            unsaved: false,
            problem: None,
            said_at: None,
            refused: 0,
            refused_at: None,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let rings = self.bell.rings();
            let mut batch = self.fill();
            if batch.is_empty() {
                if self.bell.stops() {
                    self.cursor.settle();
                    self.save();
                    return;
                }
                let limit = if self.unsaved { SAVE_AFTER } else { IDLE };
                self.bell.wait(rings, limit);
            } else if !self.deliver(&mut batch) {
                self.save();
                return;
            }
            if self.unsaved && self.saved_at.elapsed() >= SAVE_AFTER {
                self.save();
            }
        }
    }

    /// Sends a batch until the receiver has it. False when the process must end.
    fn deliver(&mut self, batch: &mut [Item]) -> bool {
        let mut wait = FIRST_WAIT;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        loop {
            for item in batch.iter_mut() {
                item.again |= self.cursor.was_sent(item.feed, item.place);
            }
            let sent = self.mark_tried(batch).and_then(|()| self.sender.send(batch, &host));
            match sent {
                Ok(()) => {
                    if self.problem.is_some() && may_say(&mut self.said_at) {
                        self.problem = None;
                        say(&format!("forward to {}: lines are taken again", self.name));
                    }
                    return self.acknowledge(batch);
                }
                Err(SendError::Never(error)) => {
                    self.refused += batch.len();
                    if may_say(&mut self.refused_at) {
                        let count = std::mem::take(&mut self.refused);
                        let name = &self.name;
                        say(&format!("forward to {name}: {count} lines were refused and are passed over: {error}"));
                    }
                    return self.acknowledge(batch);
                }
                Err(SendError::Later(error)) => self.complain(error),
            }
            if self.bell.stops() {
                return false;
            }
            self.bell.pause(wait);
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn complain(&mut self, error: String) {
        if self.problem.as_ref() != Some(&error) && may_say(&mut self.said_at) {
            say(&format!("forward to {}: {error}: trying again, lines are kept meanwhile", self.name));
            self.problem = Some(error);
        }
    }

    /// Without a record on /var, lines that are sent could be sent again without a mark. So a full /var stops the forwarding.
    fn mark_tried(&mut self, batch: &[Item]) -> Result<(), SendError> {
        last_places(batch).try_for_each(|(feed, place)| self.cursor.try_up_to(feed, place)).map_err(SendError::Later)
    }

    fn acknowledge(&mut self, batch: &[Item]) -> bool {
        last_places(batch).for_each(|(feed, place)| self.cursor.acknowledge(feed, place));
        self.unsaved = true;
        true
    }

    fn save(&mut self) {
        (self.saved_at, self.unsaved) = (Instant::now(), false);
        if let Err(error) = self.cursor.save() {
            say(&format!("forward to {}: {error}", self.name));
        }
    }

    fn fill(&mut self) -> Vec<Item> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        let mut failed = None;
        for source in &mut self.sources {
            while items.len() < MOST_LINES && bytes < MOST_BYTES {
                match source.next_item() {
                    Ok(Some(item)) => {
                        bytes += item.text.len() + item.log.len();
                        items.push(item);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        failed = Some(format!("cannot read the stored lines: {error}"));
                        break;
                    }
                }
            }
        }
        if let Some(error) = failed {
            self.complain(error);
        }
        items
    }
}

/// The offset of the clock for a line of the running boot. The first lines of a boot were stored before a time server had set the clock.
fn newest(stored_us: i64, now_us: i64) -> i64 {
    if stored_us.abs_diff(now_us) > CLOCK_WAS_SET { now_us } else { stored_us }
}

/// Whether a message is due, `at` being the time of the last one. Then the next one is only after a while.
fn may_say(at: &mut Option<Instant>) -> bool {
    let may = at.is_none_or(|at| at.elapsed() >= SAY_AFTER);
    if may {
        *at = Some(Instant::now());
    }
    may
}

/// The last line of each store in a batch.
fn last_places(batch: &[Item]) -> impl Iterator<Item = (Feed, Position)> + '_ {
    let last = |feed: Feed| Some((feed, batch.iter().rev().find(|item| item.feed == feed)?.place));
    [Feed::System, Feed::Containers].into_iter().filter_map(last)
}

impl Source {
    fn next_item(&mut self) -> std::io::Result<Option<Item>> {
        loop {
            let item = |place, boot_id, wall_us, log: &str, level, text: String| Item {
                feed: self.feed,
                place,
                boot_id,
                wall_us,
                log: log.to_owned(),
                level,
                text,
                again: false,
            };
            match self.reader.next_event()? {
                None => return Ok(None),
                // Until its first line with a clock, a new boot has none: a segment starts with one.
                Some(Event::Boot(header)) => (self.boot_id, self.offset_us) = (header.boot_id, 0),
                Some(Event::Clock { offset_us }) => self.offset_us = offset_us,
                Some(Event::Line(place, line)) => {
                    let offset_us = match self.feed {
                        Feed::System if place.boot == self.running => newest(self.offset_us, crate::clock::offset_us()),
                        _ => self.offset_us,
                    };
                    let wall_us = line.at_us.saturating_add(offset_us);
                    return Ok(Some(item(place, self.boot_id, wall_us, line.log, line.level, line.text.to_owned())));
                }
                Some(Event::Missing { lines }) => {
                    let count = lines.map_or_else(|| "some".to_owned(), |lines| lines.to_string());
                    let text = format!("[{count} lines were removed before they could be sent]");
                    let next = self.reader.position();
                    let place = Position { line: next.line.saturating_sub(1), ..next };
                    let wall_us = crate::clock::now_us() + crate::clock::offset_us();
                    return Ok(Some(item(place, self.boot_id, wall_us, "logd", 4, text)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refuses;

    impl Sender for Refuses {
        fn send(&mut self, _: &[Item], _: &str) -> Result<(), SendError> {
            Err(SendError::Never("no".into()))
        }
    }

    #[test]
    fn a_receiver_that_refuses_each_message_about_it_causes_no_storm() {
        let dir = tempfile::tempdir().unwrap();
        let cursor = Cursor::open(dir.path(), "x");
        let mut worker =
            Worker::new("x".into(), Box::new(Refuses), cursor, &[vec![], vec![]], Arc::new(Bell::default()));
        let item = |line| Item {
            feed: Feed::System,
            place: Position { boot: 1, line },
            boot_id: [0; 16],
            wall_us: 0,
            log: "logd".into(),
            level: 6,
            text: String::new(),
            again: false,
        };
        for line in 1..5 {
            assert!(worker.deliver(&mut [item(line)]));
        }
        // Only the first one was said.
        assert_eq!(worker.refused, 3);
        worker.refused_at = Instant::now().checked_sub(SAY_AFTER);
        assert!(worker.deliver(&mut [item(5)]));
        assert_eq!(worker.refused, 0);
    }

    #[test]
    fn lines_get_the_clock_that_was_set_later() {
        assert_eq!(newest(5, 60_000_005), 5);
        assert_eq!(newest(5, 60_000_006), 60_000_006);
    }

    #[test]
    fn a_receiver_that_was_never_reached_gets_no_earlier_boot_later() {
        let dir = tempfile::tempdir().unwrap();
        let name = berth_formats::log_segment::SegmentName(Position { boot: 7, line: 1 });
        std::fs::write(dir.path().join(name.to_string()), "").unwrap();
        let cursor = Cursor::open(&dir.path().join("cursors"), "x");
        let folders = [vec![dir.path().to_owned()], vec![]];
        let mut worker = Worker::new("x".into(), Box::new(Refuses), cursor, &folders, Arc::new(Bell::default()));
        worker.save();
        let again = Cursor::open(&dir.path().join("cursors"), "x");
        assert_eq!((again.is_new(), again.acknowledged(Feed::System)), (false, Position { boot: 7, line: 0 }));
    }
}
