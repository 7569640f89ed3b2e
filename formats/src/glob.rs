//! Patterns of fnmatch(3), without flags: <https://man7.org/linux/man-pages/man3/fnmatch.3.html>. And the braces of glob(3).
//! modules.alias and tmpfiles.d use them.

/// Whether the whole of `text` matches: `*`, `?`, `[a-z]`, `[!a]`, `[^a]`; a byte after a backslash and every other byte matches
/// itself. An unclosed bracket matches itself. The time is at most proportional to the product of both lengths.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to continue if the pattern after the last `*` does not match: at that star, which then takes one more byte.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p, t));
            p += 1;
            continue;
        }
        if let Some(length) = one(&pattern[p..], text[t]) {
            p += length;
            t += 1;
            continue;
        }
        let Some((star, from)) = retry else { return false };
        retry = Some((star, from + 1));
        (p, t) = (star + 1, from + 1);
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// Whether any byte of `text` has a meaning in a pattern.
#[must_use]
pub fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|byte| b"*?[".contains(byte))
}

/// A name without wildcards, without the backslashes that protect its bytes.
#[must_use]
pub fn unescaped(name: &[u8]) -> Vec<u8> {
    let (mut out, mut bytes) = (Vec::with_capacity(name.len()), name.iter().copied());
    while let Some(byte) = bytes.next() {
        out.push(if byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte });
    }
    out
}

/// The most patterns that [`alternatives`] returns.
const MAX_ALTERNATIVES: usize = 1000;

/// The patterns that a pattern with braces stands for: `/a/{b,c}` for `/a/b` and `/a/c`. Braces that are not closed mean themselves,
/// and so do braces that would make more than a thousand patterns.
#[must_use]
pub fn alternatives(pattern: &[u8]) -> Vec<Vec<u8>> {
    let (mut done, mut open) = (Vec::new(), vec![pattern.to_vec()]);
    while let Some(pattern) = open.pop() {
        match braces(&pattern).filter(|(_, _, parts)| done.len() + open.len() + parts.len() <= MAX_ALTERNATIVES) {
            // The last one is taken first.
            Some((start, end, parts)) => open
                .extend(parts.iter().rev().map(|part| [&pattern[..start], part.as_slice(), &pattern[end..]].concat())),
            None => done.push(pattern),
        }
    }
    done
}

/// The first closed braces: where they begin and end, and their parts.
fn braces(pattern: &[u8]) -> Option<(usize, usize, Vec<Vec<u8>>)> {
    let start = pattern.iter().position(|&byte| byte == b'{')?;
    let (mut depth, mut parts, mut part, mut at) = (0, Vec::new(), Vec::new(), start + 1);
    while let Some(&byte) = pattern.get(at) {
        at += 1;
        match byte {
            b'}' if depth == 0 => {
                parts.push(part);
                return Some((start, at, parts));
            }
            b',' if depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b'\\' => {
                part.push(byte);
                part.extend(pattern.get(at));
                at += 1;
                continue;
            }
            _ => {}
        }
        part.push(byte);
    }
    None
}

/// Matches one byte against the pattern's first element, and returns that element's length.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'\\' if pattern.len() > 1 => (pattern[1] == byte).then_some(2),
        b'[' => match set(&pattern[1..], byte) {
            Some((length, hit)) => hit.then_some(length + 1),
            None => (byte == b'[').then_some(1),
        },
        c => (c == byte).then_some(1),
    }
}

/// A bracket expression after its `[`: its length with the `]`, and whether it holds the byte. `None` if it is not closed.
fn set(pattern: &[u8], byte: u8) -> Option<(usize, bool)> {
    let negated = matches!(pattern.first(), Some(b'!' | b'^'));
    let first = usize::from(negated);
    let (mut at, mut hit) = (first, false);
    loop {
        let low = *pattern.get(at)?;
        if low == b']' && at > first {
            return Some((at + 1, hit != negated));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some(b'-'), Some(&high)) if high != b']' => {
                hit |= (low..=high).contains(&byte);
                at += 3;
            }
            _ => {
                hit |= low == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{alternatives, matches, unescaped};

    #[test]
    fn patterns_match_as_fnmatch_does() {
        let pci = "pci:v00001AF4d00001001sv00001AF4sd00000002bc01sc00i00";
        for (pattern, text, expected) in [
            ("pci:v00001AF4d*sv*sd*bc*sc*i*", pci, true),
            ("pci:v00001AF4d*sv*sd*bc02sc*i*", pci, false),
            ("virtio:d00000002v*", "virtio:d00000002v00001AF4", true),
            ("virtio:d00000001v*", "virtio:d00000002v00001AF4", false),
            ("acpi*:PNP0C0C:*", "acpi:PNP0C0C:", true),
            ("acpi*:PNP0C0C:*", "acpi:LNXPWRBN:", false),
            ("dmi:*:[bs]vnXen:*", "dmi:a:svnXen:x", true),
            ("usb:v*p*d*dc*dsc*dp*ic08isc06ip50in*", "usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00", true),
            ("a[!0-9]c", "abc", true),
            ("a[!0-9]c", "a5c", false),
            ("a[^0-9]c", "abc", true),
            ("a[^0-9]c", "a5c", false),
            ("[^]]", "]", false),
            ("", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcb", false),
            ("a*b*c", "aXbXbXc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[!a-c]x", "dx", true),
            ("[!a-c]x", "ax", false),
            ("[]x]", "]", true),
            ("[abc", "[abc", true),
            ("*[0-9]", "abc7", true),
            ("pci:v00001AF4d*sv*sd*bc*sc*i*", "pci:v00001AF4d00001041sv00001AF4sd00000001bc02sc00i00", true),
            ("pci:v00001AF4d*sv*sd*bc03sc*i*", "pci:v00001AF4d00001041sv00001AF4sd00000001bc02sc00i00", false),
            (
                "cpu:type:x86,ven*fam*mod*:feature:*0081*",
                "cpu:type:x86,ven0000fam0006mod003C:feature:,0000,0081,",
                true,
            ),
            ("a[]x]c", "a]c", true),
            ("a[bc", "a[bc", true),
            ("*", "", true),
            ("?", "", false),
            ("", "x", false),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbXb", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("*\\?", "ab?", true),
            ("a\\", "a\\", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} against {text}");
        }
    }

    #[test]
    fn braces_stand_for_several_patterns() {
        for (pattern, expected) in [
            ("/a/{b,c}/d", &["/a/b/d", "/a/c/d"][..]),
            ("{a,b{c,d}}{,e}", &["a", "ae", "bc", "bce", "bd", "bde"]),
            ("/a", &["/a"]),
            ("/{a", &["/{a"]),
            ("{a\\,b}", &["a\\,b"]),
        ] {
            let found: Vec<String> =
                alternatives(pattern.as_bytes()).into_iter().map(|it| String::from_utf8(it).unwrap()).collect();
            assert_eq!(found, expected, "{pattern}");
        }
        assert_eq!(alternatives("{a,b}".repeat(100).as_bytes()).len(), 1000);
        assert_eq!(unescaped(b"a\\b\\\\c\\"), b"ab\\c\\");
    }

    #[test]
    fn many_stars_end_in_bounded_time() {
        for (stars, end, len) in [(40, "b", 4000), (40, "", 39), (30, "b", 5000)] {
            let pattern = "*a".repeat(stars) + end;
            assert!(!matches(pattern.as_bytes(), "a".repeat(len).as_bytes()), "{pattern}");
        }
    }
}
