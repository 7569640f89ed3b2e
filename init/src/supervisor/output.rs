//! The output of services: cut into lines with time stamps, and kept in memory up to a limit.

use berth_contract::control::LogLine;
use std::collections::VecDeque;

/// Size limit per service in bytes. Each line counts with its time stamp.
const RING: usize = 256 * 1024;
/// Maximum length of a line in bytes. A longer line is cut into several lines.
const LONGEST_LINE: usize = 8 * 1024;

/// The last lines of one service.
#[derive(Debug, Default)]
pub(super) struct Output {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// Number of the first line that is still kept.
    first: u64,
}

impl Output {
    pub(super) fn push(&mut self, line: LogLine) {
        self.bytes += cost(&line);
        self.lines.push_back(line);
        while self.bytes > RING {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= cost(&oldest);
            self.first += 1;
        }
    }

    /// Lines from number `from` on, as far as they are kept, about `limit` bytes at most, and the number to continue with.
    pub(super) fn since(&self, from: u64, limit: usize) -> (Vec<LogLine>, u64) {
        let from = from.max(self.first);
        let skip = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let within = |line: &&LogLine| {
            let fits = bytes < limit;
            bytes += cost(line);
            fits
        };
        let lines: Vec<LogLine> = self.lines.iter().skip(skip).take_while(within).cloned().collect();
        let next = from + lines.len() as u64;
        (lines, next)
    }

    /// Whether more than half of the room is used by lines from number `from` on.
    pub(super) fn is_behind(&self, from: u64) -> bool {
        let skip = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.lines.iter().skip(skip).map(cost).sum::<usize>() > RING / 2
    }

    pub(super) fn last(&self) -> Option<&LogLine> {
        self.lines.back()
    }
}

fn cost(line: &LogLine) -> usize {
    line.text.len() + size_of::<LogLine>()
}

/// Cuts the output of one process into lines.
#[derive(Debug, Default)]
pub(super) struct LineCutter {
    /// The start of a line whose end was not received yet.
    begun: Vec<u8>,
}

impl LineCutter {
    /// Takes bytes, and calls `line` for each line that they complete.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(String)) {
        while !bytes.is_empty() {
            let room = LONGEST_LINE - self.begun.len();
            match bytes.iter().take(room).position(|&byte| byte == b'\n') {
                Some(end) => {
                    self.begun.extend_from_slice(&bytes[..end]);
                    bytes = &bytes[end + 1..];
                    line(self.take());
                }
                None => {
                    let part = &bytes[..room.min(bytes.len())];
                    self.begun.extend_from_slice(part);
                    bytes = &bytes[part.len()..];
                    if self.begun.len() == LONGEST_LINE {
                        line(self.take());
                    }
                }
            }
        }
    }

    /// The last line, if the output does not end with a newline.
    pub(super) fn finish(&mut self) -> Option<String> {
        (!self.begun.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let text = String::from_utf8_lossy(self.begun.strip_suffix(b"\r").unwrap_or(&self.begun)).into_owned();
        self.begun.clear();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_for_every_size_of_the_pieces() {
        let bytes = b"one\ntwo\r\n\nthr\xffee\nopen";
        for size in 1..bytes.len() {
            let (mut cutter, mut lines) = (LineCutter::default(), Vec::new());
            for piece in bytes.chunks(size) {
                cutter.push(piece, |line| lines.push(line));
            }
            lines.extend(cutter.finish());
            assert_eq!(lines, ["one", "two", "", "thr\u{fffd}ee", "open"]);
            assert_eq!(cutter.finish(), None);
        }
        let mut lengths = Vec::new();
        let mut cutter = LineCutter::default();
        cutter.push(&vec![b'x'; 3 * LONGEST_LINE], |line| lengths.push(line.len()));
        cutter.push(b"\n", |line| lengths.push(line.len()));
        assert_eq!(lengths, [LONGEST_LINE, LONGEST_LINE, LONGEST_LINE, 0]);
    }

    #[test]
    fn old_lines_are_dropped_and_readers_keep_their_position() {
        let mut output = Output::default();
        let text = |number: u64| format!("{number:0100}");
        for number in 0..10_000 {
            output.push(LogLine { at_us: number, text: text(number) });
        }
        assert!(output.bytes <= RING && output.bytes > RING / 2);
        let (lines, next) = output.since(0, usize::MAX);
        assert_eq!((lines.len() as u64, next), (10_000 - output.first, 10_000));
        assert_eq!(lines[0].text, text(output.first));
        let (some, next) = output.since(output.first + 5, 1000);
        assert_eq!((some[0].at_us, next), (output.first + 5, output.first + 5 + some.len() as u64));
        assert!((2..10).contains(&some.len()));
        assert_eq!(output.since(10_000, 1000), (Vec::new(), 10_000));
        assert_eq!(output.last().unwrap().at_us, 9_999);
        assert!(output.is_behind(0) && output.is_behind(output.first) && !output.is_behind(9_500));
    }
}
