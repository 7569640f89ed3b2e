//! Lines of sysusers.d(5): users and groups that packages want, as systemd 257 reads them. Which numbers they get is the caller's part.
//! <https://www.freedesktop.org/software/systemd/man/257/sysusers.d.html>

use crate::words::{Backslash, WordError, first};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// `u`, `u!`: a user, and a group.
    User(User),
    /// `g`: a group.
    Group {
        /// Its name.
        name: String,
        /// The number that it should have.
        id: Id,
    },
    /// `m`: makes a user a member of a group. Both are created if they do not exist.
    Member {
        /// The user.
        user: String,
        /// The group.
        group: String,
    },
    /// `r`: numbers for accounts without a number of their own.
    Range {
        /// The first number.
        low: u32,
        /// The last number.
        high: u32,
    },
}

/// A line for a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// The number that it should have.
    pub id: Id,
    /// The primary group, which another line or the system has. `None`: the group with the name of the user.
    pub group: Option<Primary>,
    /// Full name.
    pub comment: Option<String>,
    /// Home directory.
    pub home: Option<String>,
    /// Login shell.
    pub shell: Option<String>,
    /// `u!`: nobody can log in.
    pub expired: bool,
}

/// The number that an account should have. If it is taken, the account gets another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// Any number.
    Any,
    /// This number.
    Number(u32),
    /// The owner of this path, if it is not the superuser. The absolute path of a file or directory.
    OwnerOf(String),
}

/// A group that must exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Primary {
    /// By name.
    Name(String),
    /// By number.
    Number(u32),
}

/// Why a line has no meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It cannot be split into fields.
    #[error(transparent)]
    Word(#[from] WordError),
    /// The first field is no type.
    #[error("expected u, u!, g, m or r, found {found:?}")]
    Type {
        /// The field.
        found: String,
    },
    /// A field that this type does not have.
    #[error("a line of the type {line_type} has no field {field}, found {found:?}")]
    Extra {
        /// The type.
        line_type: String,
        /// Name of the field.
        field: &'static str,
        /// Its text.
        found: String,
    },
    /// A specifier. Their values depend on the host.
    #[error("specifiers (%) have no value while an image is built")]
    Specifier,
    /// A field that is not valid.
    #[error("expected {expected}, found {found:?}")]
    Field {
        /// What the field must be.
        expected: &'static str,
        /// Its text.
        found: String,
    },
}

/// Names of the fields after the type.
const FIELDS: [&str; 5] = ["name", "id", "comment", "home", "shell"];

impl Line {
    /// Parses a line that is neither empty nor a comment.
    ///
    /// # Errors
    /// A line that systemd passes over, too, or one with specifiers of the host.
    pub fn parse(text: &str) -> Result<Self, LineError> {
        let (mut fields, mut rest) = (Vec::new(), text);
        while fields.len() < 6 {
            let Some((field, after)) = first(rest, Backslash::Protect)? else { break };
            fields.push(plain(&String::from_utf8_lossy(&field))?);
            rest = after;
        }
        let line_type = fields.first().cloned().unwrap_or_default();
        let field = |at: usize| fields.get(at).map(String::as_str).filter(|text| !text.is_empty() && *text != "-");
        let most = match line_type.as_str() {
            "u" | "u!" => 6,
            "g" | "m" | "r" => 3,
            _ => return Err(LineError::Type { found: line_type }),
        };
        let extra = (most..6).find_map(|at| Some((FIELDS[at - 1], field(at)?)));
        if let Some((field, found)) = extra.or_else(|| (!rest.is_empty()).then_some(("after the shell", rest))) {
            return Err(LineError::Extra { line_type, field, found: found.to_owned() });
        }
        let name = || name(field(1), "the name of an account");
        Ok(match line_type.as_str() {
            "g" => Self::Group { name: name()?, id: id(field(2))? },
            "m" => Self::Member { user: name()?, group: self::name(field(2), "a group")? },
            "r" => match field(1) {
                None => range(field(2).unwrap_or_default())?,
                Some(found) => {
                    let found = found.to_owned();
                    return Err(LineError::Extra { line_type, field: FIELDS[0], found });
                }
            },
            _ => {
                let (id, group) = user_id(field(2))?;
                let (comment, home, shell) = (comment(field(3))?, path(field(4), HOME)?, path(field(5), SHELL)?);
                Self::User(User { name: name()?, id, group, comment, home, shell, expired: line_type == "u!" })
            }
        })
    }
}

/// A field with `%%` replaced.
fn plain(field: &str) -> Result<String, LineError> {
    let text = field.replace("%%", "\0");
    if text.contains('%') { Err(LineError::Specifier) } else { Ok(text.replace('\0', "%")) }
}

fn wrong(expected: &'static str, found: &str) -> LineError {
    LineError::Field { expected, found: found.to_owned() }
}

/// A name that systemd gives to new accounts.
fn name(found: Option<&str>, expected: &'static str) -> Result<String, LineError> {
    let name = found.unwrap_or_default();
    let start = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let good = start && name.len() <= 31 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if good { Ok(name.to_owned()) } else { Err(wrong(expected, name)) }
}

/// Decimal digits, without a sign or a zero before them. Two numbers mean "no user" to the kernel.
fn number(text: &str) -> Option<u32> {
    let good = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|id| good && *id != 0xffff && *id != u32::MAX)
}

fn id(field: Option<&str>) -> Result<Id, LineError> {
    match field {
        None => Ok(Id::Any),
        Some(path) if path.starts_with('/') => Ok(Id::OwnerOf(path.to_owned())),
        Some(text) => number(text).map(Id::Number).ok_or_else(|| wrong("a number", text)),
    }
}

/// `ID`, `ID:GROUP`, or a path.
fn user_id(field: Option<&str>) -> Result<(Id, Option<Primary>), LineError> {
    let Some((user, group)) = field.filter(|text| !text.starts_with('/')).and_then(|text| text.split_once(':')) else {
        return Ok((id(field)?, None));
    };
    let user = if user == "-" { Id::Any } else { Id::Number(number(user).ok_or_else(|| wrong("a number", user))?) };
    let group = match number(group) {
        Some(gid) => Primary::Number(gid),
        None => Primary::Name(name(Some(group), "the name or number of a group")?),
    };
    Ok((user, Some(group)))
}

fn range(text: &str) -> Result<Line, LineError> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    match (number(low), number(high)) {
        (Some(low), Some(high)) if low <= high => Ok(Line::Range { low, high }),
        _ => Err(wrong("a range of numbers", text)),
    }
}

fn comment(field: Option<&str>) -> Result<Option<String>, LineError> {
    match field {
        Some(text) if text.contains([':', '\n']) => Err(wrong("a comment without colon and new line", text)),
        _ => Ok(field.map(str::to_owned)),
    }
}

const HOME: &str = "the absolute path of a home directory";
const SHELL: &str = "the absolute path of a shell";

fn path(field: Option<&str>, expected: &'static str) -> Result<Option<String>, LineError> {
    let good = |path: &str| {
        path.starts_with('/') && !path.contains([':', '\n']) && !path.split('/').any(|name| name == ".." || name == ".")
    };
    match field {
        Some(path) if !good(path) => Err(wrong(expected, path)),
        _ => Ok(field.map(str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, process::Command};

    #[test]
    fn fields_are_read() {
        let user = Line::parse("u! _a 12:adm \"The %% A\" /var/lib/a /bin/sh").unwrap();
        let some = |text: &str| Some(text.to_owned());
        let expected = User {
            name: "_a".into(),
            id: Id::Number(12),
            group: Some(Primary::Name("adm".into())),
            comment: some("The % A"),
            home: some("/var/lib/a"),
            shell: some("/bin/sh"),
            expired: true,
        };
        assert_eq!(user, Line::User(expected));
        assert_eq!(
            Line::parse("g a /srv/f").unwrap(),
            Line::Group { name: "a".into(), id: Id::OwnerOf("/srv/f".into()) }
        );
        assert_eq!(Line::parse("m a b").unwrap(), Line::Member { user: "a".into(), group: "b".into() });
        assert_eq!(Line::parse("r - 5").unwrap(), Line::Range { low: 5, high: 5 });
    }

    /// Lines that systemd-sysusers 257 accepts, and lines that it refuses.
    const LINES: &[&str] = &[
        "u a",
        "u a -",
        "u a 300",
        "u a -:root",
        "u a 300:root",
        "u a 300:0",
        "u a -:0",
        "u a /srv/f",
        "u a /srv/f:x",
        "u a :g",
        "u a 300:",
        "u a -:-",
        "u a root",
        "u a 65535",
        "u a 4294967295",
        "u a 65534",
        "u a -5",
        "u a 0x10",
        "u a 010",
        "u a +10",
        "u a.b",
        "u a-b_c",
        "u 1a",
        "u a$",
        "u -a",
        "u Aa",
        "u aaaaaaaaaabbbbbbbbbbccccccccccd",
        "u aaaaaaaaaabbbbbbbbbbccccccccccdd",
        "u \"a\" 300",
        "u a%%b",
        "u",
        "u -",
        "\"\" a",
        "u a 300 \"c %% d\"",
        "u a 300 with:colon",
        "u a 300 - /home/a /bin/sh",
        "u a 300 - relative",
        "u a 300 - /a/../b",
        "u a 300 - / sh",
        "u a 300 - - - extra",
        "u a 300 - - - -",
        "u! a",
        "u+ a",
        "U a",
        "g a",
        "g a 300",
        "g a /srv/f",
        "g a -:g",
        "g! a",
        "g a 300 comment",
        "g a 300 - /home",
        "g a - - - -",
        "m a g",
        "m a",
        "m u -",
        "m! a g",
        "m a g extra",
        "m a 5",
        "r - 500-510",
        "r - 500",
        "r x 500",
        "r - 510-500",
        "r -",
        "r",
        "r - 5-6:7",
        "r - 5-6 x",
        "x a",
        "u a \"open",
    ];

    #[test]
    fn lines_are_accepted_as_systemd_accepts_them() {
        let judge = berth_judge::newer("systemd-sysusers");
        berth_judge::needs!(judge);
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("x.conf");
        fs::create_dir(dir.path().join("etc")).unwrap();
        for line in LINES {
            fs::write(&conf, format!("{line}\n")).unwrap();
            let output =
                Command::new(&judge).args(["--dry-run", "--root"]).arg(dir.path()).arg(&conf).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            // A line that is refused is named with its number.
            assert_eq!(
                Line::parse(line).is_err(),
                said.contains("x.conf:1:"),
                "{line}: {:?}, {said}",
                Line::parse(line)
            );
        }
        assert_eq!(Line::parse("u a 5 %m"), Err(LineError::Specifier));
    }
}
