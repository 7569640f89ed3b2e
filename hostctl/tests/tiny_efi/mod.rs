//! The smallest unified kernel images that firmware can start: a program of a few instructions, and the sections by which boot loaders
//! recognize such an image.

use berth_formats::pe::append_sections;

/// Writes its text to the first serial port and halts: `lea rsi, [rip + text]; mov dx, 0x3f8; next: lodsb; test al, al; jz halt;
/// out dx, al; jmp next; halt: cli; hlt; jmp halt`.
const CODE: [u8; 24] = [
    0x48, 0x8d, 0x35, 0x11, 0, 0, 0, 0x66, 0xba, 0xf8, 0x03, 0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8, 0xfa,
    0xf4, 0xeb, 0xfc, 0x90,
];
/// Offset of the text section in the file, and its address in memory.
const TEXT_AT: (u32, u32) = (0x200, 0x1000);

/// An image that prints `text` (at most 400 bytes), with this command line and os-release.
pub(crate) fn uki(text: &str, cmdline: &str, os_release: &str) -> Vec<u8> {
    let data = |text: &str| text.as_bytes().to_vec().into();
    append_sections(&program(text), &[(".osrel", data(os_release)), (".cmdline", data(cmdline))]).unwrap()
}

/// A version of an image with the fields that a boot loader reads.
pub(crate) fn version(id: &str, version: &str, root_hash: &str) -> Vec<u8> {
    let os_release = format!("NAME=Berth\nID=berth\nIMAGE_ID=\"{id}\"\nIMAGE_VERSION=\"{version}\"\n");
    uki(&format!("\r\nstarted {id} {version}.\r\n"), &format!("roothash={root_hash} quiet"), &os_release)
}

/// A PE32+ application for x86-64 with one section.
fn program(text: &str) -> Vec<u8> {
    let mut image = vec![0; 0x400];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(60, &64_u32.to_le_bytes());
    put(64, b"PE\0\0");
    let coff = 68;
    put(coff, &0x8664_u16.to_le_bytes());
    put(coff + 2, &1_u16.to_le_bytes());
    put(coff + 16, &240_u16.to_le_bytes());
    // Executable, relocations not stripped: firmware may load it at any address.
    put(coff + 18, &0x0022_u16.to_le_bytes());
    let optional = coff + 20;
    put(optional, &0x20b_u16.to_le_bytes());
    for (at, value) in [(16, TEXT_AT.1), (32, 4096), (36, 512), (56, 0x2000), (60, 0x200), (108, 16)] {
        put(optional + at, &value.to_le_bytes());
    }
    // EFI application.
    put(optional + 68, &10_u16.to_le_bytes());
    let section = optional + 240;
    put(section, b".text");
    for (at, value) in [(8, 0x200), (12, TEXT_AT.1), (16, 0x200), (20, TEXT_AT.0), (36, 0x6000_0020_u32)] {
        put(section + at, &value.to_le_bytes());
    }
    put(0x200, &CODE);
    put(0x200 + CODE.len(), text.as_bytes());
    image
}
