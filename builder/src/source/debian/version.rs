//! Compares Debian versions as dpkg does: deb-version(7).

use std::cmp::Ordering;

/// A version `[epoch:]upstream[-revision]`, ordered as dpkg orders it. Two spellings of one version (`1.0`, `1.00`,
/// `0:1.0-0`) are equal.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a>(pub &'a str);

impl PartialEq for Version<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version<'_> {}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let (epoch, upstream, revision) = split(self.0);
        let (other_epoch, other_upstream, other_revision) = split(other.0);
        compare(epoch, other_epoch)
            .then_with(|| compare(upstream, other_upstream))
            .then_with(|| compare(revision, other_revision))
    }
}

/// Splits into epoch, upstream version and revision. A missing part is empty, which compares as zero.
fn split(version: &str) -> (&[u8], &[u8], &[u8]) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch.as_bytes(), upstream.as_bytes(), revision.as_bytes())
}

/// Sort order of a byte in a non-digit part: tilde first, then the end of the part, then letters, then all other bytes.
fn place(byte: Option<&u8>) -> i32 {
    match byte {
        None => 0,
        Some(c) if c.is_ascii_digit() => 0,
        Some(b'~') => -1,
        Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
        Some(c) => i32::from(*c) + 256,
    }
}

fn compare(mut a: &[u8], mut b: &[u8]) -> Ordering {
    let digit = |text: &[u8]| text.first().is_some_and(u8::is_ascii_digit);
    let word = |text: &[u8]| text.first().is_some_and(|c| !c.is_ascii_digit());
    while !a.is_empty() || !b.is_empty() {
        while word(a) || word(b) {
            match place(a.first()).cmp(&place(b.first())) {
                Ordering::Equal => (a, b) = (&a[1..], &b[1..]),
                unequal => return unequal,
            }
        }
        let number = |text: &'_ [u8]| text.iter().take_while(|c| c.is_ascii_digit()).count();
        while a.first() == Some(&b'0') {
            a = &a[1..];
        }
        while b.first() == Some(&b'0') {
            b = &b[1..];
        }
        // Without leading zeros the longer number is the larger one.
        let (len_a, len_b) = (number(a), number(b));
        match len_a.cmp(&len_b).then_with(|| a[..len_a].cmp(&b[..len_b])) {
            Ordering::Equal => (a, b) = (&a[len_a..], &b[len_b..]),
            unequal => return unequal,
        }
        debug_assert!(!digit(a) && !digit(b));
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn difficult_versions_compare_as_with_dpkg() {
        berth_judge::needs!("dpkg");
        let hard = [
            "0",
            "0~",
            "1",
            "1.",
            "1.0",
            "1.00",
            "1.0-0",
            "1.0-1",
            "1.0-1~deb13u1",
            "1.0-1+b1",
            "1.0-1.1",
            "1.0~rc1-1",
            "1.0~~",
            "1.0~~a",
            "1.0+dfsg-1",
            "1.0.a",
            "1.0a",
            "1.0A",
            "1.0+",
            "1.0-1-1",
            "0:1.0",
            "1:0.1",
            "2:0~",
            "10:0",
            "1.2.10",
            "1.2.9",
            "1.2.010",
            "99999999999999999999999999",
            "100000000000000000000000000",
            "26.1.5+dfsg1-9+b11",
            "2.41-12+deb13u1",
        ];
        for a in hard {
            for b in hard {
                let relation = match Version(a).cmp(&Version(b)) {
                    Ordering::Less => "lt",
                    Ordering::Equal => "eq",
                    Ordering::Greater => "gt",
                };
                let judge = Command::new("dpkg").args(["--compare-versions", a, relation, b]).output();
                assert!(judge.expect("dpkg: run ci/setup").status.success(), "{a} {relation} {b}");
            }
        }
    }
}
