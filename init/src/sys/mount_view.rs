//! A mount namespace in which parts of the file system are read-only, empty, or the process's own.

use rustix::{
    fs::{CWD, FileType, stat},
    io::Errno,
    mount::{
        MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_bind, mount_change, move_mount,
        open_tree,
    },
};
use std::{
    ffi::{CStr, CString},
    io,
    os::fd::OwnedFd,
};

/// Changes of the mounts that a process sees. A path that does not exist is passed over.
#[derive(Debug, Default)]
pub struct View {
    read_only: Vec<CString>,
    /// Exceptions, each with the copy of its mounts from before the change.
    read_write: Vec<(CString, Option<OwnedFd>)>,
    inaccessible: Vec<CString>,
    private_tmp: bool,
}

impl View {
    /// `read_only` paths cannot be changed, with all mounts below them, except the `read_write` paths. `inaccessible` paths are empty. With
    /// `private_tmp`, /tmp and /var/tmp are the process's own.
    #[must_use]
    pub fn new(
        read_only: Vec<CString>,
        read_write: Vec<CString>,
        inaccessible: Vec<CString>,
        private_tmp: bool,
    ) -> Self {
        let read_write = read_write.into_iter().map(|path| (path, None)).collect();
        Self { read_only, read_write, inaccessible, private_tmp }
    }

    /// Whether the process sees what init sees.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.read_only.is_empty() && self.inaccessible.is_empty() && !self.private_tmp
    }

    /// Changes the mounts of this process, which has its own mount namespace.
    ///
    /// # Errors
    /// The kernel refuses a change.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        // Later mounts of the host still appear here, but not the other way round.
        mount_change(c"/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
        for (path, tree) in &mut self.read_write {
            *tree = copy(path)?;
        }
        for path in &self.read_only {
            make_read_only(path)?;
        }
        if self.private_tmp {
            for path in [c"/tmp", c"/var/tmp"] {
                let flags = MountFlags::NOSUID | MountFlags::NODEV;
                if_there(mount(c"tmpfs", path, c"tmpfs", flags, Some(c"mode=1777")))?;
            }
        }
        for path in &self.inaccessible {
            hide(path)?;
        }
        for (path, tree) in &mut self.read_write {
            if let Some(tree) = tree.take() {
                if_there(move_mount(tree, c"", CWD, &**path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH))?;
            }
        }
        Ok(())
    }
}

/// A copy of the mounts at and below `path`, which is not attached anywhere.
fn copy(path: &CStr) -> io::Result<Option<OwnedFd>> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if_there(open_tree(CWD, path, flags))
}

fn make_read_only(path: &CStr) -> io::Result<()> {
    if path != c"/" {
        // Only a mount can be made read-only, so the path becomes one.
        let Some(tree) = copy(path)? else { return Ok(()) };
        move_mount(tree, c"", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    }
    set_read_only(path)
}

/// Covers a directory with an empty one, and another file with /dev/null.
fn hide(path: &CStr) -> io::Result<()> {
    let Some(found) = if_there(stat(path))? else { return Ok(()) };
    if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
        mount(c"tmpfs", path, c"tmpfs", flags, Some(c"mode=0000,nr_inodes=1"))?;
    } else {
        mount_bind(c"/dev/null", path)?;
    }
    Ok(())
}

fn if_there<T>(result: rustix::io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// mount_setattr(2): `struct mount_attr` of `include/uapi/linux/mount.h`.
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// `MOUNT_ATTR_RDONLY`.
const READ_ONLY: u64 = 1;

/// Makes the mount at `path`, and all below, read-only.
fn set_read_only(path: &CStr) -> io::Result<()> {
    let attributes = MountAttr { attr_set: READ_ONLY, ..MountAttr::default() };
    // SAFETY: the path is terminated, and the kernel reads `size_of::<MountAttr>()` bytes of the attributes.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
