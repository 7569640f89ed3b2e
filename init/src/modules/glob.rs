//! Patterns of modules.alias: fnmatch(3) without flags.

/// Whether the whole of `text` matches: `*`, `?`, `[a-z]`, `[!a]`; everything else stands for itself.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last `*` does not match: that star, and one byte of the text more for it.
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

/// Matches one byte against the pattern's first element, and returns that element's length.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => match set(&pattern[1..], byte) {
            Some((length, hit)) => hit.then_some(length + 1),
            None => (byte == b'[').then_some(1),
        },
        c => (c == byte).then_some(1),
    }
}

/// A bracket expression after its `[`: its length with the `]`, and whether it holds the byte. None: it never closes.
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
    use super::matches;

    #[test]
    fn patterns_of_real_alias_files() {
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
            ("a[]x]c", "a]c", true),
            ("a[bc", "a[bc", true),
            ("*", "", true),
            ("?", "", false),
            ("", "x", false),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbXb", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} against {text}");
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        assert!(!matches(&"*a".repeat(40), &"a".repeat(39)));
        assert!(!matches(&format!("{}b", "*a".repeat(30)), &"a".repeat(5000)));
    }
}
