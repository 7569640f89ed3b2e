//! The name of a byte's place, and how tables of fields give one.

/// What stands at a byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// From the outermost structure to the field.
    pub(super) name: String,
    /// The first byte behind it.
    pub(super) end: u64,
}

/// The fields of a structure: offset and the specification's name of each, in order. The last one is its end.
pub(super) type Fields = &'static [(u64, &'static str)];

impl Place {
    pub(super) fn new(name: impl Into<String>, end: u64) -> Self {
        Self { name: name.into(), end }
    }

    /// The field of the structure that begins at `start` in which `at` lies.
    pub(super) fn field(fields: Fields, start: u64, at: u64) -> Option<Self> {
        let inside = at.checked_sub(start)?;
        let next = fields.iter().position(|(offset, _)| *offset > inside)?;
        let (_, name) = fields.get(next.checked_sub(1)?)?;
        Some(Self::new(*name, start + fields[next].0))
    }

    /// The same place, seen from a structure that holds this one `start` bytes from its own begin.
    pub(super) fn within(self, name: impl std::fmt::Display, start: u64) -> Self {
        Self { name: format!("{name}: {}", self.name), end: self.end + start }
    }

    /// Whether it is a digest of what stands elsewhere, by the names that specifications give those.
    pub(super) fn is_checksum(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        ["crc32", "checksum", "checksum_lo", "checksum_hi"].iter().any(|ending| name.ends_with(ending))
    }
}
