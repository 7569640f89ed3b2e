//! Architectures: everything that differs between them is a field of one row.
//!
//! A new architecture is a new row in [`ROWS`]. Other code reads the fields that it needs and never asks which row it has.
//! Every architecture is 64-bit and little-endian: the ELF reader and the disk formats assume it.

use crate::{guid::guid, version::BadName};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, ops::Deref, str::FromStr};

/// The facts that differ between architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchRow {
    /// Name in recipes, file names, image specifications and release records.
    pub name: &'static str,
    /// Debian's `Architecture`.
    pub debian: &'static str,
    /// Debian's multiarch tuple: the folder below `/usr/lib` that holds shared libraries.
    pub multiarch: &'static str,
    /// `platform.architecture` of OCI images, a Go word (`GOARCH`).
    pub oci: &'static str,
    /// `e_machine` of ELF files.
    pub elf_machine: u16,
    /// Programs of 32 bits that its processors and kernels also run, if there are such.
    pub elf_32: Option<Elf32Row>,
    /// Flags of a library in `/etc/ld.so.cache` (glibc, `sysdeps/generic/ldconfig.h`).
    pub ldcache_flags: u32,
    /// The part of EFI file names that names the architecture, in lower case (UEFI 2.10, table 3.3): `BOOTX64.EFI`, and
    /// systemd's `systemd-bootx64.efi` and `linuxx64.efi.stub`.
    pub efi: &'static str,
    /// GPT type of the root partition (Discoverable Partitions Specification), in the order in which it is printed.
    pub root_type: [u8; 16],
    /// GPT type of the partition with the root partition's hash tree.
    pub root_verity_type: [u8; 16],
    /// Kernel modules that compute SHA-256 and CRC-32C with special instructions of the processor. A kernel may not have all of them.
    pub hash_modules: &'static [&'static str],
    /// xz's filter for machine code.
    pub xz_filter: XzFilter,
    /// Facts for running a virtual machine.
    pub qemu: QemuRow,
}

/// Facts about programs of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elf32Row {
    /// `e_machine` of their ELF files.
    pub machine: u16,
    /// Debian's multiarch tuple.
    pub multiarch: &'static str,
}

/// Facts for running a virtual machine with QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QemuRow {
    /// Name of QEMU's program.
    pub program: &'static str,
    /// The Debian package that holds the program.
    pub package: &'static str,
    /// Value of `-machine`.
    pub machine: &'static str,
    /// Paths where distributions install UEFI firmware without Secure Boot: the code, and the template of the variables.
    pub firmware: &'static [(&'static str, &'static str)],
    /// Processor flags in `/proc/cpuinfo`. KVM needs one of them. If the list is empty, KVM needs no flag.
    pub kvm_flags: &'static [&'static str],
}

/// A filter that makes machine code compress better (xz file format 1.2, section 5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XzFilter {
    /// Filter 0x04.
    X86,
    /// Filter 0x0a.
    Arm64,
}

/// All architectures that images can be built for. The first one is the default of a recipe.
static ROWS: [ArchRow; 1] = [ArchRow {
    name: "x86_64",
    debian: "amd64",
    multiarch: "x86_64-linux-gnu",
    oci: "amd64",
    // EM_X86_64
    elf_machine: 62,
    // EM_386
    elf_32: Some(Elf32Row { machine: 3, multiarch: "i386-linux-gnu" }),
    // FLAG_ELF_LIBC6 | FLAG_X8664_LIB64
    ldcache_flags: 0x0303,
    efi: "x64",
    root_type: guid("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
    root_verity_type: guid("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"),
    hash_modules: &["sha256_ssse3", "sha256_x86", "crc32c_intel"],
    xz_filter: XzFilter::X86,
    qemu: QemuRow {
        program: "qemu-system-x86_64",
        package: "qemu-system-x86",
        machine: "q35",
        firmware: &[
            // Debian, Ubuntu
            ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
            ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
            // Fedora
            ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
            // Arch Linux
            ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
            ("/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd"),
            // SUSE
            ("/usr/share/qemu/ovmf-x86_64-4m-code.bin", "/usr/share/qemu/ovmf-x86_64-4m-vars.bin"),
        ],
        kvm_flags: &["vmx", "svm"],
    },
}];

/// An architecture that images can be built for. Its fields are those of its [`ArchRow`].
#[derive(Clone, Copy)]
pub struct Arch(&'static ArchRow);

impl Arch {
    /// The default: the architecture of a recipe or disk image that does not name one.
    pub const DEFAULT: Self = Self(&ROWS[0]);

    /// The row. Tests make other rows from it.
    #[must_use]
    pub const fn row(self) -> &'static ArchRow {
        self.0
    }

    /// All known architectures.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(Self)
    }

    /// The names of all known architectures, for messages: `a, b`.
    #[must_use]
    pub fn names() -> String {
        Self::all().map(|arch| arch.name).collect::<Vec<_>>().join(", ")
    }

    /// The architecture of a row that is not in the table, for tests that check that a function reads the row.
    #[must_use]
    pub const fn of(row: &'static ArchRow) -> Self {
        Self(row)
    }
}

impl Deref for Arch {
    type Target = ArchRow;

    fn deref(&self) -> &ArchRow {
        self.0
    }
}

impl PartialEq for Arch {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Arch {}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arch({})", self.name)
    }
}

/// No row has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown architecture {found:?}: expected {}", Arch::names())]
pub struct UnknownArch {
    /// The name as given.
    pub found: String,
}

impl FromStr for Arch {
    type Err = UnknownArch;

    fn from_str(text: &str) -> Result<Self, UnknownArch> {
        Self::all().find(|arch| arch.name == text).ok_or_else(|| UnknownArch { found: text.to_owned() })
    }
}

impl Serialize for Arch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Arch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The name of an architecture in a release: letters, digits, `_` and `-`, at most 32 bytes.
///
/// A repository may contain releases for architectures that the reading program does not know yet. The program must list and skip such a
/// release, and still read the others. So a record holds this name, not an [`Arch`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArchName(String);

const NAME_MAX: usize = 32;

impl FromStr for ArchName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let good = |c: u8| c.is_ascii_alphanumeric() || b"_-".contains(&c);
        if text.is_empty() || text.len() > NAME_MAX || !text.bytes().all(good) {
            return Err(BadName {
                what: "architecture",
                wanted: "1 to 32 of letters, digits, _ and -",
                found: text.to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ArchName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<ArchName> for String {
    fn from(name: ArchName) -> Self {
        name.0
    }
}

impl From<Arch> for ArchName {
    fn from(arch: Arch) -> Self {
        Self(arch.name.to_owned())
    }
}

impl PartialEq<Arch> for ArchName {
    fn eq(&self, arch: &Arch) -> bool {
        self.0 == arch.name
    }
}

impl fmt::Display for ArchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::PartitionRole;

    #[test]
    fn every_row_is_found_by_its_name_and_has_unique_values() {
        let all: Vec<_> = Arch::all().collect();
        for (at, arch) in all.iter().enumerate() {
            assert_eq!(arch.name.parse(), Ok(*arch));
            assert_eq!(serde_json::from_str::<Arch>(&serde_json::to_string(arch).unwrap()).unwrap(), *arch);
            assert_eq!(arch.name.parse::<ArchName>().unwrap(), *arch);
            for other in &all[..at] {
                let values = |arch: &Arch| (arch.debian, arch.elf_machine, arch.efi, arch.root_type);
                assert!(arch.name != other.name && values(arch) != values(other));
            }
        }
        assert_eq!(serde_json::to_string(&Arch::DEFAULT).unwrap(), "\"x86_64\"");
    }

    #[test]
    fn an_unknown_architecture_is_an_error_that_names_the_known_ones() {
        let wanted = "unknown architecture \"vax\": expected x86_64";
        assert_eq!("vax".parse::<Arch>().unwrap_err().to_string(), wanted);
        assert_eq!(serde_json::from_str::<Arch>("\"vax\"").unwrap_err().to_string(), wanted);
    }

    #[test]
    fn a_release_may_name_an_unknown_architecture() {
        let name: ArchName = serde_json::from_str("\"vax\"").unwrap();
        assert!(name != Arch::DEFAULT && name.to_string() == "vax");
        for bad in ["", "a/b", "a b", "a.b", "\u{e4}", &"x".repeat(33)] {
            assert!(bad.parse::<ArchName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn partition_types_come_from_the_row() {
        static OTHER: ArchRow =
            ArchRow { root_type: [1; 16], root_verity_type: [2; 16], name: "other", ..*Arch::DEFAULT.0 };
        let types = |arch| PartitionRole::ALL.map(|role| role.type_guid(arch)[0]);
        assert_eq!(types(Arch::DEFAULT), [0xc1, 0x4f, 0x2c, 0x4f, 0x2c, 0x4d]);
        assert_eq!(types(Arch::of(&OTHER)), [0xc1, 1, 2, 1, 2, 0x4d]);
    }
}
