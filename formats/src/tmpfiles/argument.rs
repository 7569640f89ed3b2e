//! The field "argument", by type.

use super::{Attributes, LineError, LineType, Modifiers, acl::AclText, specifier};
use crate::words::{Backslash, first, unescape};

/// Where copies and link targets come from when the line does not say.
const FACTORY: &[u8] = b"/usr/share/factory";

/// What the last field says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// The type takes no argument, or the line has none.
    None,
    /// `f`, `w`: the content.
    Content(Vec<u8>),
    /// Name of the credential that holds the content.
    Credential(String),
    /// `L`: the target of the link.
    Target(Vec<u8>),
    /// `C`: the absolute path of what is copied.
    Source(Vec<u8>),
    /// `c`, `b`: major and minor number.
    Device {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// `t`, `T`: names and values.
    Xattrs(Vec<(String, Vec<u8>)>),
    /// `h`, `H`.
    Attributes(Attributes),
    /// `a`, `A`.
    Acl(AclText),
}

impl Argument {
    pub(super) fn parse(
        line_type: LineType,
        modifiers: Modifiers,
        letter: char,
        text: Option<&str>,
        path: &[u8],
        value_of: &dyn Fn(char) -> Option<String>,
    ) -> Result<Self, LineError> {
        let wrong = |expected| LineError::Argument { expected, found: text.unwrap_or_default().to_owned() };
        let is_content = matches!(line_type, LineType::File | LineType::Write);
        let is_path = matches!(line_type, LineType::Symlink | LineType::Copy);
        if modifiers.base64 && !is_content && line_type.takes_argument() {
            return Err(LineError::ModifierOfType { letter, modifier: '~' });
        }
        let needed = |expected| text.ok_or_else(|| wrong(expected));
        let bytes = |text: &str| specifier::expand(&unescape(text)?, value_of);
        if modifiers.credential && (is_content || is_path) {
            let name = String::from_utf8(bytes(needed("the name of a credential")?)?);
            return name.map(Self::Credential).map_err(|_| wrong("the name of a credential"));
        }
        Ok(match line_type {
            LineType::File if text.is_none() => Self::None,
            LineType::File | LineType::Write => {
                let text = needed("a content")?;
                let content =
                    if modifiers.base64 { base64(text).ok_or_else(|| wrong("base64"))? } else { bytes(text)? };
                Self::Content(content)
            }
            LineType::Symlink => Self::Target(text.map_or_else(|| Ok([FACTORY, path].concat()), bytes)?),
            LineType::Copy => {
                let source = text.map_or_else(|| Ok([FACTORY, path].concat()), bytes)?;
                if source.first() != Some(&b'/') {
                    return Err(wrong("an absolute path"));
                }
                Self::Source(source)
            }
            LineType::CharDevice | LineType::BlockDevice => {
                const NUMBERS: &str = "the numbers of a device, such as 1:3";
                let numbers = needed(NUMBERS)?.split_once(':').and_then(|(major, minor)| {
                    let number = |text: &str| {
                        text.parse::<u32>().ok().filter(|_| text.starts_with(|c: char| c.is_ascii_digit()))
                    };
                    Some(Self::Device { major: number(major)?, minor: number(minor)? })
                });
                numbers.ok_or_else(|| wrong(NUMBERS))?
            }
            LineType::Xattrs | LineType::XattrsAll => xattrs(needed("attributes such as user.name=value")?, value_of)?,
            LineType::Attributes | LineType::AttributesAll => {
                const FORM: &str = "attributes such as +i";
                Self::Attributes(Attributes::parse(needed(FORM)?).ok_or_else(|| wrong(FORM))?)
            }
            LineType::Acl | LineType::AclAll => {
                const FORM: &str = "entries such as u:name:rx";
                Self::Acl(AclText::parse(needed(FORM)?).ok_or_else(|| wrong(FORM))?)
            }
            _ => Self::None,
        })
    }
}

impl LineType {
    fn takes_argument(self) -> bool {
        !matches!(
            self,
            Self::Directory
                | Self::EmptiedDirectory
                | Self::ExistingDirectory
                | Self::Subvolume
                | Self::Fifo
                | Self::Keep
                | Self::KeepDirectory
                | Self::Remove
                | Self::RemoveAll
                | Self::Adjust
                | Self::AdjustAll
        )
    }
}

fn xattrs(text: &str, value_of: &dyn Fn(char) -> Option<String>) -> Result<Argument, LineError> {
    let (mut all, mut rest) = (Vec::new(), text);
    while let Some((word, after)) = first(rest, Backslash::Escape)? {
        rest = after;
        let wrong = || LineError::Argument {
            expected: "attributes such as user.name=value",
            found: String::from_utf8_lossy(&word).into_owned(),
        };
        let at = word.iter().position(|&byte| byte == b'=').filter(|at| *at > 0).ok_or_else(wrong)?;
        let name = String::from_utf8(specifier::expand(&word[..at], value_of)?).map_err(|_| wrong())?;
        all.push((name, specifier::expand(&word[at + 1..], value_of)?));
    }
    Ok(Argument::Xattrs(all))
}

/// Decodes RFC 4648 base64 with padding; blanks are passed over.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let data = digits.iter().position(|&byte| byte == b'=').unwrap_or(digits.len());
    let is_padded =
        digits.len().is_multiple_of(4) && digits.len() - data <= 2 && digits[data..].iter().all(|&byte| byte == b'=');
    let (mut out, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for &digit in digits[..data].iter().filter(|_| is_padded) {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            out.extend(u8::try_from(bits >> count & 0xff).ok());
        }
    }
    // Bits that are left over must be zero, as systemd wants them.
    (is_padded && bits & ((1 << count) - 1) == 0).then_some(out)
}
