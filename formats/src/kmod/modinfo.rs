use super::KmodError;
use crate::{
    elf::Elf,
    packing::{Packing, Unpacker},
};
use std::io::Read;

/// What a module says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modinfo {
    /// Its name.
    pub name: Option<String>,
    /// Modules that it needs, by name.
    pub depends: Vec<String>,
    /// Patterns of the devices, file systems ... that it serves.
    pub aliases: Vec<String>,
    /// Modules to be loaded with it, as written: `pre: a b post: c`.
    pub softdeps: Vec<String>,
    /// Firmware files that it may ask for.
    pub firmware: Vec<String>,
}

impl Modinfo {
    /// Reads the section `.modinfo` of an uncompressed module: `key=value` texts, each ended by a zero byte.
    ///
    /// # Errors
    /// When it is no ELF file, or has no such section, or that holds other things than text.
    pub fn parse(module: &[u8]) -> Result<Self, KmodError> {
        let section = Elf::parse(module)?.section(".modinfo")?.ok_or(KmodError::NoModinfo)?;
        let mut info = Self::default();
        for entry in section.split(|&byte| byte == 0) {
            let entry = str::from_utf8(entry)
                .map_err(|_| KmodError::NotText { found: String::from_utf8_lossy(entry).into_owned() })?;
            let Some((key, value)) = entry.split_once('=') else { continue };
            match key {
                "name" => info.name = Some(value.to_owned()),
                "depends" => info.depends.extend(value.split(',').filter(|name| !name.is_empty()).map(str::to_owned)),
                "alias" => info.aliases.push(value.to_owned()),
                "softdep" => info.softdeps.push(value.to_owned()),
                "firmware" => info.firmware.push(value.to_owned()),
                _ => {}
            }
        }
        Ok(info)
    }
}

/// Unpacks a compressed module of at most `limit` bytes.
///
/// # Errors
/// When the bytes are not compressed like this, or hold more.
pub fn unpack(packed: &[u8], packing: Packing, limit: u64) -> Result<Vec<u8>, KmodError> {
    let failed = |source| KmodError::Packed { packing: packing.extension(), source };
    let mut module = Vec::new();
    let mut reader = Unpacker::new(packed, Some(packing)).map_err(failed)?.take(limit.saturating_add(1));
    reader.read_to_end(&mut module).map_err(failed)?;
    if module.len() as u64 > limit { Err(KmodError::TooLarge { limit }) } else { Ok(module) }
}
