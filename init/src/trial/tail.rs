//! The last log lines of a boot that failed, for its record.

use crate::{console, kernel_log::KernelLog};
use berth_contract::{boot_report::LOG_TAG, control::LogLine};
use std::{collections::VecDeque, path::Path};

/// Number of lines of init and kernel.
const LINES: usize = 80;
/// Number of lines of each further log.
const FURTHER: usize = 20;
/// Maximum length of a line in bytes.
const LONGEST: usize = 400;

/// The last lines of init and kernel, ordered by time, then the last lines of each further log. Lines of further logs start with the
/// name of the log.
#[must_use]
pub fn tail(kernel_log: &Path, further: &[(&str, Vec<LogLine>)]) -> Vec<String> {
    let mut lines: VecDeque<LogLine> = VecDeque::new();
    if let Ok(mut log) = KernelLog::open(kernel_log) {
        while let Ok(Some(line)) = log.next_line() {
            // Skip the lines of init: they are taken from memory, because the kernel's log may lack some of them.
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
    fn the_tail_is_limited_and_names_the_logs() {
        let lines: Vec<LogLine> =
            (0..100).map(|number| LogLine { at_us: number * 1_500_000, text: "x".repeat(1000) }).collect();
        let tail = tail(Path::new("/no/kmsg"), &[("dockerd", lines)]);
        let of_dockerd: Vec<&String> = tail.iter().filter(|line| line.contains(" dockerd: ")).collect();
        assert_eq!(of_dockerd.len(), FURTHER);
        assert!(of_dockerd[0].starts_with("[ 120.000] dockerd: xxx") && of_dockerd[0].len() < LONGEST + 40);
        assert!(tail.len() <= LINES + FURTHER);
    }
}
