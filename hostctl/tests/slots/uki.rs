//! Making the unified kernel image.

use super::kit::{Chance, Folder, Lie};
use berth_contract::{
    digest::Sha256,
    release::{UkiPart, UkiRecord},
};
use hostctl::slots::{
    SlotError,
    uki::{Images, Nowhere, assemble, cost, mend, record_of},
};
use sha2::Digest;
use std::{fs, ops::Range};
use tempfile::TempDir;

/// A minimal PE image with sections: a stub of 1 KiB, then one section after the other.
fn uki(sections: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut image = vec![0; 1024];
    image[..2].copy_from_slice(b"MZ");
    image[60] = 64;
    image[64..68].copy_from_slice(b"PE\0\0");
    image[68..70].copy_from_slice(&0x8664_u16.to_le_bytes());
    image[70] = u8::try_from(sections.len()).unwrap();
    image[84] = 112;
    image[88..90].copy_from_slice(&0x20b_u16.to_le_bytes());
    for (number, (name, content)) in sections.iter().enumerate() {
        let (header, start) = (200 + number * 40, image.len());
        let padded = content.len().next_multiple_of(512);
        image[header..header + name.len()].copy_from_slice(name.as_bytes());
        image[header + 8..header + 12].copy_from_slice(&u32::try_from(content.len()).unwrap().to_le_bytes());
        image[header + 16..header + 20].copy_from_slice(&u32::try_from(padded).unwrap().to_le_bytes());
        image[header + 20..header + 24].copy_from_slice(&u32::try_from(start).unwrap().to_le_bytes());
        image.extend(content);
        image.resize(start + padded, 0);
    }
    image
}

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

#[test]
fn a_kernel_image_is_made_from_running_and_fetched_parts() {
    let mut chance = Chance(3);
    let (kernel, initrd) = (chance.blocks(100), chance.blocks(30));
    let running = uki(&[(".cmdline", b"roothash=1".to_vec()), (".initrd", initrd), (".linux", kernel.clone())]);
    // The sections have another order and other lengths, so the kernel has moved.
    let new =
        uki(&[(".initrd", chance.blocks(33)), (".cmdline", b"roothash=2 quiet".to_vec()), (".linux", kernel.clone())]);
    let sections = berth_formats::pe::sections(&new).unwrap();
    let ranges = std::iter::once(0..1024).chain(sections.into_iter().map(|section| section.raw));
    let part = |range: Range<usize>| UkiPart {
        offset: range.start as u64,
        size: range.len() as u64,
        sha256: sha256(&new[range]),
    };
    let record = UkiRecord { size: new.len() as u64, sha256: sha256(&new), parts: ranges.map(part).collect() };
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("t.efi"), &new).unwrap();
    let remote = Folder::new(folder.path());
    let made = assemble(&record, "t.efi", &running, &remote).unwrap();
    assert!(made.bytes == new);
    assert_eq!(made.fetched, (new.len() - kernel.len()) as u64);
    assert_eq!(made.fetched, cost(&record, &running));
    // Any running image will do.
    assert!(assemble(&record, "t.efi", b"no PE", &remote).unwrap().bytes == new);

    // A damaged copy of the new image and the running one have all parts.
    assert_eq!(record_of(&new).sha256, record.sha256);
    let mut damaged = new.clone();
    let kernel_at = new.windows(kernel.len()).position(|window| window == kernel).unwrap();
    damaged[kernel_at + 700] ^= 2;
    for record in [&record, &record_of(&new)] {
        let mend = |same: &[u8]| mend(record, "t.efi", Images { same, other: &running }, &Nowhere);
        assert!(mend(&damaged).unwrap().bytes == new);
        let mut two = damaged.clone();
        two[1030] ^= 1;
        assert!(matches!(mend(&two), Err(SlotError::Remote(_))), "only the new image has this part");
    }

    // A server without range requests, and one that sends one wrong part: the whole file is fetched.
    for remote in [
        Folder { no_ranges: true, ..Folder::new(folder.path()) },
        Folder { flipped: Some((".efi", 2000, Lie::Once)), ..Folder::new(folder.path()) },
    ] {
        let made = assemble(&record, "t.efi", &running, &remote).unwrap();
        assert!(made.bytes == new && made.fetched >= new.len() as u64);
    }
    let remote = Folder { flipped: Some((".efi", 2000, Lie::Always)), ..Folder::new(folder.path()) };
    assert!(matches!(assemble(&record, "t.efi", &running, &remote), Err(SlotError::Remote(_))));

    // Records that contradict themselves.
    let remote = Folder::new(folder.path());
    let refused = |record: UkiRecord, field: &str| {
        let error = assemble(&record, "t.efi", &running, &remote).unwrap_err().to_string();
        assert!(error.starts_with(&format!("release record: {field}: ")), "{error}");
    };
    let change = |change: fn(&mut UkiRecord)| {
        let mut record = record.clone();
        change(&mut record);
        record
    };
    refused(change(|record| record.size = u64::MAX), "uki.size");
    refused(change(|record| record.parts[1].offset += 1), "uki.parts");
    refused(change(|record| record.parts[1].size = u64::MAX), "uki.parts");
    refused(change(|record| record.parts.truncate(3)), "uki.parts");
    let wrong = change(|record| record.sha256.0[0] ^= 1);
    assert!(matches!(assemble(&wrong, "t.efi", &running, &remote), Err(SlotError::Digest { .. })));
}
