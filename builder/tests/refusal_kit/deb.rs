//! Packages made by hand, because dpkg-deb refuses to make some of them.

use super::fixture::{Fixture, hex};
use tar::{EntryType, Header};

/// A package that is being made.
#[derive(Clone, Debug)]
pub(crate) struct Deb {
    pub(crate) name: String,
    pub(crate) fields: String,
    pub(crate) scripts: Vec<(String, String)>,
    pub(crate) data: Vec<u8>,
    /// Name of the third member of the .deb.
    pub(crate) data_name: String,
    /// Number of bytes that are cut off at the end.
    pub(crate) cut: usize,
}

impl Deb {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            fields: String::new(),
            scripts: Vec::new(),
            data: Vec::new(),
            data_name: "data.tar".to_owned(),
            cut: 0,
        }
    }

    pub(crate) fn field(mut self, line: &str) -> Self {
        self.fields += &format!("{line}\n");
        self
    }

    pub(crate) fn script(mut self, name: &str, text: &str) -> Self {
        self.scripts.push((name.to_owned(), format!("#!/bin/sh\n{text}\n")));
        self
    }

    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(EntryType::Regular, path, "", content.as_ref())
    }

    /// The file that every package must have (Debian Policy, section 12.5).
    pub(crate) fn copyright(self) -> Self {
        let path = format!("usr/share/doc/{}/copyright", self.name);
        self.file(&path, "free")
    }

    pub(crate) fn link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, target, b"")
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Link, path, target, b"")
    }

    fn entry(mut self, kind: EntryType, path: &str, target: &str, content: &[u8]) -> Self {
        self.data.extend(member(kind, path, target, content));
        self
    }

    /// Puts the package into the archive's pool. Returns its paragraph of the index.
    pub(super) fn publish(&self, archive: &Fixture) -> String {
        let Self { name, fields, .. } = self;
        let bytes = self.bytes();
        archive.write(&format!("debian/pool/{name}.deb"), &bytes);
        format!(
            "Package: {name}\nVersion: 1.0\nArchitecture: amd64\nFilename: pool/{name}.deb\nSize: {}\nSHA256: {}\n{fields}\n",
            bytes.len(),
            hex(&bytes)
        )
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { name, fields, .. } = self;
        let control = format!("Package: {name}\nVersion: 1.0\nArchitecture: amd64\n{fields}");
        let mut tar = member(EntryType::Regular, "control", "", control.as_bytes());
        for (name, text) in &self.scripts {
            tar.extend(member(EntryType::Regular, name, "", text.as_bytes()));
        }
        let data = match self.data_name.rsplit_once('.') {
            Some((_, "zst")) => zstd::encode_all(&*ended(&self.data), 3).unwrap(),
            _ => ended(&self.data),
        };
        let mut deb = b"!<arch>\n".to_vec();
        for (member, bytes) in
            [("debian-binary", b"2.0\n".to_vec()), ("control.tar", ended(&tar)), (self.data_name.as_str(), data)]
        {
            let head = format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", bytes.len());
            deb.extend([head.as_bytes(), &bytes].concat());
            deb.resize(deb.len().next_multiple_of(2), b'\n');
        }
        deb.truncate(deb.len() - self.cut);
        deb
    }
}

/// Header and content. Written by hand, because the header's setters refuse some of these values.
fn member(kind: EntryType, path: &str, target: &str, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    let fields = header.as_mut_bytes();
    fields[..path.len()].copy_from_slice(path.as_bytes());
    fields[157..157 + target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn ended(tar: &[u8]) -> Vec<u8> {
    [tar, &[0; 1024]].concat()
}
