//! GUID constants.

/// Parses a GUID at compile time. Returns its bytes in the order in which they are printed. A text that is not a GUID does not compile.
pub(crate) const fn guid(text: &str) -> [u8; 16] {
    let text = text.as_bytes();
    assert!(text.len() == 36, "a GUID has 36 characters");
    let (mut out, mut at, mut byte) = ([0; 16], 0, 0);
    while byte < 16 {
        if matches!(at, 8 | 13 | 18 | 23) {
            assert!(text[at] == b'-', "a GUID has dashes after 8, 12, 16 and 20 digits");
            at += 1;
        }
        out[byte] = digit(text[at]) << 4 | digit(text[at + 1]);
        at += 2;
        byte += 1;
    }
    out
}

const fn digit(c: u8) -> u8 {
    match c {
        b'0'..=b'9' => c - b'0',
        b'a'..=b'f' => c - b'a' + 10,
        _ => panic!("a GUID is written in lower-case hex digits"),
    }
}
