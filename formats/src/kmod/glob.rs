/// Whether a text matches a pattern of fnmatch(3), without flags but also without escapes, which no alias has: `*`, `?`
/// and `[...]` with ranges and `!`. Takes time in proportion to the product of the lengths at worst.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on if what follows the last star does not match.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                retry = Some((p, t));
                continue;
            }
            Some(b'?') => (p, t) = (p + 1, t + 1),
            Some(&c) => match step(c, &pattern[p..], text[t]) {
                Some(len) => (p, t) = (p + len, t + 1),
                None if !again(&mut retry, &mut p, &mut t) => return false,
                None => {}
            },
            None if !again(&mut retry, &mut p, &mut t) => return false,
            None => {}
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// Lets the last star take one byte more.
fn again(retry: &mut Option<(usize, usize)>, p: &mut usize, t: &mut usize) -> bool {
    let Some((after_star, taken)) = retry else { return false };
    *taken += 1;
    (*p, *t) = (*after_star, *taken);
    true
}

/// How much of the pattern, which begins with `c`, matches this one byte.
fn step(c: u8, pattern: &[u8], byte: u8) -> Option<usize> {
    // A `]` that comes first stands for itself, and an unclosed bracket too.
    let negated = pattern.get(1) == Some(&b'!');
    let begin = if negated { 2 } else { 1 };
    let close = pattern.iter().skip(begin + 1).position(|&c| c == b']').map(|at| begin + 1 + at);
    let (b'[', Some(close)) = (c, close) else { return (c == byte).then_some(1) };
    let (mut set, mut found) = (&pattern[begin..close], false);
    while let Some((&low, rest)) = set.split_first() {
        match rest {
            [b'-', high, rest @ ..] => {
                found |= (low..=*high).contains(&byte);
                set = rest;
            }
            _ => {
                found |= low == byte;
                set = rest;
            }
        }
    }
    (found != negated).then_some(close + 1)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_fnmatch_does() {
        for (pattern, text, wanted) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
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
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), wanted, "{pattern} {text}");
        }
        let hostile = "*a".repeat(40) + "b";
        assert!(!matches(hostile.as_bytes(), "a".repeat(4000).as_bytes()));
    }
}
