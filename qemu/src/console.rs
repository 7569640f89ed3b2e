//! The serial console. QEMU writes it to a file.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Number of bytes of the console's end that an error message quotes.
const TAIL: usize = 6 << 10;

/// A machine's console.
#[derive(Clone, Debug)]
pub struct Console {
    path: PathBuf,
}

impl Console {
    /// The console that QEMU writes to `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Path of the console's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The console's text so far, without the control sequences of firmware and boot loader.
    #[must_use]
    pub fn text(&self) -> String {
        plain(&String::from_utf8_lossy(&fs::read(&self.path).unwrap_or_default()))
    }

    /// The end of the console, for error messages.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = self.text();
        let mut from = text.len().saturating_sub(TAIL);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        text[from..].to_owned()
    }
}

/// `text` without ANSI control sequences and carriage returns.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' if chars.peek() == Some(&'[') => {
                chars.next();
                // A control sequence ends with the first character from `@` to `~`.
                while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
            '\r' | '\x1b' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_are_removed() {
        assert_eq!(plain("\x1b[2J\x1b[01;01HBdsDxe\r\nok \x1b[0m!\x1b[3"), "BdsDxe\nok !");
    }
}
