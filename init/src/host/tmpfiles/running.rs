//! The files of the running host as the file system that lines are applied to.

use berth_contract::fault::{At, PathError};
use berth_formats::{
    node::Kind,
    tmpfiles::{Attributes, Found, Rights, Root, Writing},
};
use rustix::{
    fs::{CWD, FileType, IFlags, Mode, OFlags, XattrFlags, ioctl_getflags, ioctl_setflags, makedev, mknodat},
    io::Errno,
};
use std::{
    ffi::OsStr,
    fs,
    io::{self, ErrorKind, Write as _},
    os::fd::{AsRawFd, OwnedFd},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown, symlink},
    },
    path::{Path, PathBuf},
};

/// A host.
pub(super) struct Running<'a> {
    /// `/`, or a directory in a test.
    pub(super) root: &'a Path,
    /// Text of passwd(5).
    pub(super) passwd: &'a str,
    /// Text of group(5).
    pub(super) group: &'a str,
}

/// A path for system calls, which take at most 4095 bytes: a longer path begins at an open directory on the way.
struct Place {
    path: PathBuf,
    _directory: Option<OwnedFd>,
}

impl AsRef<Path> for Place {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// Longest path that is used as it is, in bytes.
const LONGEST: usize = 3000;

impl Running<'_> {
    fn inside(&self, path: &[u8]) -> Place {
        let mut path = self.root.join(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)));
        let mut directory = None;
        while let Some(cut) =
            path.as_os_str().as_bytes().get(..LONGEST).and_then(|it| it.iter().rposition(|&c| c == b'/'))
        {
            let (start, rest) = path.as_os_str().as_bytes().split_at(cut);
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            // If it cannot be opened, the system call reports a path that is too long.
            let Ok(open) = rustix::fs::open(OsStr::from_bytes(start), flags, Mode::empty()) else { break };
            path = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd())).join(OsStr::from_bytes(&rest[1..]));
            directory = Some(open);
        }
        Place { path, _directory: directory }
    }
}

impl Root for Running<'_> {
    type Error = PathError;

    fn look(&self, path: &[u8]) -> Result<Option<Found>, PathError> {
        let path = self.inside(path);
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(error).at("read", &path),
        };
        let (major, minor) = (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()));
        let kind = match FileType::from_raw_mode(found.mode()) {
            FileType::Directory => Some(Kind::Directory),
            FileType::RegularFile => Some(Kind::File(())),
            FileType::Symlink => {
                Some(Kind::Symlink(fs::read_link(&path).at("read", &path)?.into_os_string().into_vec()))
            }
            FileType::CharacterDevice => Some(Kind::CharDevice { major, minor }),
            FileType::BlockDevice => Some(Kind::BlockDevice { major, minor }),
            FileType::Fifo => Some(Kind::Fifo),
            _ => None,
        };
        let mode = u16::try_from(found.mode() & 0o7777).unwrap_or_default();
        Ok(Some(Found { kind, rights: Rights { mode, uid: found.uid(), gid: found.gid() }, device: found.dev() }))
    }

    fn follow(&self, path: &[u8]) -> Result<Option<Vec<u8>>, PathError> {
        let Ok(real) = fs::canonicalize(self.inside(path)) else { return Ok(None) };
        let inside = real.strip_prefix(self.root).ok().map(|path| path.as_os_str().as_bytes());
        Ok(inside.map(|path| [b"/", path].concat()))
    }

    fn names(&self, directory: &[u8]) -> Result<Vec<Vec<u8>>, PathError> {
        let directory = self.inside(directory);
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error).at("list", &directory),
        };
        let names: io::Result<Vec<Vec<u8>>> = entries.map(|entry| Ok(entry?.file_name().into_vec())).collect();
        let mut names = names.at("list", &directory)?;
        names.sort_unstable();
        Ok(names)
    }

    /// Not if a directory on the way is a symbolic link that belongs to another user than root. systemd-tmpfiles refuses that, too.
    fn is_safe(&self, path: &[u8]) -> bool {
        let place = self.inside(path);
        let ways = place.path.ancestors().skip(1).take_while(|way| *way != self.root);
        !ways.filter_map(|way| fs::symlink_metadata(way).ok()).any(|found| found.is_symlink() && found.uid() != 0)
    }

    fn make(&mut self, path: &[u8], kind: &Kind<&[u8]>, mode: u16) -> Result<(), PathError> {
        let path = self.inside(path);
        let node = |file_type, device| {
            mknodat(CWD, path.as_ref(), file_type, Mode::from_raw_mode(mode.into()), device).map_err(io::Error::from)
        };
        match kind {
            Kind::Directory => fs::DirBuilder::new().mode(mode.into()).create(&path),
            Kind::File(content) => new_file(&path, mode).and_then(|mut file| file.write_all(content)),
            Kind::Symlink(target) | Kind::HardLink(target) => symlink(OsStr::from_bytes(target), &path),
            &Kind::CharDevice { major, minor } => node(FileType::CharacterDevice, makedev(major, minor)),
            &Kind::BlockDevice { major, minor } => node(FileType::BlockDevice, makedev(major, minor)),
            Kind::Fifo => node(FileType::Fifo, 0),
        }
        .at("create", &path)?;
        // The mode without PID 1's umask.
        if matches!(kind, Kind::Symlink(_)) { Ok(()) } else { set_mode(&path, mode) }
    }

    fn copy(&mut self, source: &[u8], path: &[u8], mode: u16) -> Result<(), PathError> {
        let (source, path) = (self.inside(source), self.inside(path));
        let mut from = fs::File::open(&source).at("read", &source)?;
        new_file(&path, mode).and_then(|mut file| io::copy(&mut from, &mut file)).at("write", &path)?;
        set_mode(&path, mode)
    }

    /// Does not wait for the reader of a pipe.
    fn write(&mut self, path: &[u8], content: &[u8], how: Writing) -> Result<(), PathError> {
        let path = self.inside(path);
        let mut options = fs::OpenOptions::new();
        options.write(true).append(how == Writing::Append).truncate(how == Writing::Replace);
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
        options.open(&path).and_then(|mut file| file.write_all(content)).at("write", &path)
    }

    fn remove(&mut self, path: &[u8]) -> Result<(), PathError> {
        let path = self.inside(path);
        let is_dir = fs::symlink_metadata(&path).at("read", &path)?.is_dir();
        if is_dir { fs::remove_dir(&path) } else { fs::remove_file(&path) }.at("remove", &path)
    }

    fn set(&mut self, path: &[u8], rights: Rights) -> Result<(), PathError> {
        let path = self.inside(path);
        lchown(&path, Some(rights.uid), Some(rights.gid)).at("set owner of", &path)?;
        // A change of the owner clears setuid and setgid: set the mode even if it is the same.
        let is_link = fs::symlink_metadata(&path).at("read", &path)?.is_symlink();
        if is_link { Ok(()) } else { set_mode(&path, rights.mode) }
    }

    fn set_xattr(&mut self, path: &[u8], name: &str, value: &[u8]) -> Result<(), PathError> {
        let path = self.inside(path);
        rustix::fs::lsetxattr(path.as_ref(), name, value, XattrFlags::empty()).at("set attribute of", &path)
    }

    fn xattr(&self, path: &[u8], name: &str) -> Result<Option<Vec<u8>>, PathError> {
        let path = self.inside(path);
        // The kernel's longest value.
        let mut value = vec![0; 1 << 16];
        match rustix::fs::lgetxattr(path.as_ref(), name, &mut value[..]) {
            Ok(len) => {
                value.truncate(len);
                Ok(Some(value))
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(error).at("read attribute of", &path),
        }
    }

    fn set_attributes(&mut self, path: &[u8], attributes: Attributes) -> Result<(), PathError> {
        let path = self.inside(path);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::open(path.as_ref(), flags, Mode::empty()).at("open", &path)?;
        let is_dir = fs::symlink_metadata(&path).at("read", &path)?.is_dir();
        let Ok(old) = ioctl_getflags(&file) else { return Ok(()) };
        let set = |bits: u32| ioctl_setflags(&file, IFlags::from_bits_retain(bits));
        let wanted = attributes.applied(old.bits(), is_dir);
        if wanted != old.bits() && set(wanted).is_err() {
            // The file system may not have one of them: then one after the other.
            let mut now = old.bits();
            for bit in (0..u32::BITS).map(|bit| 1 << bit).filter(|bit| (wanted ^ old.bits()) & bit > 0) {
                if set(now ^ bit).is_ok() {
                    now ^= bit;
                }
            }
        }
        Ok(())
    }

    fn user(&self, name: &str) -> Option<u32> {
        number_of(name, self.passwd)
    }

    fn group(&self, name: &str) -> Option<u32> {
        number_of(name, self.group)
    }
}

/// Makes a file. Never opens one that exists.
fn new_file(path: impl AsRef<Path>, mode: u16) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(mode.into()).open(path)
}

fn set_mode(path: impl AsRef<Path>, mode: u16) -> Result<(), PathError> {
    fs::set_permissions(&path, fs::Permissions::from_mode(mode.into())).at("set mode of", &path)
}

/// The number that passwd(5) or group(5) gives to the name.
pub(super) fn number_of(name: &str, file: &str) -> Option<u32> {
    let mut rows = file.lines().map(|line| line.split(':'));
    rows.find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten())
}
