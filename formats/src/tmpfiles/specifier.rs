//! Specifiers: `%` and a letter, which stand for a value.

use super::LineError;

/// Letters whose value depends on the host or on its release.
const OF_HOST: &str = "abBHlmovwW";

/// Values of the service manager of the system, whose user is root.
fn of_system(letter: char) -> Option<&'static str> {
    Some(match letter {
        '%' => "%",
        'C' => "/var/cache",
        'L' => "/var/log",
        'S' => "/var/lib",
        't' => "/run",
        'T' => "/tmp",
        'V' => "/var/tmp",
        'h' => "/root",
        'u' | 'g' => "root",
        'U' | 'G' => "0",
        _ => return None,
    })
}

/// `text` with its specifiers replaced. An unknown letter stays as it is, with its `%`.
pub(super) fn expand(text: &[u8], value_of: &dyn Fn(char) -> Option<String>) -> Result<Vec<u8>, LineError> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let letter = after.first().copied().map(char::from).filter(|_| byte == b'%');
        match letter {
            Some(letter) if OF_HOST.contains(letter) => {
                out.extend_from_slice(value_of(letter).ok_or(LineError::Specifier { letter })?.as_bytes());
                rest = &after[1..];
            }
            Some(letter) if of_system(letter).is_some() => {
                out.extend_from_slice(of_system(letter).unwrap_or_default().as_bytes());
                rest = &after[1..];
            }
            _ => out.push(byte),
        }
    }
    Ok(out)
}
