//! Which entry systemd-boot takes: the order of version 257 (`boot_entry_compare` in boot.c; Boot Loader Specification, "Sorting").
//! qemu/tests/boot_entries.rs compares it with the real systemd-boot.
//!
//! The first entry is taken unless `default` in loader.conf or an EFI variable names another. Our loader.conf does not, and while a host runs
//! after its verdict, init's variables choose the first entry too. Entries of type 1 (`/loader/entries`) are ignored, because no image has
//! any.

use super::esp_file::{EspFile, Uki};
use berth_contract::{entry::BootCounter, version};
use std::cmp::{Ordering, Reverse};

/// The entry that systemd-boot takes next.
#[must_use]
pub fn next(all: &[EspFile]) -> Option<&EspFile> {
    let entries = all.iter().filter_map(|found| Some((Key::of(found)?, found)));
    entries.min_by(|(one, _), (other, _)| one.compare(other)).map(|(_, found)| found)
}

/// The sort key of an entry.
struct Key<'a> {
    uki: &'a Uki,
    id: String,
    counter: Option<BootCounter>,
}

impl<'a> Key<'a> {
    fn of(found: &'a EspFile) -> Option<Self> {
        let uki = found.uki.as_ref()?;
        let name = found.file.to_lowercase();
        let stem = name.strip_suffix(".efi").filter(|_| !name.starts_with("auto-"))?;
        let (id, counter) = without_counter(stem);
        Some(Self { uki, id: format!("{id}.efi"), counter })
    }

    fn compare(&self, other: &Self) -> Ordering {
        let spent = |key: &Self| key.counter.is_some_and(|counter| counter.left == 0);
        let newest_first = |one: &str, other: &str| version::compare(other, one);
        let by_key = match (&self.uki.sort_key, &other.uki.sort_key) {
            (Some(one), Some(two)) => {
                let text = |uki: &'a Uki| uki.version.as_deref().unwrap_or_default();
                one.cmp(two).then_with(|| newest_first(text(self.uki), text(other.uki)))
            }
            (one, two) => one.is_none().cmp(&two.is_none()),
        };
        let by_counter = || match (self.counter, other.counter) {
            (Some(one), Some(two)) => (Reverse(one.left), one.done).cmp(&(Reverse(two.left), two.done)),
            _ => Ordering::Equal,
        };
        let by_name = || newest_first(&self.id, &other.id);
        spent(self).cmp(&spent(other)).then(by_key).then_with(by_name).then_with(by_counter)
    }
}

/// Splits a file stem into the part before `+LEFT` or `+LEFT-DONE`, and the counter.
fn without_counter(stem: &str) -> (&str, Option<BootCounter>) {
    let parsed = stem.rsplit_once('+').and_then(|(id, tries)| {
        let (left, done) = tries.split_once('-').unwrap_or((tries, "0"));
        let number = |digits: &str| digits.bytes().all(|c| c.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
        Some((id, BootCounter { left: number(left)?, done: number(done)? }))
    });
    parsed.map_or((stem, None), |(id, counter)| (id, Some(counter)))
}

#[cfg(test)]
mod tests {
    use super::{super::esp_file::FileKind, *};

    fn found(file: &str) -> EspFile {
        let (id, version) = file.split_once('_').unwrap_or((file, ""));
        let version = version.strip_suffix(".efi").unwrap_or(version);
        let version = version.split_once('+').map_or(version, |(version, _)| version);
        let uki = Uki { root_hash: None, sort_key: Some(id.into()), version: Some(version.into()) };
        EspFile { file: file.into(), size: 1, kind: FileKind::Foreign, uki: Some(uki) }
    }

    #[test]
    fn entries_sort_as_in_systemd_boot() {
        for (files, taken) in [
            (&["a_1.efi", "a_2.efi"][..], "a_2.efi"),
            (&["a_9.efi", "a_10.efi"], "a_10.efi"),
            (&["a_1.efi", "a_2+3.efi"], "a_2+3.efi"),
            (&["a_1.efi", "a_2+1-2.efi"], "a_2+1-2.efi"),
            (&["a_1.efi", "a_2+0-3.efi"], "a_1.efi"),
            (&["a_1+3.efi", "a_2+0.efi"], "a_1+3.efi"),
            (&["a_1+0-3.efi", "a_2+0.efi"], "a_2+0.efi"),
            (&["a_1+0.efi", "a_2+0-3.efi"], "a_2+0-3.efi"),
            (&["a_2~rc1.efi", "a_2.efi"], "a_2.efi"),
            (&["b_1.efi", "a_1.efi"], "a_1.efi"),
            (&["a_1+2-1.efi", "a_1+3.efi"], "a_1+3.efi"),
            (&["a_1.efi", "a_2.staged"], "a_1.efi"),
            (&["a_1.efi", "auto-2_2.efi"], "a_1.efi"),
            (&["A_1.EFI"], "A_1.EFI"),
        ] {
            for reversed in [false, true] {
                let mut all: Vec<_> = files.iter().map(|file| found(file)).collect();
                if reversed {
                    all.reverse();
                }
                assert_eq!(next(&all).map(|found| found.file.as_str()), Some(taken), "{files:?}");
            }
        }
        assert_eq!(next(&[EspFile { uki: None, ..found("a_1.efi") }]), None);
    }
}
