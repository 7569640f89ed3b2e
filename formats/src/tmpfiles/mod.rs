//! Lines of tmpfiles.d(5): files and directories that packages want, as systemd 257 reads them.
//! <https://www.freedesktop.org/software/systemd/man/257/tmpfiles.d.html>
//!
//! A line is parsed completely: type, modifiers, path with specifiers, mode, user, group, age, argument. [`apply`] does what lines say, for
//! the builder in the tree of an image, and for init at boot.

pub mod acl;
mod age;
mod apply;
mod argument;
mod arrange;
mod attributes;
mod mode;
mod specifier;

pub use age::{Age, Timestamp};
pub use apply::{ApplyError, Found, Rights, Root, Unapplied, Writing, apply};
pub use argument::Argument;
pub use arrange::{Children, arrange, is_match, matching};
pub use attributes::Attributes;
pub use mode::Mode;

use crate::words::{Backslash, WordError, first};

/// The first field of a line, without modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineType {
    /// `f`, `F` (an old name of `f+`): a file with a content.
    File,
    /// `w`: writes to files that exist.
    Write,
    /// `d`: a directory.
    Directory,
    /// `D`: a directory whose content is removed by `systemd-tmpfiles --remove`.
    EmptiedDirectory,
    /// `e`: mode, owner and age of directories that exist.
    ExistingDirectory,
    /// `v`, `q`, `Q`: a subvolume on btrfs, a directory on all other file systems.
    Subvolume,
    /// `p`: a named pipe.
    Fifo,
    /// `L`: a symbolic link.
    Symlink,
    /// `c`: a character device.
    CharDevice,
    /// `b`: a block device.
    BlockDevice,
    /// `C`: a copy of a file or of a directory with its content.
    Copy,
    /// `x`: a path that cleaning leaves alone, with its content.
    Keep,
    /// `X`: a path that cleaning leaves alone, without its content.
    KeepDirectory,
    /// `r`: removes a file or an empty directory.
    Remove,
    /// `R`: removes a path and its content.
    RemoveAll,
    /// `z`, `m` (an old name of `z`): mode and owner of a path that exists.
    Adjust,
    /// `Z`: mode and owner of a path that exists and of its content.
    AdjustAll,
    /// `t`: extended attributes.
    Xattrs,
    /// `T`: extended attributes of a path and of its content.
    XattrsAll,
    /// `h`: file attributes, as chattr(1) sets them.
    Attributes,
    /// `H`: file attributes of a path and of its content.
    AttributesAll,
    /// `a`: access control lists.
    Acl,
    /// `A`: access control lists of a path and of its content.
    AclAll,
}

/// The characters after the type's letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modifiers {
    /// `!`: only at boot.
    pub boot: bool,
    /// `+`: replaces what is there, or appends to it; the type says which.
    pub plus: bool,
    /// `-`: a failure is not an error.
    pub may_fail: bool,
    /// `=`: removes a path that is of another type.
    pub replace_other_type: bool,
    /// `~`: the argument is base64. [`Line::argument`] holds the decoded bytes.
    pub base64: bool,
    /// `^`: the argument names a credential, whose value is the content.
    pub credential: bool,
    /// `$`: `systemd-tmpfiles --purge` removes the path.
    pub purge: bool,
    /// `?`: a link is only made if its target exists.
    pub if_target: bool,
}

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Name or decimal number.
    pub name: String,
    /// `:` before it: only for a path that the line creates.
    pub only_new: bool,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it does.
    pub line_type: LineType,
    /// How it does that.
    pub modifiers: Modifiers,
    /// Absolute path or, if [`LineType::takes_pattern`], a pattern as in glob(7). Without `.`, empty names and a slash at
    /// the end. It may hold `..`.
    pub path: Vec<u8>,
    /// `None` for `-`.
    pub mode: Option<Mode>,
    /// `None` for `-`.
    pub user: Option<Owner>,
    /// `None` for `-`.
    pub group: Option<Owner>,
    /// After which time cleaning removes the content.
    pub age: Option<Age>,
    /// The last field.
    pub argument: Argument,
}

/// Why a line has no meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It cannot be split into fields.
    #[error(transparent)]
    Word(#[from] WordError),
    /// Fewer than two fields.
    #[error("expected a type and a path")]
    Fields,
    /// A field that is not UTF-8.
    #[error("expected UTF-8 in the field {field}")]
    NotText {
        /// Name of the field.
        field: &'static str,
    },
    /// A letter that no version up to 257 has.
    #[error("unknown type {letter:?}")]
    Type {
        /// The letter.
        letter: char,
    },
    /// A modifier that no version up to 257 has, or one that comes twice.
    #[error("unknown or repeated modifier {modifier:?}")]
    Modifier {
        /// The character.
        modifier: char,
    },
    /// A modifier that this type does not have.
    #[error("the type {letter:?} does not take the modifier {modifier:?}")]
    ModifierOfType {
        /// The type's letter.
        letter: char,
        /// The character.
        modifier: char,
    },
    /// The path does not begin with `/`.
    #[error("expected an absolute path")]
    Relative,
    /// The path, or the argument, holds a specifier whose value the caller does not know.
    #[error("the specifier %{letter} has no value here")]
    Specifier {
        /// The letter after `%`.
        letter: char,
    },
    /// Not a mode.
    #[error("expected a mode of up to four octal digits")]
    Mode,
    /// Not an age.
    #[error("expected an age such as 10d or m:1h, found {found:?}")]
    Age {
        /// The field.
        found: String,
    },
    /// Not an argument for this type.
    #[error("expected {expected} as argument, found {found:?}")]
    Argument {
        /// What the type needs.
        expected: &'static str,
        /// The field.
        found: String,
    },
}

impl LineType {
    fn of(letter: char) -> Option<Self> {
        Some(match letter {
            'f' | 'F' => Self::File,
            'w' => Self::Write,
            'd' => Self::Directory,
            'D' => Self::EmptiedDirectory,
            'e' => Self::ExistingDirectory,
            'v' | 'q' | 'Q' => Self::Subvolume,
            'p' => Self::Fifo,
            'L' => Self::Symlink,
            'c' => Self::CharDevice,
            'b' => Self::BlockDevice,
            'C' => Self::Copy,
            'x' => Self::Keep,
            'X' => Self::KeepDirectory,
            'r' => Self::Remove,
            'R' => Self::RemoveAll,
            'z' | 'm' => Self::Adjust,
            'Z' => Self::AdjustAll,
            't' => Self::Xattrs,
            'T' => Self::XattrsAll,
            'h' => Self::Attributes,
            'H' => Self::AttributesAll,
            'a' => Self::Acl,
            'A' => Self::AclAll,
            _ => return None,
        })
    }

    /// Whether `systemd-tmpfiles --purge` can remove what such a line makes.
    fn can_be_purged(self) -> bool {
        !self.takes_pattern() || matches!(self, Self::Write | Self::ExistingDirectory)
    }

    /// Whether the path is a pattern for paths that exist.
    #[must_use]
    pub fn takes_pattern(self) -> bool {
        !matches!(
            self,
            Self::File
                | Self::Directory
                | Self::EmptiedDirectory
                | Self::Subvolume
                | Self::Fifo
                | Self::Symlink
                | Self::CharDevice
                | Self::BlockDevice
                | Self::Copy
        )
    }
}

impl Line {
    /// Parses a line that is neither empty nor a comment. `value_of` gives the value of a specifier that depends on the
    /// host or its release (`a b B H l m o v w W`), if the caller knows it. All other specifiers have the values of the
    /// system's own systemd-tmpfiles.
    ///
    /// # Errors
    /// A line that systemd would pass over, too.
    pub fn parse(text: &str, value_of: &dyn Fn(char) -> Option<String>) -> Result<Self, LineError> {
        let (mut fields, mut rest) = (Vec::new(), text);
        while fields.len() < 6 {
            let Some((field, after)) = first(rest, Backslash::Escape)? else { break };
            fields.push(field);
            rest = after;
        }
        let mut fields = fields.into_iter();
        let (Some(action), Some(path)) = (fields.next(), fields.next()) else { return Err(LineError::Fields) };
        let (letter, line_type, modifiers) = action_of(&text_of("type", action)?)?;
        let path = simplified(specifier::expand(&path, value_of)?)?;

        let mut given = |field| match fields.next().filter(|field| !field.is_empty() && field != b"-") {
            Some(bytes) => text_of(field, bytes).map(Some),
            None => Ok(None),
        };
        let (mode, user, group, age) = (given("mode")?, given("user")?, given("group")?, given("age")?);
        let mode = mode.map(|mode| Mode::parse(&mode).ok_or(LineError::Mode)).transpose()?;
        let age = age.map(|age| Age::parse(&age).ok_or(LineError::Age { found: age })).transpose()?;
        let argument = (!rest.is_empty() && rest != "-").then_some(rest);
        let argument = Argument::parse(line_type, modifiers, letter, argument, &path, value_of)?;
        Ok(Self { line_type, modifiers, path, mode, user: user.map(owner), group: group.map(owner), age, argument })
    }

    /// Permission bits of a path that this line creates.
    #[must_use]
    pub fn mode_of_new(&self) -> u16 {
        let is_directory =
            matches!(self.line_type, LineType::Directory | LineType::EmptiedDirectory | LineType::Subvolume);
        let default = if is_directory { 0o755 } else { 0o644 };
        self.mode.map_or(default, |mode| mode.applied(mode.bits, is_directory))
    }

    /// Permission bits of a path that is there already with the bits `found`, once this line is applied.
    #[must_use]
    pub fn mode_of_existing(&self, found: u16, is_directory: bool) -> u16 {
        match self.mode.filter(|mode| !mode.only_new) {
            Some(mode) => mode.applied(found, is_directory),
            None => found,
        }
    }
}

impl Owner {
    /// The owner to set, if any, for a path that the line creates (`is_new`), or that is there already.
    #[must_use]
    pub fn wanted(owner: Option<&Self>, is_new: bool) -> Option<&str> {
        owner.filter(|owner| is_new || !owner.only_new).map(|owner| owner.name.as_str())
    }
}

fn text_of(field: &'static str, bytes: Vec<u8>) -> Result<String, LineError> {
    String::from_utf8(bytes).map_err(|_| LineError::NotText { field })
}

fn owner(text: String) -> Owner {
    match text.strip_prefix(':') {
        Some(name) => Owner { name: name.to_owned(), only_new: true },
        None => Owner { name: text, only_new: false },
    }
}

/// The type's letter, the type, and the modifiers.
fn action_of(text: &str) -> Result<(char, LineType, Modifiers), LineError> {
    let mut characters = text.chars();
    let letter = characters.next().ok_or(LineError::Fields)?;
    let line_type = LineType::of(letter).ok_or(LineError::Type { letter })?;
    let mut modifiers = Modifiers::default();
    for modifier in characters {
        let flag = match modifier {
            '!' => &mut modifiers.boot,
            '+' => &mut modifiers.plus,
            '-' => &mut modifiers.may_fail,
            '=' => &mut modifiers.replace_other_type,
            '~' => &mut modifiers.base64,
            '^' => &mut modifiers.credential,
            '$' => &mut modifiers.purge,
            '?' => &mut modifiers.if_target,
            _ => return Err(LineError::Modifier { modifier }),
        };
        if std::mem::replace(flag, true) {
            return Err(LineError::Modifier { modifier });
        }
    }
    let refused = [
        ('?', modifiers.if_target && line_type != LineType::Symlink),
        ('$', modifiers.purge && !line_type.can_be_purged()),
    ];
    if let Some((modifier, _)) = refused.into_iter().find(|(_, is_refused)| *is_refused) {
        return Err(LineError::ModifierOfType { letter, modifier });
    }
    // `F` is an old name of `f+`.
    modifiers.plus |= letter == 'F';
    Ok((letter, line_type, modifiers))
}

/// An absolute path without empty names and `.`; /var/run is another name of /run.
fn simplified(path: Vec<u8>) -> Result<Vec<u8>, LineError> {
    if path.first() != Some(&b'/') {
        return Err(LineError::Relative);
    }
    let names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".");
    let mut names: Vec<&[u8]> = names.collect();
    if names.len() > 2 && names.starts_with(&[&b"var"[..], b"run"]) {
        names.remove(0);
    }
    if names.is_empty() {
        Ok(b"/".to_vec())
    } else {
        Ok(names.iter().flat_map(|name| [&b"/"[..], name]).flatten().copied().collect())
    }
}

#[cfg(test)]
mod tests;
