//! Kernel images that do not belong to the record of their release, and damaged ones that are replaced.

use super::kit::{Esp, SIZE, uki};
use crate::{kit::repo::record, tiny_efi};
use berth_contract::release::STABLE;
use berth_formats::data::Data;
use hostctl::entries::{Entries, EntriesError, EspFile, Uki};
use std::collections::BTreeMap;

fn found(esp: &Esp, file: &str) -> EspFile {
    Entries::look(&esp.path).unwrap().into_iter().find(|found| found.file == file).unwrap()
}

#[test]
fn a_damaged_entry_is_replaced_and_keeps_its_name() {
    let new = tiny_efi::uki("another text", "quiet", "ID=a\n");
    for file in ["a_2.efi", "a_2+0.efi", "a_2+3.efi"] {
        let esp = Esp::new(&["a_1.efi", file, "other.efi"]);
        let damaged = found(&esp, file);
        assert!(damaged.bytes(&esp.path).unwrap() == uki("2"));
        esp.open().replace(&damaged, &new).unwrap();
        let mut names = ["a_1.efi", file, "other.efi"];
        names.sort_unstable();
        assert_eq!(esp.names(), names);
        assert!(found(&esp, file).bytes(&esp.path).unwrap() == new);
        assert!(found(&esp, "a_1.efi").bytes(&esp.path).unwrap() == uki("1"));
    }
}

#[test]
fn on_a_full_esp_only_an_entry_that_is_not_preferred_makes_room_for_its_successor() {
    let large = vec![7; usize::try_from(SIZE).unwrap() * 3 / 5];
    let with = |file: &str| {
        let files = [(format!("EFI/Linux/{file}"), Data::from(large.clone()))];
        Esp::with(&BTreeMap::from(files))
    };
    let esp = with("a_2.efi");
    let refused = esp.open().replace(&found(&esp, "a_2.efi"), &large).unwrap_err();
    assert!(matches!(refused, EntriesError::Full { .. }), "{refused}");
    assert_eq!(esp.names(), ["a_2.efi"]);
    let esp = with("a_2+0.efi");
    esp.open().replace(&found(&esp, "a_2+0.efi"), &large).unwrap();
    assert_eq!(esp.names(), ["a_2+0.efi"]);
}

#[test]
fn what_an_interrupted_replacement_leaves_is_removed() {
    let names = ["a_1+0.efi", "a_2.efi", "a_2+0.efi", "a_3+0.efi", "a_4.efi", "a_4+0-0.efi", "b_5.efi", "b_5+0.efi"];
    let of = |name: &&str| (format!("EFI/Linux/{name}"), Data::from(uki(&name[2..3])));
    let esp = Esp::with(&names.iter().map(of).collect());
    esp.open().remove_replaced(&"a".parse().unwrap()).unwrap();
    // The entries of the other image on this ESP stay.
    assert_eq!(esp.names(), ["a_1+0.efi", "a_2.efi", "a_3+0.efi", "a_4.efi", "b_5+0.efi", "b_5.efi"]);
}

#[test]
fn an_entry_that_a_replacement_has_moved_is_not_one_that_a_user_has_set_aside() {
    let esp = Esp::new(&["a_1+0.efi", "a_2+0-0.efi", "a_3+0-3.efi", "a_4.efi"]);
    let moved: Vec<_> = Entries::look(&esp.path).unwrap().into_iter().filter(EspFile::was_moved).collect();
    assert_eq!(moved.iter().map(|found| found.file.as_str()).collect::<Vec<_>>(), ["a_2+0-0.efi"]);
    assert_eq!(esp.next(), "a_4.efi");
    // A replacement does not need that name twice.
    let esp = Esp::new(&["a_2.efi", "a_2+0-0.efi"]);
    esp.open().replace(&found(&esp, "a_2.efi"), &uki("2")).unwrap();
    assert_eq!(esp.names(), ["a_2.efi"]);
    // After a power cut between its two last steps the version is whole, and blessed.
    let esp = Esp::new(&["a_2+0-0.efi"]);
    esp.open().replace(&found(&esp, "a_2+0-0.efi"), &uki("2")).unwrap();
    esp.open().reinstate(&found(&esp, "a_2+0-0.efi")).unwrap();
    assert_eq!(esp.names(), ["a_2.efi"]);
}

#[test]
fn a_kernel_image_that_boots_something_else_is_refused() {
    let record = record("host", "2", "x86_64", STABLE);
    let own = record.root.root_hash.to_string();
    let check = |image: &[u8]| Uki::of_image(image).unwrap_or_default().check(&record);
    check(&tiny_efi::version("host", "2", &own)).unwrap();
    let os_release = "IMAGE_ID=host\nIMAGE_VERSION=2\n";
    let with = |cmdline: &str| tiny_efi::uki("", cmdline, os_release);
    check(&with(&format!("quiet roothash={own}"))).unwrap();
    let other = "5a".repeat(32);
    for (what, image) in [
        ("root hash", tiny_efi::version("host", "2", &other)),
        ("root hash", with("quiet")),
        ("root hash", with("roothash=12")),
        // Of two values one reader takes the first, another one the last.
        ("root hash", with(&format!("roothash={own} roothash={other}"))),
        ("root hash", with(&format!("roothash={other} roothash={own}"))),
        ("IMAGE_ID", tiny_efi::version("other", "2", &own)),
        ("IMAGE_VERSION", tiny_efi::version("host", "3", &own)),
        ("root hash", b"no image".to_vec()),
        ("root hash", vec![]),
    ] {
        let error = check(&image).unwrap_err();
        assert!(matches!(&error, EntriesError::OtherImage { field, .. } if field.starts_with(what)), "{error}");
        assert!(error.to_string().starts_with("kernel image of version 2: "), "{error}");
    }
}
