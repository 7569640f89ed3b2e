//! Prints all output: data to stdout, messages to stderr. No other module prints. Colours carry no meaning of their own.

use berth_contract::{chain::Chain, credentials::without_credentials};
use berth_fetch::progress::{Event, Progress};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    error::Error,
    fmt::{self, Display},
    io::{self, IsTerminal, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// An error with a message and a hint, for errors that occur in only one place and need no type of their own.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Advised {
    message: String,
    hint: Option<String>,
}

impl Advised {
    /// Makes an error. `hint` says what the user can do, if known.
    #[must_use]
    pub fn new(message: String, hint: Option<String>) -> Self {
        Self { message, hint }
    }

    /// A hint: the next step for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub struct OutputError(#[source] io::Error);

impl OutputError {
    /// Whether the reader has closed the pipe.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// How much is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// Steps too.
    #[default]
    Normal,
    /// Details too.
    Verbose,
}

/// How messages are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// How much is printed.
    pub verbosity: Verbosity,
    /// Draw progress bars.
    pub bars: bool,
    /// Use ANSI colours.
    pub colour: bool,
}

/// Prints all output of the builder.
pub struct Report {
    data: Mutex<Box<dyn Write + Send>>,
    talk: Mutex<Box<dyn Write + Send>>,
    manner: Manner,
    bars: MultiProgress,
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("manner", &self.manner).finish_non_exhaustive()
    }
}

impl Report {
    /// Prints to the process's stdout and stderr. Uses progress bars if stderr is a terminal, and colours too unless
    /// `no_colour` is true (`NO_COLOR` is set, see no-color.org).
    #[must_use]
    pub fn stdio(verbosity: Verbosity, no_colour: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let manner = Manner { verbosity, bars: terminal, colour: terminal && !no_colour };
        Self::new(Box::new(io::stdout()), Box::new(io::stderr()), manner)
    }

    /// Writes data to `data` and messages to `talk`. Bars are drawn on the process's stderr.
    #[must_use]
    pub fn new(data: Box<dyn Write + Send>, talk: Box<dyn Write + Send>, manner: Manner) -> Self {
        let draws = manner.bars && manner.verbosity > Verbosity::Quiet;
        let target = if draws { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { data: Mutex::new(data), talk: Mutex::new(talk), manner, bars: MultiProgress::with_draw_target(target) }
    }

    /// Prints a line of data.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub fn data(&self, line: impl Display) -> Result<(), OutputError> {
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        self.bars.suspend(|| writeln!(data, "{line}")).and_then(|()| data.flush()).map_err(OutputError)
    }

    /// Prints a step of the work, named by its verb: `lock`, `fetch`.
    pub fn step(&self, name: &str, text: impl Display) {
        if self.manner.verbosity >= Verbosity::Normal {
            self.say(&format!("{} {text}", self.paint("1;32", &format!("{name:>8}"))));
        }
    }

    /// Prints a detail, for `--verbose`.
    pub fn detail(&self, text: impl Display) {
        if self.manner.verbosity >= Verbosity::Verbose {
            self.say(&format!("         {text}"));
        }
    }

    /// Prints a warning. The work continues.
    pub fn warning(&self, text: impl Display) {
        self.fault("warning", "1;33", &text.to_string(), &[]);
    }

    /// Prints a warning and a hint.
    pub fn warning_with_hint(&self, text: impl Display, hint: &str) {
        self.fault("warning", "1;33", &text.to_string(), &[hint.to_owned()]);
    }

    /// Prints the error that ended the work, its causes, and their hints. `hint` returns the hint of an error or of a cause.
    pub fn error(&self, error: &anyhow::Error, hint: impl Fn(&(dyn Error + 'static)) -> Option<String>) {
        let mut texts = Chain(error.as_ref()).texts().into_iter();
        let mut text = texts.next().unwrap_or_default();
        for cause in texts {
            text += &format!("\n  caused by: {}", cause.replace('\n', "\n    "));
        }
        let hints: Vec<_> = error.chain().filter_map(hint).collect();
        self.fault("error", "1;31", &text, &hints);
    }

    /// Prints what is wrong with the arguments of the command.
    pub fn usage(&self, text: &str) {
        self.say(text);
    }

    /// Prints that the user interrupted the work.
    pub fn interrupted(&self) {
        // Hide the bars first: their threads would continue to draw.
        _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
        self.fault("error", "1;31", "interrupted: unfinished files were removed, downloads are kept", &[]);
    }

    fn fault(&self, label: &str, colour: &str, text: &str, hints: &[String]) {
        let mut said = format!("{}: {text}", self.paint(colour, label));
        for (index, hint) in hints.iter().enumerate() {
            if !hints[..index].contains(hint) {
                said += &format!("\n{}: {hint}", self.paint("1;36", "hint"));
            }
        }
        self.say(&said);
    }

    /// Makes a printer for the progress of downloads: a bar on a terminal, otherwise one line at the start and one at the end.
    #[must_use]
    pub fn fetching(&self) -> Fetching<'_> {
        Fetching {
            report: self,
            bar: Mutex::new(None),
            files: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.manner.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Prints a message. Messages may end in public logs: no password of an address is printed.
    fn say(&self, text: &str) {
        let text = without_credentials(text);
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        // Ignore errors: if stderr is closed, there is no way to report it.
        self.bars.suspend(|| _ = writeln!(talk, "{text}"));
    }
}

/// Prints the progress of downloads.
#[derive(Debug)]
pub struct Fetching<'a> {
    report: &'a Report,
    bar: Mutex<Option<ProgressBar>>,
    files: AtomicUsize,
    done: AtomicUsize,
    bytes: AtomicU64,
}

impl Fetching<'_> {
    fn bar(&self, act: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            act(bar);
        }
    }

    fn planned(&self, files: usize, bytes: u64) {
        // One `Fetching` may be used for several downloads, one after the other: reset the counters.
        self.done.store(0, Ordering::Relaxed);
        self.files.store(files, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        if files == 0 {
            return;
        }
        if !self.report.manner.bars {
            self.report.step("fetch", format_args!("{}, {}", Files(files), Size(bytes)));
            return;
        }
        let style = ProgressStyle::with_template("   fetch [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        let bar = self.report.bars.add(ProgressBar::new(bytes).with_style(style));
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
    }

    fn finished(&self, name: &str) {
        self.report.detail(format_args!("fetched {name}"));
        let (done, files) = (self.done.fetch_add(1, Ordering::Relaxed) + 1, self.files.load(Ordering::Relaxed));
        if done == files {
            self.bar(ProgressBar::finish_and_clear);
            let bytes = Size(self.bytes.load(Ordering::Relaxed));
            self.report.step("fetch", format_args!("{done}/{}, {bytes}", Files(files)));
        } else {
            self.bar(|bar| bar.set_message(format!("{done}/{files}")));
        }
    }
}

impl Progress for Fetching<'_> {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Planned { files, bytes } => self.planned(files, bytes),
            Event::Started { resumed, .. } => self.bar(|bar| bar.inc(resumed)),
            Event::Received { bytes, .. } => self.bar(|bar| bar.inc(bytes)),
            Event::Discarded { bytes, .. } => self.bar(|bar| bar.dec(bytes)),
            Event::Finished { name } => self.finished(name),
        }
    }
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        // Remove the bar of a failed download before the error is printed.
        self.bar(|bar| bar.finish_and_clear());
    }
}

struct Files(usize);

impl Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} file{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

/// Prints a number of bytes for humans, in units of powers of 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")] {
            if self.0 >= unit {
                let tenths = self.0 / (unit / 10);
                return match tenths {
                    0..100 => write!(f, "{}.{} {name}", tenths / 10, tenths % 10),
                    _ => write!(f, "{} {name}", tenths / 10),
                };
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(verbosity: Verbosity, colour: bool, talk: impl FnOnce(&Report)) -> (String, String) {
        let (data, words) = (Sink::default(), Sink::default());
        let manner = Manner { verbosity, bars: false, colour };
        talk(&Report::new(Box::new(data.clone()), Box::new(words.clone()), manner));
        let text = |sink: Sink| String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        (text(data), text(words))
    }

    fn all(report: &Report) {
        report.data("out/image.raw").unwrap();
        report.step("lock", "35 packages");
        report.detail("asked for by the recipe");
        report.warning_with_hint("glob matches nothing", "remove it");
        let inner = anyhow::anyhow!("mirror is down\nno answer");
        let error = inner.context("cannot fetch zstd").context("cannot fetch");
        // Two errors of the chain have the same hint, which must be printed once.
        report.error(&error, |cause| (cause.to_string() != "cannot fetch").then(|| "try another".to_owned()));
    }

    #[test]
    fn data_goes_to_stdout_and_messages_go_to_stderr() {
        let (data, talk) = said(Verbosity::Verbose, false, all);
        assert_eq!(data, "out/image.raw\n");
        assert_eq!(
            talk,
            "    lock 35 packages\n         asked for by the recipe\nwarning: glob matches nothing\nhint: remove it\n\
             error: cannot fetch\n  caused by: cannot fetch zstd\n  caused by: mirror is down\n    no answer\nhint: try another\n"
        );
    }

    #[test]
    fn colours_do_not_change_the_text_and_quiet_keeps_data_warnings_and_errors() {
        let (_, plain) = said(Verbosity::Normal, false, all);
        let (_, colours) = said(Verbosity::Normal, true, all);
        assert_ne!(plain, colours);
        let mut bare = String::new();
        for part in colours.split('\x1b') {
            bare += part.strip_prefix('[').map_or(part, |code| code.split_once('m').unwrap().1);
        }
        assert_eq!(bare, plain);
        assert!(plain.contains("lock") && !plain.contains("asked for"));
        let (data, quiet) = said(Verbosity::Quiet, false, all);
        assert!(data.contains("out/image.raw") && quiet.contains("warning") && !quiet.contains("lock"));
    }

    #[test]
    fn without_a_terminal_a_download_prints_two_lines() {
        let (_, talk) = said(Verbosity::Normal, false, |report| {
            let fetch = report.fetching();
            fetch.event(Event::Planned { files: 2, bytes: 118_300_000 });
            for name in ["a", "b"] {
                fetch.event(Event::Started { name, size: 9, resumed: 0 });
                fetch.event(Event::Received { name, bytes: 9 });
                fetch.event(Event::Finished { name });
            }
            fetch.event(Event::Planned { files: 1, bytes: 9 });
            fetch.event(Event::Finished { name: "c" });
        });
        assert_eq!(
            talk,
            "   fetch 2 files, 118 MB\n   fetch 2/2 files, 118 MB\n   fetch 1 file, 9 bytes\n   fetch 1/1 file, 9 bytes\n"
        );
        let (_, nothing) = said(Verbosity::Normal, false, |report| {
            report.fetching().event(Event::Planned { files: 0, bytes: 0 });
        });
        assert_eq!(nothing, "");
    }

    #[test]
    fn sizes_are_printed_in_powers_of_1000() {
        for (bytes, text) in
            [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (9_990_000, "9.9 MB"), (118_300_000, "118 MB")]
        {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
