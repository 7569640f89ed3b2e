//! What the files of the image are: ELF files with what they need, and scripts. Reads only the beginning of each file, and of an ELF file
//! the parts that the dynamic loader reads.

use super::finding::CheckError;
use crate::tree::{Kind, Node, Show, Tree, TreePath};
use berth_formats::{
    data::Data,
    elf::dynamic::{Dynamic, DynamicError, dynamic},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// What a file is, if the kernel can start it or the dynamic loader can load it.
#[derive(Debug)]
pub(super) enum Content {
    /// An ELF file.
    Elf(Dynamic),
    /// A damaged ELF file, and why it cannot be read.
    Damaged(String),
    /// A script: the words of its first line.
    Script(Vec<String>),
}

/// Contents by path. A hard link has the content of the file that it refers to.
pub(super) type Contents = BTreeMap<TreePath, Content>;

/// Folders whose files the host neither starts nor loads: modules and firmware for the kernel, symbols for debuggers.
const OTHER: [&[u8]; 3] = [b"usr/lib/modules/", b"usr/lib/firmware/", b"usr/lib/debug/"];
/// The kernel reads this many bytes of a script's first line.
const HEAD: usize = 256;

/// Reads all files of a tree, on several threads.
pub(super) fn read(tree: &Tree) -> Result<Contents, CheckError> {
    let files: Vec<(&TreePath, &Node, &Data)> = tree
        .iter()
        .filter(|(path, _)| !OTHER.iter().any(|folder| path.starts_with(folder)))
        .filter_map(|(path, node)| if let Kind::File(data) = &node.kind { Some((path, node, data)) } else { None })
        .collect();
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(TreePath, Content)>, CheckError> {
        let (mut found, reader) = (Vec::new(), Reader::default());
        while let Some((path, node, data)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let content = content(&reader, data).map_err(|source| CheckError::Read {
                path: Show(path).to_string(),
                origin: node.origin.to_string(),
                source,
            })?;
            found.extend(content.map(|content| ((*path).clone(), content)));
        }
        Ok(found)
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<_> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mine = work();
        let join =
            |other: thread::ScopedJoinHandle<'_, _>| other.join().unwrap_or_else(|it| std::panic::resume_unwind(it));
        others.into_iter().map(join).chain([mine]).collect()
    });
    let mut contents = Contents::new();
    for found in results {
        contents.extend(found?);
    }
    Ok(contents)
}

/// Keeps files of the cache open: the files of a package are parts of one file.
#[derive(Default)]
struct Reader(RefCell<HashMap<Arc<Path>, File>>);

impl Reader {
    /// Up to `size` bytes at `offset` of the content.
    fn at(&self, data: &Data, offset: u64, size: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(data.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let size = size.min(left);
        match data {
            Data::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes[start..start + size].to_vec())
            }
            Data::File { path, offset: begin, .. } => {
                let mut open = self.0.borrow_mut();
                if !open.contains_key(path) {
                    open.insert(Arc::clone(path), File::open(path)?);
                }
                let mut bytes = vec![0; size];
                if let Some(file) = open.get(path) {
                    file.read_exact_at(&mut bytes, begin.saturating_add(offset))?;
                }
                Ok(bytes)
            }
        }
    }
}

fn content(reader: &Reader, data: &Data) -> io::Result<Option<Content>> {
    let head = reader.at(data, 0, HEAD)?;
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let words = String::from_utf8_lossy(line).split_ascii_whitespace().map(str::to_owned).collect();
        return Ok(Some(Content::Script(words)));
    }
    if !head.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    match dynamic(&|offset, size| reader.at(data, offset, size)) {
        Ok(dynamic) => Ok(Some(Content::Elf(dynamic))),
        Err(DynamicError::Elf(error)) => Ok(Some(Content::Damaged(error.to_string()))),
        Err(DynamicError::Io(error)) => Err(error),
    }
}
