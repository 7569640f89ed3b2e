//! `erofs FOLDER IMAGE`: writes the content of a folder without extended attributes; for ci/bench.

use berth_formats::{
    data::Data,
    erofs::{self, Body, FileSystem, Inode, InodeIndex},
    node::Meta,
};
use std::{
    collections::{BTreeMap, HashMap},
    env,
    error::Error,
    ffi::OsString,
    fs::{self, File},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::Path,
};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let [folder, image] = args.as_slice() else { return Err("usage: erofs FOLDER IMAGE".into()) };
    let mut tree = Walk::default();
    let root = tree.add(Path::new(folder))?;
    let fs = FileSystem { inodes: tree.inodes, root, epoch: 0, uuid: [0; 16], label: String::new() };
    erofs::write(&fs, &File::options().create(true).truncate(true).read(true).write(true).open(image)?)?;
    Ok(())
}

#[derive(Default)]
struct Walk {
    inodes: Vec<Inode>,
    /// Inodes with more than one name.
    linked: HashMap<(u64, u64), InodeIndex>,
}

impl Walk {
    fn add(&mut self, path: &Path) -> Result<InodeIndex, Box<dyn Error>> {
        let meta = fs::symlink_metadata(path)?;
        let key = (meta.dev(), meta.ino());
        if let Some(known) = self.linked.get(&key) {
            return Ok(*known);
        }
        let kind = meta.file_type();
        let body = if kind.is_dir() {
            let mut names = BTreeMap::new();
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                names.insert(entry.file_name().into_vec(), self.add(&entry.path())?);
            }
            Body::Directory(names)
        } else if kind.is_symlink() {
            Body::Symlink(fs::read_link(path)?.as_os_str().as_bytes().to_vec())
        } else if kind.is_file() {
            Body::File(Data::File { path: path.into(), offset: 0, len: meta.len() })
        } else {
            return Err(format!("{}: neither file, folder nor link", path.display()).into());
        };
        let index = InodeIndex(self.inodes.len());
        let mode = u16::try_from(meta.mode() & 0o7777)?;
        self.inodes.push(Inode { meta: Meta::new(mode, meta.uid(), meta.gid()), body });
        if !kind.is_dir() && meta.nlink() > 1 {
            self.linked.insert(key, index);
        }
        Ok(index)
    }
}
