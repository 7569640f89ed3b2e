//! Names of a directory's entries: the short name (8.3), and the long name in the slots before it.

use super::error::VolumeError;

/// Bytes of a slot in a directory.
pub(super) const SLOT: usize = 32;
pub(super) const ATTRIBUTES: usize = 11;
/// Attributes that make a slot a part of a long name.
pub(super) const LONG_NAME: u8 = 0x0f;
const CHECKSUM: usize = 13;
const NT_CASE: usize = 12;
/// Mark of the slot with the end of the name, which comes first.
const LAST: u8 = 0x40;
/// UTF-16 code units in a slot, and where they are.
const UNITS: usize = 13;
const UNITS_AT: [usize; UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
/// Longest name that we write: with its short entry it fits into a sector of 512 bytes.
const MAX_UNITS: usize = 15 * UNITS;

/// Checks a name that is to be written.
pub(super) fn check(name: &str) -> Result<(), VolumeError> {
    let bad = |reason| Err(VolumeError::Name { name: name.to_owned(), reason });
    if name.is_empty() || name.ends_with(['.', ' ']) || name.starts_with(' ') {
        return bad("it is empty, begins with a blank, or ends with a dot or a blank");
    }
    if name.contains(|c: char| c.is_control() || "\"*/:<>?\\|".contains(c)) {
        return bad("it has one of the characters \" * / : < > ? \\ |, or a control character");
    }
    if name.encode_utf16().count() > MAX_UNITS {
        return bad("it is longer than 195 characters");
    }
    Ok(())
}

/// Whether two names are the same for FAT.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.to_uppercase() == other.to_uppercase()
}

/// The slots of a long name, in their order before the short entry.
pub(super) fn long_slots(name: &str, short: &[u8; 11]) -> Vec<[u8; SLOT]> {
    let mut units: Vec<u16> = name.encode_utf16().collect();
    if !units.len().is_multiple_of(UNITS) {
        units.push(0);
        units.resize(units.len().next_multiple_of(UNITS), u16::MAX);
    }
    let mut slots: Vec<[u8; SLOT]> = Vec::new();
    for (number, units) in (1_u8..).zip(units.chunks(UNITS)) {
        let mut slot = [0; SLOT];
        slot[0] = number;
        slot[ATTRIBUTES] = LONG_NAME;
        slot[CHECKSUM] = checksum(short);
        for (at, unit) in UNITS_AT.into_iter().zip(units) {
            slot[at..at + 2].copy_from_slice(&unit.to_le_bytes());
        }
        slots.push(slot);
    }
    if let Some(last) = slots.last_mut() {
        last[0] |= LAST;
    }
    slots.reverse();
    slots
}

/// The long name in `slots`, if it is complete and belongs to the short name.
pub(super) fn long_name(slots: &[u8], short: &[u8; 11]) -> Option<String> {
    let count = slots.len() / SLOT;
    let mut units = Vec::with_capacity(count * UNITS);
    for (number, slot) in slots.chunks_exact(SLOT).rev().enumerate() {
        let last = if number + 1 == count { LAST } else { 0 };
        let wanted = u8::try_from(number + 1).unwrap_or(u8::MAX) | last;
        if slot[0] != wanted || slot[CHECKSUM] != checksum(short) {
            return None;
        }
        units.extend(UNITS_AT.map(|at| u16::from_le_bytes([slot[at], slot[at + 1]])));
    }
    let end = units.iter().position(|&unit| unit == 0).unwrap_or(units.len());
    (end > 0).then(|| String::from_utf16_lossy(&units[..end]))
}

/// The name of a short entry, with upper and lower case as Windows NT's two bits say.
pub(super) fn short_name(slot: &[u8]) -> String {
    let part = |bytes: &[u8], lower: bool| {
        let end = bytes.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1);
        let text: String = bytes[..end].iter().map(|&byte| char::from(byte)).collect();
        if lower { text.to_ascii_lowercase() } else { text }
    };
    let mut base = slot[..8].to_vec();
    if base[0] == 0x05 {
        base[0] = 0xe5;
    }
    let base = part(&base, slot[NT_CASE] & 0x08 != 0);
    let ending = part(&slot[8..11], slot[NT_CASE] & 0x10 != 0);
    if ending.is_empty() { base } else { format!("{base}.{ending}") }
}

/// A short name for `name` that is not `taken`.
pub(super) fn new_short(name: &str, taken: impl Fn(&[u8; 11]) -> bool) -> Option<[u8; 11]> {
    let allowed = |text: &str| -> Vec<u8> {
        let plain = text.bytes().filter(u8::is_ascii_alphanumeric);
        plain.map(|byte| byte.to_ascii_uppercase()).collect()
    };
    let (base, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let (base, ending) = (allowed(base), allowed(ending));
    // A directory has 65536 slots at most.
    (1..=65536_u32).find_map(|number| {
        let tail = format!("~{number}");
        let mut short = [b' '; 11];
        let kept = base.len().min(8 - tail.len());
        short[..kept].copy_from_slice(&base[..kept]);
        short[kept..kept + tail.len()].copy_from_slice(tail.as_bytes());
        let len = ending.len().min(3);
        short[8..8 + len].copy_from_slice(&ending[..len]);
        (!taken(&short)).then_some(short)
    })
}

fn checksum(short: &[u8; 11]) -> u8 {
    short.iter().fold(0, |sum: u8, &byte| sum.rotate_right(1).wrapping_add(byte))
}
