//! Overlays: local folders that are copied to `/` of the image.

use crate::{
    recipe::{Diagnostic, Located, Overlay, Recipe, nearest},
    tree::{Node, TreePath},
};
use berth_formats::data::Data;
use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File, Metadata},
    io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileTypeExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

/// Name of folders that contain named overlays.
const OVERLAYS: &str = "overlays";

/// Why an overlay cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The overlay's folder does not exist.
    #[error(transparent)]
    Missing(#[from] Diagnostic),
    /// A file or folder of the overlay cannot be read.
    #[error("{origin}: cannot read {}", path.display())]
    Read {
        /// The overlay.
        origin: String,
        /// Path on this machine.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file of the overlay has capabilities that hold only in a user namespace.
    #[error("{origin}: {}: file capabilities of {found} bytes: expected 20 bytes (revision 2)", path.display())]
    Capabilities {
        /// The overlay.
        origin: String,
        /// Path on this machine.
        path: PathBuf,
        /// Length of the attribute.
        found: usize,
    },
    /// The overlay contains a socket, pipe or device.
    #[error("{origin}: {} is a {found}: expected a file, folder or symbolic link", path.display())]
    Kind {
        /// The overlay.
        origin: String,
        /// Path on this machine.
        path: PathBuf,
        /// The kind of file.
        found: Special,
    },
}

/// A kind of file that an overlay must not contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// A Unix socket.
    Socket,
    /// A FIFO.
    Pipe,
    /// A block or character device.
    Device,
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Socket => "socket",
            Self::Pipe => "named pipe",
            Self::Device => "device",
        })
    }
}

impl LocalError {
    /// A hint: the next step for the user, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(fault) => fault.hint().map(str::to_owned),
            Self::Read { .. } => None,
            Self::Capabilities { .. } => Some("set them again with setcap, outside of a container".to_owned()),
            Self::Kind { found: Special::Socket, .. } => Some(
                "remove the socket from the overlay: the program that listens on it creates it on the host".to_owned(),
            ),
            Self::Kind { .. } => Some("declare it in the recipe as a [[device]]".to_owned()),
        }
    }
}

/// Finds the folder of `overlay`. A name means `overlays/NAME` in the folder of the recipe file, or in the nearest folder
/// above that has it.
///
/// # Errors
/// The folder does not exist. The error shows the recipe's line and the names of existing overlays.
pub fn folder(overlay: &Located<Overlay>) -> Result<PathBuf, LocalError> {
    let name = match &overlay.value {
        Overlay::Path(path) if path.is_dir() => return Ok(path.clone()),
        Overlay::Path(path) => {
            return Err(Diagnostic::new(&overlay.place, "overlay does not exist")
                .wanted(format!("a folder at {}", path.display()))
                .into());
        }
        Overlay::Named(name) => name,
    };
    // `place.folder()` may be empty, which means the working directory.
    let start = Path::new(".").join(overlay.place.folder());
    let start = start.canonicalize().map_err(|source| LocalError::Read {
        origin: format!("overlay {name}"),
        path: start.clone(),
        source,
    })?;
    let parents: Vec<_> = start.ancestors().map(|above| above.join(OVERLAYS)).filter(|path| path.is_dir()).collect();
    if let Some(found) = parents.iter().map(|parent| parent.join(name)).find(|path| path.is_dir()) {
        return Ok(found);
    }
    let names: BTreeSet<String> = parents
        .iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flat_map(|entries| entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()))
        .collect();
    let fault = Diagnostic::new(&overlay.place, format!("overlay {name:?} does not exist"))
        .wanted(format!("a folder {OVERLAYS}/{name} beside the recipe or in a folder above it"));
    Err(match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => fault.with_hint(format!("did you mean {near:?}?")),
        None if names.is_empty() => fault.found(format!("no folder {OVERLAYS}")),
        None => fault.found(names.into_iter().collect::<Vec<_>>().join(", ")),
    }
    .into())
}

/// Reads the nodes of all overlays of a recipe, in the recipe's order.
///
/// # Errors
/// An overlay does not exist or cannot be read.
pub fn overlays(recipe: &Recipe) -> Result<Vec<Vec<(TreePath, Node)>>, LocalError> {
    let each = |overlay: &Located<Overlay>| nodes(&folder(overlay)?, &overlay.value.origin().into());
    recipe.overlays.iter().map(each).collect()
}

/// Reads all files and folders below `folder`, parents before children, sorted by name.
///
/// The owner of all nodes is the superuser. File capabilities (`security.capability`) are kept. The mode is 0755 for folders and for files that their owner may execute, 0644 for
/// all other files. So the local user and the umask do not change the image.
///
/// # Errors
/// A file cannot be read, or is a socket, pipe or device.
pub fn nodes(folder: &Path, origin: &Arc<str>) -> Result<Vec<(TreePath, Node)>, LocalError> {
    let mut nodes = Vec::new();
    below(folder, &TreePath::new(), origin, &mut nodes)?;
    Ok(nodes)
}

fn below(
    dir: &Path,
    inside: &TreePath,
    origin: &Arc<str>,
    nodes: &mut Vec<(TreePath, Node)>,
) -> Result<(), LocalError> {
    let unread = |path: &Path, source| LocalError::Read { origin: origin.to_string(), path: path.to_owned(), source };
    let entries = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(|error| unread(dir, error))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let mut name = inside.clone();
        if !name.is_empty() {
            name.push(b'/');
        }
        name.extend_from_slice(entry.file_name().as_bytes());
        let meta = entry.metadata().map_err(|error| unread(&path, error))?;
        let mut node = node(&path, &meta, origin)?.map_err(|error| unread(&path, error))?;
        if let Some(value) = capabilities(&path, &meta, origin)? {
            node.meta.xattrs.insert(CAPABILITIES.to_vec(), value);
        }
        let is_dir = node.is_dir();
        nodes.push((name.clone(), node));
        if is_dir {
            below(&path, &name, origin, nodes)?;
        }
    }
    Ok(())
}

/// The attribute of file capabilities.
const CAPABILITIES: &[u8] = b"security.capability";
/// Length of its value in revision 2. Revision 3 also has the user id of a namespace.
const REVISION_2: usize = 20;

/// The file capabilities of a regular file. Other attributes of the file depend on this machine and are not read.
fn capabilities(path: &Path, meta: &Metadata, origin: &Arc<str>) -> Result<Option<Vec<u8>>, LocalError> {
    let mut value = [0; 64];
    if !meta.is_file() {
        return Ok(None);
    }
    match rustix::fs::lgetxattr(path, CAPABILITIES, &mut value[..]) {
        Ok(REVISION_2) => Ok(Some(value[..REVISION_2].to_vec())),
        Ok(found) => Err(LocalError::Capabilities { origin: origin.to_string(), path: path.to_owned(), found }),
        // The file has none, or its file system knows none.
        Err(_) => Ok(None),
    }
}

fn node(path: &Path, meta: &Metadata, origin: &Arc<str>) -> Result<io::Result<Node>, LocalError> {
    let kind = meta.file_type();
    Ok(if kind.is_dir() {
        Ok(Node::dir(0o755, origin))
    } else if kind.is_symlink() {
        fs::read_link(path).map(|target| Node::symlink(target.into_os_string().into_vec(), origin))
    } else if kind.is_file() {
        let mode = if meta.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
        // Open the file now: then an unreadable file is reported as an error of the overlay, not later by a writer.
        let data = Data::File { path: Arc::from(path), offset: 0, len: meta.len() };
        File::open(path).map(|_| Node::file(mode, data, origin))
    } else {
        let found = match () {
            () if kind.is_socket() => Special::Socket,
            () if kind.is_fifo() => Special::Pipe,
            () => Special::Device,
        };
        return Err(LocalError::Kind { origin: origin.to_string(), path: path.to_owned(), found });
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        recipe::{Place, RecipeFile},
        tree::Kind,
    };
    use std::os::unix::{fs::symlink, net::UnixListener};

    fn asked(recipe: &Path, overlay: Overlay) -> Located<Overlay> {
        let source = RecipeFile::new(recipe, "overlays = ['base']\n");
        Located { value: overlay, place: Place::new(&source, 12..18) }
    }

    #[test]
    fn named_overlays_are_found_beside_the_recipe_and_in_folders_above() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("overlays/base")).unwrap();
        fs::create_dir_all(root.join("recipes/deep/overlays/own")).unwrap();
        let recipe = root.join("recipes/deep/r.toml");
        let named = |name: &str| folder(&asked(&recipe, Overlay::Named(name.into())));
        assert_eq!(named("base").unwrap(), root.join("overlays/base"));
        assert_eq!(named("own").unwrap(), root.join("recipes/deep/overlays/own"));
        let near = named("bse").unwrap_err();
        assert!(near.to_string().contains("r.toml:1:13: overlay \"bse\" does not exist"), "{near}");
        assert_eq!(near.hint().unwrap(), "did you mean \"base\"?");
        assert!(named("other").unwrap_err().to_string().ends_with("found: base, own"));
        let missing = asked(&recipe, Overlay::Path(root.join("nowhere")));
        assert!(folder(&missing).unwrap_err().to_string().contains("wanted: a folder at"));
    }

    #[test]
    fn local_owner_umask_and_order_do_not_change_the_nodes() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir_all(path("usr/bin")).unwrap();
        fs::write(path("usr/bin/tool"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(path("usr/bin/tool"), fs::Permissions::from_mode(0o4700)).unwrap();
        fs::write(path("usr/bin-note"), "").unwrap();
        fs::set_permissions(path("usr/bin-note"), fs::Permissions::from_mode(0o600)).unwrap();
        symlink("../nowhere", path("link")).unwrap();
        let origin: Arc<str> = "overlay test".into();
        let nodes = nodes(dir.path(), &origin).unwrap();
        let shown: Vec<_> = nodes
            .iter()
            .map(|(name, node)| {
                let name = String::from_utf8(name.clone()).unwrap();
                format!("{name} {} {:o} {}:{}", node.kind.word(), node.meta.mode, node.meta.uid, node.meta.gid)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "link symbolic link 777 0:0",
                "usr folder 755 0:0",
                "usr/bin folder 755 0:0",
                "usr/bin/tool file 755 0:0",
                "usr/bin-note file 644 0:0",
            ]
        );
        assert_eq!(nodes[0].1.kind, Kind::Symlink(b"../nowhere".to_vec()));
        let Kind::File(data) = &nodes[3].1.kind else { panic!("{nodes:?}") };
        assert_eq!(&*data.to_bytes().unwrap(), b"#!/bin/sh\n");
    }

    #[test]
    fn sockets_and_pipes_in_an_overlay_are_refused_with_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        let origin: Arc<str> = "overlay test".into();
        let error = nodes(dir.path(), &origin).unwrap_err();
        let path = socket.display();
        let wanted = format!("overlay test: {path} is a socket: expected a file, folder or symbolic link");
        assert_eq!(error.to_string(), wanted);
        assert!(error.hint().unwrap().starts_with("remove the socket"), "{error:?}");
        fs::remove_file(&socket).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &socket, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        let error = nodes(dir.path(), &origin).unwrap_err();
        assert_eq!(error.hint().unwrap(), "declare it in the recipe as a [[device]]");
        assert!(matches!(nodes(&dir.path().join("gone"), &origin), Err(LocalError::Read { .. })));
    }

    #[test]
    fn file_capabilities_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let tool = root.path().join("tool");
        fs::write(&tool, "").unwrap();
        let value = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let set = rustix::fs::lsetxattr(&tool, CAPABILITIES, &value, rustix::fs::XattrFlags::empty());
        if set.is_err() {
            eprintln!("skipped: only root can set file capabilities");
            return;
        }
        let nodes = nodes(root.path(), &"overlay x".into()).unwrap();
        assert_eq!(nodes[0].1.meta.xattrs.get(CAPABILITIES), Some(&value.to_vec()));
    }
}
