//! The name of the place of a byte in an image: structure and field, in the words of the format's specification. The
//! `show` module of each format gives it.

/// Where a byte is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// From the outermost structure to the field.
    pub name: String,
    /// The first byte after it.
    pub end: u64,
}

/// The fields of a structure: offset and the specification's name of each, in order. The last row is the structure's end.
pub type Fields = &'static [(u64, &'static str)];

impl Place {
    /// The place with this name, which ends before byte `end`.
    #[must_use]
    pub fn new(name: impl Into<String>, end: u64) -> Self {
        Self { name: name.into(), end }
    }

    /// The field of the structure that begins at `start` in which `at` lies.
    #[must_use]
    pub fn field(fields: Fields, start: u64, at: u64) -> Option<Self> {
        let inside = at.checked_sub(start)?;
        let next = fields.iter().position(|(offset, _)| *offset > inside)?;
        let (_, name) = fields.get(next.checked_sub(1)?)?;
        Some(Self::new(*name, start + fields[next].0))
    }

    /// The same place, in a structure that holds this place's structure from byte `start` on.
    #[must_use]
    pub fn within(self, name: impl std::fmt::Display, start: u64) -> Self {
        Self { name: format!("{name}: {}", self.name), end: self.end + start }
    }

    /// Whether it is a checksum of other bytes. Specifications give checksums these names.
    #[must_use]
    pub fn is_checksum(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        ["crc32", "checksum", "checksum_lo", "checksum_hi"].iter().any(|ending| name.ends_with(ending))
    }
}
