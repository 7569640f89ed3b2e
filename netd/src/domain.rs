//! Domain names in the form of RFC 1035 §3.1, as options of DHCP and of router advertisements contain them.
//!
//! The bytes come from the network and may be hostile. Nothing here panics or loops.

/// RFC 1035 §4.1.4: a length byte of this form is the high part of a pointer.
const POINTER: u8 = 0xc0;
/// RFC 1035 §2.3.4.
const LONGEST: usize = 253;
/// More names are dropped, so that a server cannot fill resolv.conf.
const MOST: usize = 32;

/// Whether names may end with a pointer to an earlier place of the same option (RFC 3397: DHCPv4 only).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointers {
    /// They may.
    Allowed,
    /// A pointer is a fault.
    Refused,
}

/// The names of an option. Zeros between and after them are left out. Empty if a name is cut off or not valid in resolv.conf.
#[must_use]
pub fn names(bytes: &[u8], pointers: Pointers) -> Vec<String> {
    let (mut names, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let Some((name, next)) = name(bytes, at, pointers) else { return Vec::new() };
        if !name.is_empty() && names.len() < MOST && !names.contains(&name) {
            names.push(name);
        }
        at = next;
    }
    names
}

/// The name at `start`, and the place after it.
fn name(bytes: &[u8], start: usize, pointers: Pointers) -> Option<(String, usize)> {
    let (mut at, mut after, mut limit, mut name) = (start, None, start, String::new());
    loop {
        let length = *bytes.get(at)?;
        at += 1;
        if length & POINTER == POINTER && pointers == Pointers::Allowed {
            let low = *bytes.get(at)?;
            after = after.or(Some(at + 1));
            let target = usize::from(length & !POINTER) << 8 | usize::from(low);
            // Each pointer goes further back than the one before, so there is an end.
            if target >= limit {
                return None;
            }
            (at, limit) = (target, target);
            continue;
        }
        if length == 0 {
            return Some((name, after.unwrap_or(at)));
        }
        let label = bytes.get(at..at.checked_add(usize::from(length))?).filter(|_| length <= 63)?;
        let plain = |c: &u8| c.is_ascii_alphanumeric() || b"-_".contains(c);
        if !label.iter().all(plain) || (name.is_empty() && label.starts_with(b"-")) {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(label));
        if name.len() > LONGEST {
            return None;
        }
        at += usize::from(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_with_pointers_where_they_are_allowed() {
        // The example of RFC 3397 §2.
        let eng = b"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04";
        assert_eq!(names(eng, Pointers::Allowed), ["eng.apple.com", "marketing.apple.com"]);
        assert!(names(eng, Pointers::Refused).is_empty());
        assert_eq!(names(b"\x03lan\x07example\x00\x04corp\x00\0\0\0", Pointers::Refused), ["lan.example", "corp"]);
        for bad in [
            &b"\xc0\x00"[..],
            b"\x01a\xc0\x00\x01b\xc0\x02",
            b"\x03a b\x00",
            b"\x09short",
            b"\x02-a\x00",
            b"\x01a",
            b"\xc0",
        ] {
            let found = names(bad, Pointers::Allowed);
            assert!(found.iter().all(|name| name == "a"), "{bad:?}: {found:?}");
        }
        let many: Vec<u8> = (0..200_u8).flat_map(|n| [2, b'a' + n % 26, b'a' + n / 26, 0]).collect();
        assert_eq!(names(&many, Pointers::Refused).len(), MOST);
    }
}
