//! Words of a configuration line as systemd splits it (`extract_first_word`): blanks separate words, quotes keep blanks in a
//! word, a backslash protects a character or begins a C escape. Used by tmpfiles.d(5) and sysusers.d(5):
//! <https://www.freedesktop.org/software/systemd/man/257/tmpfiles.d.html>.

/// What a backslash means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backslash {
    /// It begins a C escape, as in tmpfiles.d: `\n`, `\x20`, `\302`, `\u00e4`.
    Escape,
    /// It protects the next character, as in sysusers.d.
    Protect,
}

/// A line that cannot be split.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// A quote that has no end.
    #[error("a quote is not closed")]
    Quote,
    /// A backslash that begins no C escape.
    #[error("expected a C escape, found {found:?}")]
    Escape {
        /// The backslash and up to ten characters after it.
        found: String,
    },
}

const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// The first word of `text`, and the text after the blanks that follow it. `None` if there is no word.
///
/// # Errors
/// A quote that is not closed, or an escape that is not valid.
pub fn first(text: &str, backslash: Backslash) -> Result<Option<(Vec<u8>, &str)>, WordError> {
    let mut rest = text.trim_start_matches(BLANKS);
    if rest.is_empty() {
        return Ok(None);
    }
    let (mut word, mut quote) = (Vec::new(), None);
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match (c, quote) {
            ('\\', _) => {
                rest = escaped(rest, backslash, &mut word)?;
                continue;
            }
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (c, None) if BLANKS.contains(&c) => break,
            (c, _) => word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = after;
    }
    match quote {
        Some(_) => Err(WordError::Quote),
        None => Ok(Some((word, rest.trim_start_matches(BLANKS)))),
    }
}

/// `text` with its C escapes replaced; quotes and blanks have no meaning.
///
/// # Errors
/// An escape that is not valid.
pub fn unescape(text: &str) -> Result<Vec<u8>, WordError> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = escaped(&rest[at..], Backslash::Escape, &mut out)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// Adds the meaning of the backslash with which `text` begins to `out`, and returns the text after it.
fn escaped<'a>(text: &'a str, backslash: Backslash, out: &mut Vec<u8>) -> Result<&'a str, WordError> {
    let wrong = || WordError::Escape { found: text.chars().take(11).collect() };
    let body = &text[1..];
    let letter = body.chars().next().ok_or_else(wrong)?;
    let after = &body[letter.len_utf8()..];
    if backslash == Backslash::Protect {
        out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        return Ok(after);
    }
    // A number of so many digits. Zero is not allowed: it would end the text in C.
    let number = |digits: &'a str, len: usize, radix: u32| {
        let (digits, after) = digits.split_at_checked(len)?;
        let valid = digits.chars().all(|digit| digit.is_digit(radix));
        let value = u32::from_str_radix(digits, radix).ok().filter(|value| valid && *value != 0)?;
        Some((value, after))
    };
    let byte = match letter {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        's' => b' ',
        '\\' | '"' | '\'' => u8::try_from(letter).map_err(|_| wrong())?,
        'x' | '0'..='7' => {
            let found = if letter == 'x' { number(after, 2, 16) } else { number(body, 3, 8) };
            let (value, after) = found.ok_or_else(wrong)?;
            out.push(u8::try_from(value).map_err(|_| wrong())?);
            return Ok(after);
        }
        'u' | 'U' => {
            let (value, after) = number(after, if letter == 'u' { 4 } else { 8 }, 16).ok_or_else(wrong)?;
            let c = char::from_u32(value).ok_or_else(wrong)?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(after);
        }
        _ => return Err(wrong()),
    };
    out.push(byte);
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(mut text: &str, backslash: Backslash) -> Result<Vec<String>, WordError> {
        let mut all = Vec::new();
        while let Some((word, rest)) = first(text, backslash)? {
            all.push(String::from_utf8(word).unwrap());
            text = rest;
        }
        Ok(all)
    }

    #[test]
    fn words_are_split_as_systemd_splits_them() {
        let escape = |text| words(text, Backslash::Escape);
        assert_eq!(escape(" a  \"b c\"d 'e \"f' \t").unwrap(), ["a", "b cd", "e \"f"]);
        assert_eq!(
            escape("\\x41\\101\\u00e4\\U0001F600 'a\\tb' \\s \"\"").unwrap(),
            ["AA\u{e4}\u{1f600}", "a\tb", " ", ""]
        );
        assert_eq!(escape("a \"open"), Err(WordError::Quote));
        for wrong in ["\\q", "\\", "\\x4", "\\x00", "\\08", "\\000", "\\777", "\\ud800", "\\x+1", "\\u\u{e4}\u{e4}"] {
            assert!(matches!(escape(wrong), Err(WordError::Escape { .. })), "{wrong}");
        }
        assert_eq!(words("a\\nb \\\"c\\ d", Backslash::Protect).unwrap(), ["anb", "\"c d"]);
        assert_eq!(unescape("two\\twords\\n\\\\ \"x").unwrap(), b"two\twords\n\\ \"x");
    }
}
