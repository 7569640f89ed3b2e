//! Where passphrases come from: a file, an environment variable, or the terminal. They are never arguments, because other users see these.

use crate::release::{Passphrase, Passphrases, Question};
use anyhow::{Context, Result};
use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::{
    env, fs,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::PathBuf,
};

/// The environment variable.
const VARIABLE: &str = "BERTH_KEY_PASSPHRASE";
/// Longest passphrase file, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// Options for encrypted keys.
#[derive(Debug, Args)]
pub(super) struct PassphraseArgs {
    /// File with the passphrase of encrypted keys; several lines are tried in turn. Without it: the environment variable
    /// BERTH_KEY_PASSPHRASE, or a question at the terminal.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// Whether a file with passphrases is given.
    pub(super) fn has_file(&self) -> bool {
        self.passphrase_file.is_some()
    }

    pub(super) fn passphrases(&self) -> Result<Passphrases> {
        let text = match &self.passphrase_file {
            Some(path) => {
                let mut text = String::new();
                let read = fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
                read.with_context(|| format!("cannot read the passphrase file {}", path.display()))?;
                text
            }
            None => env::var(VARIABLE).unwrap_or_default(),
        };
        let known: Vec<_> = text.lines().filter_map(Passphrase::new).collect();
        anyhow::ensure!(
            !known.is_empty() || self.passphrase_file.is_none(),
            "the passphrase file contains no passphrase: expected a line of text"
        );
        Ok(Passphrases::new(known, Box::new(ask)))
    }
}

/// Asks at the terminal, without showing what is typed.
fn ask(question: Question<'_>) -> io::Result<Option<Passphrase>> {
    // A process without a terminal has no /dev/tty to open.
    let Ok(terminal) = File::options().read(true).write(true).open("/dev/tty") else { return Ok(None) };
    match question {
        Question::Existing(path) => read_line(&terminal, &format!("passphrase of {}: ", path.display())),
        Question::New => loop {
            let Some(first) = read_line(&terminal, "passphrase for the new keys: ")? else { return Ok(None) };
            let Some(again) = read_line(&terminal, "the same passphrase again: ")? else { return Ok(None) };
            if first == again {
                return Ok(Some(first));
            }
            (&terminal).write_all(b"the two differ\n")?;
        },
    }
}

/// `None` for an empty line, the end of input, or Ctrl-C.
fn read_line(mut terminal: &File, prompt: &str) -> io::Result<Option<Passphrase>> {
    let before = tcgetattr(terminal)?;
    let mut silent = before.clone();
    // Without ISIG a Ctrl-C arrives as a byte: the process does not end while the terminal shows nothing.
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    // What was typed before the question is discarded, so this comes before the question.
    tcsetattr(terminal, OptionalActions::Flush, &silent)?;
    terminal.write_all(prompt.as_bytes())?;
    let mut line = Vec::new();
    let read = BufReader::new(terminal.take(4096)).read_until(b'\n', &mut line);
    let restored = tcsetattr(terminal, OptionalActions::Drain, &before);
    terminal.write_all(b"\n")?;
    read?;
    restored?;
    let text = String::from_utf8_lossy(&line);
    Ok(if text.contains('\u{3}') { None } else { Passphrase::new(text.trim_end_matches(['\r', '\n'])) })
}
