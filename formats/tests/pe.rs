//! Unified kernel images on systemd's own stub, judged by objdump and pefile.
mod judge;

use berth_formats::{
    data::Data,
    pe::{self, PeError},
};
use judge::judge;
use std::fs;

const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

fn stub() -> Vec<u8> {
    fs::read(STUB).unwrap_or_else(|error| panic!("{STUB}: {error}; run ci/setup"))
}

fn parts() -> Vec<(&'static str, Data)> {
    vec![
        (".linux", vec![0x90; 1_000_001].into()),
        (".osrel", b"ID=berth\n".to_vec().into()),
        (".uname", b"6.12.0".to_vec().into()),
        (".cmdline", b"roothash=00 quiet".to_vec().into()),
        (".initrd", vec![7; 300_000].into()),
    ]
}

#[test]
fn objdump_and_pefile_find_the_sections() {
    let image = pe::append_sections(&stub(), &parts()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("uki.efi");
    fs::write(&path, &image).unwrap();
    let path = path.to_str().unwrap();

    let listing = judge("objdump", &["-h", path]);
    let names: Vec<_> = listing.lines().filter_map(|line| line.split_whitespace().nth(1)?.strip_prefix('.')).collect();
    assert!(names.ends_with(&["osrel", "uname", "cmdline", "initrd", "linux"]), "{listing}");
    assert!(names.contains(&"sbat") && names.contains(&"text"), "{listing}");
    assert!(!judge("objdump", &["-t", path]).contains("efi_main"));
    for (name, data) in parts() {
        let section = pe::sections(&image).unwrap().into_iter().find(|it| it.name == name).unwrap();
        assert!(section.content(&image) == &*data.to_bytes().unwrap(), "{name}");
        assert!(section.vma % 4096 == 0 && section.raw.start % 512 == 0 && section.raw.len() % 512 == 0, "{name}");
        let (out, copy) = (dir.path().join("section"), dir.path().join("copy"));
        let dump = format!("{name}={}", out.display());
        judge("objcopy", &["--dump-section", &dump, path, copy.to_str().unwrap()]);
        assert!(fs::read(&out).unwrap().starts_with(&data.to_bytes().unwrap()), "{name}");
    }
    // pefile: checksum, sizes, no gaps or overlaps in file or memory.
    let script = r#"
import pefile, sys
pe = pefile.PE(sys.argv[1])
assert pe.verify_checksum(), "checksum"
# Our test content is monotonous, and the stub of systemd 252 has two relocations in one place.
warnings = [w for w in pe.get_warnings() if "makes up" not in w and "relocation data" not in w]
assert not warnings, warnings
assert pe.FILE_HEADER.PointerToSymbolTable == 0 and pe.FILE_HEADER.NumberOfSymbols == 0
assert pe.get_overlay() is None, "overlay"
vma, raw = 0, pe.OPTIONAL_HEADER.SizeOfHeaders
for s in pe.sections:
    assert s.VirtualAddress >= vma, s
    assert s.PointerToRawData == raw, s
    vma, raw = s.VirtualAddress + s.Misc_VirtualSize, raw + s.SizeOfRawData
assert vma <= pe.OPTIONAL_HEADER.SizeOfImage < vma + 4096 and pe.OPTIONAL_HEADER.SizeOfImage % 4096 == 0
assert raw == len(pe.__data__)
print("sound")
"#;
    assert_eq!(judge("/usr/bin/python3", &["-c", script, path]), "sound\n");
}

#[test]
fn a_signed_stub_loses_its_signature() {
    let mut stub = stub();
    let plain = pe::append_sections(&stub, &parts()).unwrap();
    let optional = usize::from(stub[60]) + 24;
    let at = u32::try_from(stub.len()).unwrap().to_le_bytes();
    stub[optional + 144..optional + 148].copy_from_slice(&at);
    stub[optional + 148] = 8;
    stub.extend([1; 8]);
    assert!(pe::append_sections(&stub, &parts()).unwrap() == plain);
}

#[test]
fn invalid_sections_are_refused_with_the_reason() {
    let add = |sections: &[(&str, Data)]| pe::append_sections(&stub(), sections);
    assert!(matches!(add(&[(".sbat", Data::empty())]), Err(PeError::Name { reason: "there is one already", .. })));
    assert!(matches!(add(&[(".a", Data::empty()), (".a", Data::empty())]), Err(PeError::Name { .. })));
    for name in ["", ".too.long"] {
        assert!(matches!(add(&[(name, Data::empty())]), Err(PeError::Name { .. })));
    }
    let names: Vec<String> = (0..100).map(|i| format!(".{i}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), Data::empty())).collect();
    assert!(matches!(add(&many), Err(PeError::NoRoom { wanted: 100, room: 7..20 })));
    let gone = Data::File { path: std::path::Path::new("/nonexistent").into(), offset: 0, len: 1 };
    assert!(matches!(add(&[(".linux", gone)]), Err(PeError::Content { .. })));
}

#[test]
fn damaged_images_do_not_panic() {
    let stub = stub();
    assert_eq!(
        pe::sections(&stub[..63]).unwrap_err().to_string(),
        "PE image of 63 bytes: the DOS header would end at byte 64"
    );
    assert!(matches!(pe::sections(&[0; 64]), Err(PeError::Field { field: "e_magic", .. })));
    assert!(matches!(pe::sections(&stub[..stub.len() / 2]), Err(PeError::Short { what: "a section", .. })));
    let headers = 1024;
    let one = [(".linux", Data::from(vec![1; 10]))];
    for at in 0..headers {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bad = stub.clone();
            bad[at] = value;
            drop(pe::sections(&bad));
            if let Ok(image) = pe::append_sections(&bad, &one) {
                pe::sections(&image).unwrap();
            }
        }
    }
    for end in 0..2048 {
        drop(pe::append_sections(&stub[..end], &one));
    }
}
