//! Kernel images that do not belong to the record of their release.

use crate::{kit::repo::record, tiny_efi};
use berth_contract::release::STABLE;
use hostctl::entries::{EntriesError, Uki};

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
