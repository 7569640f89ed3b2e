//! Programs that run once: `hostctl bless` for the verdict, and the commands of clients.

use super::{
    cgroup::{self, Cgroups},
    exit::Exit,
    output::{LineCutter, Output},
    process::{self, Errors},
};
use crate::{control::Started, timeline::now_us};
use berth_contract::{
    control::LogLine,
    fault::{At, PathError},
};
use rustix::{
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    io::{Errno, read},
    process::{Pid, Signal, kill_process_group},
};
use std::{
    cell::Cell,
    collections::{BTreeMap, VecDeque},
    io::PipeReader,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Maximum number of bytes of a program that are read in one turn.
const BYTES_PER_TURN: usize = 64 * 1024;
/// Size limit of a program's stderr in bytes. The end is kept.
const LONGEST_ERRORS: usize = 16 * 1024;

/// All programs.
#[derive(Debug)]
pub(super) struct Programs {
    epoll: OwnedFd,
    running: BTreeMap<u64, Program>,
    next: u64,
    /// Variables that every program gets.
    pub(super) environment: Vec<(String, String)>,
}

#[derive(Debug)]
struct Program {
    handle: Started,
    process: u32,
    pipes: Vec<(PipeReader, Stream)>,
    output: Output,
    cutter: LineCutter,
    errors: VecDeque<u8>,
    exit: Option<Exit>,
    told_to_end: bool,
    /// Number of the line that its client reads next. `None`: its output has no reader.
    taken: Cell<Option<u64>>,
    /// Its output is not read, because its client is slow. Then its pipe is not in the epoll.
    is_paused: bool,
}

/// The content of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Lines,
    Errors,
}

impl Programs {
    pub(super) fn new(environment: Vec<(String, String)>) -> Result<Self, PathError> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).at("open", "epoll")?;
        Ok(Self { epoll, running: BTreeMap::new(), next: 0, environment })
    }

    /// Starts a program in the control group `group`.
    pub(super) fn start(
        &mut self,
        group: &str,
        words: &[String],
        errors: Errors,
        input: Option<&str>,
        cgroups: &Cgroups,
    ) -> Result<Started, PathError> {
        let (process, output, errors) =
            process::start_program(group, words, errors, input, &self.environment, cgroups)?;
        // Only a client takes errors apart.
        let taken = Cell::new(errors.is_some().then_some(0));
        let handle = Started::new(self.next);
        self.next += 1;
        let mut pipes = vec![(output, Stream::Lines)];
        pipes.extend(errors.map(|reader| (reader, Stream::Errors)));
        for (reader, _) in &pipes {
            epoll::add(&self.epoll, reader, EventData::new_u64(0), EventFlags::IN).at("watch", "program")?;
        }
        let program = Program {
            handle: handle.clone(),
            process,
            pipes,
            output: Output::default(),
            cutter: LineCutter::default(),
            errors: VecDeque::new(),
            exit: None,
            told_to_end: false,
            taken,
            is_paused: false,
        };
        self.running.insert(handle.number(), program);
        Ok(handle)
    }

    /// Reads the output of the programs. Ends and removes those whose handle was dropped.
    pub(super) fn work(&mut self) {
        for program in self.running.values_mut() {
            program.pause_or_continue(&self.epoll);
            program.read();
            if program.is_abandoned() && !program.told_to_end && program.exit.is_none() {
                program.told_to_end = true;
                cgroup::signal(program.process, Signal::TERM);
            }
        }
        self.running.retain(|_, program| !(program.is_abandoned() && program.exit.is_some()));
    }

    /// Whether [`Programs::work`] has work that no descriptor reports.
    pub(super) fn is_due(&self) -> bool {
        self.running.values().any(|program| {
            let ends = program.is_abandoned() && (!program.told_to_end || program.exit.is_some());
            ends || program.is_paused && !program.is_ahead()
        })
    }

    /// A process has ended. False when it was not one of these programs.
    pub(super) fn exited(&mut self, process: u32, exit: Exit) -> bool {
        let Some(program) =
            self.running.values_mut().find(|program| program.process == process && program.exit.is_none())
        else {
            return false;
        };
        program.is_paused = false;
        // Read the rest of its output. Later output of its children is not read.
        program.read();
        if let Some(text) = program.cutter.finish() {
            program.output.push(LogLine { at_us: now_us(), text });
        }
        program.pipes.clear();
        program.exit = Some(exit);
        if let Some(group) = i32::try_from(process).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        true
    }

    /// Lines of a program's output, as [`Output::since`] returns them.
    pub(super) fn since(&self, number: u64, from: u64, limit: usize) -> (Vec<LogLine>, u64) {
        let Some(program) = self.running.get(&number) else { return (Vec::new(), from) };
        let (lines, next) = program.output.since(from, limit);
        if program.taken.get().is_some() {
            program.taken.set(Some(next));
        }
        (lines, next)
    }

    /// The last `count` lines of a program's output.
    pub(super) fn last_lines(&self, number: u64, count: usize) -> Vec<LogLine> {
        let (mut lines, _) = self.since(number, 0, usize::MAX);
        lines.split_off(lines.len().saturating_sub(count))
    }

    /// How the program ended, if it has, and its stderr if it has a separate pipe.
    pub(super) fn end(&self, number: u64) -> Option<(Exit, String)> {
        let program = self.running.get(&number)?;
        let errors: Vec<u8> = program.errors.iter().copied().collect();
        Some((program.exit?, String::from_utf8_lossy(&errors).trim_end().to_owned()))
    }
}

impl Program {
    fn is_abandoned(&self) -> bool {
        !self.handle.is_held()
    }

    /// Whether it prints faster than its client reads.
    fn is_ahead(&self) -> bool {
        self.taken.get().is_some_and(|taken| self.output.is_behind(taken))
    }

    /// Stops to read the output of a program that is ahead, so that the program waits, and starts again later.
    fn pause_or_continue(&mut self, epoll: &OwnedFd) {
        let pauses = self.is_ahead();
        if pauses == self.is_paused {
            return;
        }
        self.is_paused = pauses;
        for (reader, _) in self.pipes.iter().filter(|(_, kind)| *kind == Stream::Lines) {
            // An error means that the pipe is closed, which the next read finds.
            let _ = match pauses {
                true => epoll::delete(epoll, reader),
                false => epoll::add(epoll, reader, EventData::new_u64(0), EventFlags::IN),
            };
        }
    }

    fn read(&mut self) {
        let at_us = now_us();
        let is_paused = self.is_paused && self.exit.is_none();
        let Self { pipes, output, cutter, errors, .. } = self;
        pipes.retain(|(reader, kind)| {
            if is_paused && *kind == Stream::Lines {
                return true;
            }
            let (mut bytes, mut taken) = ([0; 16 * 1024], 0);
            while taken < BYTES_PER_TURN {
                match read(reader, &mut bytes) {
                    Ok(count) if count > 0 => {
                        taken += count;
                        match kind {
                            Stream::Lines => cutter.push(&bytes[..count], |text| output.push(LogLine { at_us, text })),
                            Stream::Errors => {
                                errors.extend(&bytes[..count]);
                                let surplus = errors.len().saturating_sub(LONGEST_ERRORS);
                                errors.drain(..surplus);
                            }
                        }
                    }
                    Err(Errno::AGAIN) => return true,
                    Err(Errno::INTR) => {}
                    // The other end is closed.
                    Ok(_) | Err(_) => return false,
                }
            }
            true
        });
    }
}

impl AsFd for Programs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
