//! The last words of a boot that failed, for its record.

use crate::{console, control::kernel_log::KernelLog};
use berth_contract::{boot_report::LOG_TAG, control::LogLine};
use std::{collections::VecDeque, path::Path};

/// Lines of init and kernel.
const LINES: usize = 80;
/// Lines of each further log.
const FURTHER: usize = 20;
/// Bytes of one line.
const LONGEST: usize = 400;

/// The last lines of init and kernel by their time, then those of further logs, each with its log's name.
#[must_use]
pub fn tail(kernel_log: &Path, further: &[(&str, Vec<LogLine>)]) -> Vec<String> {
    let mut lines: VecDeque<LogLine> = VecDeque::new();
    if let Ok(mut log) = KernelLog::open(kernel_log) {
        while let Ok(Some(line)) = log.next_record() {
            // init has its own lines in memory. In the kernel's log some of them may be missing.
            if !line.text.starts_with(LOG_TAG) {
                lines.push_back(line);
            }
            if lines.len() > LINES {
                lines.pop_front();
            }
        }
    }
    let mut lines: Vec<LogLine> = lines.into_iter().chain(console::history(0).0).collect();
    lines.sort_by_key(|line| line.at_us);
    let last = |lines: &[LogLine], count: usize, name: &str| -> Vec<String> {
        lines[lines.len().saturating_sub(count)..].iter().map(|line| stamped(line, name)).collect()
    };
    let mut all = last(&lines, LINES, "");
    for (name, lines) in further {
        all.extend(last(lines, FURTHER, &format!("{name}: ")));
    }
    all
}

fn stamped(line: &LogLine, name: &str) -> String {
    let text = &line.text[..line.text.floor_char_boundary(LONGEST)];
    format!("[{:4}.{:03}] {name}{text}", line.at_us / 1_000_000, line.at_us / 1000 % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_short_and_name_their_logs() {
        let lines: Vec<LogLine> =
            (0..100).map(|number| LogLine { at_us: number * 1_500_000, text: "x".repeat(1000) }).collect();
        let tail = tail(Path::new("/no/kmsg"), &[("dockerd", lines)]);
        let of_dockerd: Vec<&String> = tail.iter().filter(|line| line.contains(" dockerd: ")).collect();
        assert_eq!(of_dockerd.len(), FURTHER);
        assert!(of_dockerd[0].starts_with("[ 120.000] dockerd: xxx") && of_dockerd[0].len() < LONGEST + 40);
        assert!(tail.len() <= LINES + FURTHER);
    }
}
