//! Stored lines.

use super::{
    Boot, BootChoice, LogPaths, LogsError,
    boots::{self, BootSegments, hex},
    crash,
    line::StoredLine,
    merge::Merge,
};
use berth_formats::log_segment::{Event, LogReader};
use std::{collections::BTreeSet, thread, time::Duration};

/// Time between two looks for new lines.
const LOOK: Duration = Duration::from_millis(250);

/// The lines that a user wants.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The boot. Without it: the running boot, or with `since_us` all boots.
    pub boot: Option<BootChoice>,
    /// No line before this time, in microseconds since 1970.
    pub since_us: Option<i64>,
    /// Only this log.
    pub log: Option<String>,
    /// Whether to continue with new lines.
    pub follow: bool,
}

/// The stored logs of a host.
#[derive(Debug)]
pub struct StoredLogs {
    paths: LogPaths,
    boots: Vec<BootSegments>,
}

impl StoredLogs {
    /// Finds the boots.
    ///
    /// # Errors
    /// The segments cannot be read.
    pub fn open(paths: LogPaths) -> Result<Self, LogsError> {
        let boots = boots::all(&paths)?;
        Ok(Self { paths, boots })
    }

    /// All boots with lines, oldest first.
    ///
    /// # Errors
    /// The segments cannot be read.
    pub fn boots(&self) -> Result<Vec<Boot>, LogsError> {
        self.boots.iter().map(|boot| boot.shown(&self.paths)).collect()
    }

    /// Passes the lines to `each` in the order of time. With `follow`, ends only when `each` fails.
    ///
    /// # Errors
    /// The segments cannot be read, there is no such boot or log; and the error of `each`.
    pub fn lines<E: From<LogsError>>(
        &self,
        query: &Query,
        mut each: impl FnMut(StoredLine) -> Result<(), E>,
    ) -> Result<(), E> {
        let default = if query.since_us.is_some() { None } else { Some(BootChoice::Relative(0)) };
        let choice = query.boot.or(default);
        let wanted: Vec<usize> =
            (0..self.boots.len()).filter(|&index| choice.is_none_or(|choice| self.boots[index].is(choice))).collect();
        let (Some(&first), Some(&last)) = (wanted.first(), wanted.last()) else {
            return Err(LogsError::NoBoot { choice: choice.unwrap_or(BootChoice::Relative(0)) }.into());
        };
        let (mut known, mut shown) = (BTreeSet::new(), 0_u64);
        for index in first..=last {
            let follow = query.follow && index == self.boots.len() - 1;
            self.lines_of(index, query, follow, &mut |line| {
                if !known.contains(&line.log) {
                    known.insert(line.log.clone());
                }
                let is_wanted = query.log.as_ref().is_none_or(|log| *log == line.log)
                    && query.since_us.is_none_or(|since| line.wall_us.is_none_or(|wall| wall >= since));
                if is_wanted {
                    shown += 1;
                    each(line)?;
                }
                Ok::<(), E>(())
            })?;
        }
        match &query.log {
            Some(log) if shown == 0 && !known.contains(log) => {
                Err(LogsError::NoLog { log: log.clone(), known: known.into_iter().collect() }.into())
            }
            _ => Ok(()),
        }
    }

    fn lines_of<E: From<LogsError>>(
        &self,
        index: usize,
        query: &Query,
        follow: bool,
        each: &mut dyn FnMut(StoredLine) -> Result<(), E>,
    ) -> Result<(), E> {
        let boot = &self.boots[index];
        let mut offset = boot.offset_us(&self.paths)?;
        let mut reader = LogReader::new(self.paths.folders.clone(), boot.first());
        let template = StoredLine { boot: boot.number, boot_id: hex(&boot.boot_id), ..StoredLine::default() };
        let mut merge = Merge::default();
        let mut caught_up = false;
        loop {
            match reader.next_event().map_err(LogsError::Read)? {
                Some(Event::Boot(header)) if header.first.boot != boot.number => break,
                // Until the present end is reached, the newest offset is right for all lines.
                Some(Event::Clock { offset_us }) if caught_up => offset = Some(offset_us),
                Some(Event::Line(place, line)) => {
                    let line = StoredLine {
                        line: place.line,
                        wall_us: offset.map(|offset| line.at_us.saturating_add(offset)),
                        at_us: line.at_us,
                        log: line.log.to_owned(),
                        level: line.level,
                        text: line.text.to_owned(),
                        ..template.clone()
                    };
                    merge.add(line).map_or(Ok(()), &mut *each)?;
                }
                Some(_) => {}
                None if follow => {
                    caught_up = true;
                    while let Some(line) = merge.next() {
                        each(line)?;
                    }
                    thread::sleep(LOOK);
                }
                None => break,
            }
        }
        while let Some(line) = merge.next() {
            each(line)?;
        }
        if query.log.as_deref().is_none_or(|log| log == "crash")
            && let (Some(started), Some(next)) = (offset, self.boots.get(index + 1))
            && let Some(next) = next.offset_us(&self.paths)?
        {
            let seconds = |us: i64| us.div_euclid(1_000_000);
            crash::lines(&self.paths, &template, seconds(started), seconds(next)).into_iter().try_for_each(each)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "stored_tests.rs"]
mod tests;
