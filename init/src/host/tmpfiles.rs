//! Files, directories and links that packages need at boot: applies lines of tmpfiles.d(5) on a host without systemd.
//!
//! Lines of the types `d D v q Q f F L C e z Z m` are applied, for paths below /run, /var and /tmp. `D` does not empty a directory,
//! because /run and /tmp are empty at boot. Lines of other types and lines that cannot be parsed are skipped.

use crate::drop_in;
use berth_contract::fault::{At, Failure, Failures, PathError};
use berth_formats::tmpfiles::{self, Argument, Line, LineType, Owner};
use std::{
    ffi::OsStr,
    fs,
    io::{ErrorKind, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{MetadataExt, OpenOptionsExt, PermissionsExt, lchown, symlink},
    },
    path::{Component, Path, PathBuf},
};

const DIRECTORIES: [&str; 2] = ["/etc/tmpfiles.d", "/usr/lib/tmpfiles.d"];
/// Where lines may make paths. All other paths of the image are read-only or come from overlays.
const BELOW: [&str; 3] = ["/run", "/var", "/tmp"];

/// Where lines are applied.
struct Host<'a> {
    /// `/`, or a directory in a test.
    root: &'a Path,
    /// Text of passwd(5).
    passwd: &'a str,
    /// Text of group(5).
    group: &'a str,
}

/// Applies the image's tmpfiles.d.
///
/// # Errors
/// Every line that could not be applied. The other lines are applied.
pub fn apply() -> Result<(), Failure> {
    let mut failures = Failures::none();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let group = fs::read_to_string("/etc/group").unwrap_or_default();
    let mut lines = Vec::new();
    for file in drop_in::files(&DIRECTORIES, ".conf") {
        if let Some(text) = failures.keep(fs::read_to_string(&file).at("read", &file)) {
            lines.extend(text.lines().filter_map(parse));
        }
    }
    let host = Host { root: Path::new("/"), passwd: &passwd, group: &group };
    for line in arranged(lines) {
        if let Err(error) = host.apply(&line)
            && !line.modifiers.may_fail
        {
            failures.keep(Err::<(), _>(error));
        }
    }
    failures.end()
}

fn arranged(lines: Vec<Line>) -> impl Iterator<Item = Line> {
    tmpfiles::arrange(lines.into_iter().map(|line| (line, ())).collect()).into_iter().map(|(line, ())| line)
}

/// Parses a line. `None` when init does not apply the line.
fn parse(text: &str) -> Option<Line> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return None;
    }
    let line = Line::parse(text, &value_of).ok()?;
    let path = Path::new(OsStr::from_bytes(&line.path));
    let climbs = path.components().any(|part| part == Component::ParentDir);
    let is_below = BELOW.iter().any(|below| path.starts_with(below) && path != Path::new(below));
    (line.line_type.is_applied() && is_below && !climbs && !line.modifiers.credential).then_some(line)
}

/// The value of a specifier that depends on this host. `None` for all other specifiers, and for the machine id and the host name
/// (`%m`, `%H`, `%l`): the host gets them in later phases.
fn value_of(letter: char) -> Option<String> {
    let file = |path| fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    match letter {
        'b' => file("/proc/sys/kernel/random/boot_id").map(|id| id.replace('-', "")),
        'v' => Some(rustix::system::uname().release().to_string_lossy().into_owned()),
        _ => None,
    }
}

impl Host<'_> {
    fn apply(&self, line: &Line) -> Result<(), PathError> {
        if line.line_type.takes_pattern() {
            return self.paths(line).iter().try_for_each(|path| self.adjust(line, path));
        }
        let path = &self.inside(&line.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).at("create", parent)?;
        }
        if line.modifiers.replace_other_type {
            remove_other_type(line.line_type, path)?;
        }
        match &line.argument {
            Argument::Target(target) => return link(path, Path::new(OsStr::from_bytes(target)), line.modifiers.plus),
            Argument::Source(source) => return self.copy(line, &self.inside(source), path),
            _ => {}
        }
        let is_new = fs::symlink_metadata(path).is_err();
        match (line.line_type, &line.argument) {
            (LineType::File, Argument::Content(content)) => write(path, content, is_new, line.modifiers.plus)?,
            (LineType::File, _) => write(path, &[], is_new, line.modifiers.plus)?,
            _ if path.is_dir() => {}
            _ => fs::create_dir(path).at("create", path)?,
        }
        self.set(line, path, is_new)
    }

    fn inside(&self, path: &[u8]) -> PathBuf {
        self.root.join(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)))
    }

    /// The paths that match the pattern of a line. A path through a symbolic link of another user than root is left out: with such a
    /// link the user would choose which file PID 1 changes. systemd-tmpfiles refuses such a path, too.
    fn paths(&self, line: &Line) -> Vec<PathBuf> {
        let children = |directory: &[u8]| {
            let entries = fs::read_dir(self.inside(directory)).into_iter().flatten().flatten();
            let mut names: Vec<Vec<u8>> = entries.map(|entry| entry.file_name().into_vec()).collect();
            names.sort_unstable();
            names
        };
        let paths = tmpfiles::matching(&line.path, &children).into_iter().map(|path| self.inside(&path));
        paths.filter(|path| !self.crosses_foreign_link(path)).collect()
    }

    /// Whether a directory on the way to `path` is a symbolic link that belongs to another user than root.
    fn crosses_foreign_link(&self, path: &Path) -> bool {
        let ways = path.ancestors().skip(1).take_while(|way| *way != self.root);
        ways.filter_map(|way| fs::symlink_metadata(way).ok()).any(|found| found.is_symlink() && found.uid() != 0)
    }

    /// Changes mode and owner of a path, if it exists.
    fn adjust(&self, line: &Line, path: &Path) -> Result<(), PathError> {
        let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
        if line.line_type == LineType::ExistingDirectory && !found.is_dir() {
            return Ok(());
        }
        self.set(line, path, false)?;
        if line.line_type == LineType::AdjustAll && found.is_dir() {
            for entry in fs::read_dir(path).at("list", path)? {
                self.adjust(line, &entry.at("list", path)?.path())?;
            }
        }
        Ok(())
    }

    /// Copies a file, or a directory with its content, to a path that does not exist, or is an empty directory. A source
    /// that does not exist is no error.
    fn copy(&self, line: &Line, source: &Path, path: &Path) -> Result<(), PathError> {
        let Ok(from) = fs::symlink_metadata(source) else { return Ok(()) };
        let there = fs::symlink_metadata(path).ok();
        let has_content = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        let merges = from.is_dir() && (line.modifiers.plus || !has_content);
        match there {
            Some(there) if there.file_type() != from.file_type() => return Ok(()),
            Some(_) if !merges => {}
            _ => self.copy_all(line, source, path)?,
        }
        self.set(line, path, true)
    }

    fn copy_all(&self, line: &Line, source: &Path, path: &Path) -> Result<(), PathError> {
        let from = fs::symlink_metadata(source).at("read", source)?;
        let is_new = fs::symlink_metadata(path).is_err();
        if from.is_dir() {
            if is_new {
                fs::create_dir(path).at("create", path)?;
            }
            for entry in fs::read_dir(source).at("list", source)? {
                let entry = entry.at("list", source)?;
                self.copy_all(line, &entry.path(), &path.join(entry.file_name()))?;
            }
        } else if !is_new {
            return Ok(());
        } else if from.is_symlink() {
            symlink(fs::read_link(source).at("read", source)?, path).at("link", path)?;
        } else if from.is_file() {
            fs::copy(source, path).at("write", path)?;
        } else {
            // A device, pipe or socket. The image has no such files.
            return Ok(());
        }
        let (uid, gid) = self.owner(line, true);
        let (uid, gid) = (uid.unwrap_or_else(|| from.uid()), gid.unwrap_or_else(|| from.gid()));
        lchown(path, Some(uid), Some(gid)).at("set owner of", path)?;
        if from.is_symlink() || !is_new {
            return Ok(());
        }
        fs::set_permissions(path, from.permissions()).at("set mode of", path)
    }

    /// User and group to set for a path. Instead of a user or group that the image does not have, the superuser is set: that gives no user
    /// more rights.
    fn owner(&self, line: &Line, is_new: bool) -> (Option<u32>, Option<u32>) {
        let id = |owner: &Option<Owner>, file| {
            Owner::wanted(owner.as_ref(), is_new).map(|name| number_of(name, file).unwrap_or(0))
        };
        (id(&line.user, self.passwd), id(&line.group, self.group))
    }

    /// Sets mode and owner of a path as the line says. `is_new`: the line has just made the path.
    fn set(&self, line: &Line, path: &Path, is_new: bool) -> Result<(), PathError> {
        let there = fs::symlink_metadata(path).at("read", path)?;
        let (uid, gid) = self.owner(line, is_new);
        // A link to a directory is followed. No other link is followed.
        let follows = there.is_symlink() && path.is_dir() && !line.line_type.takes_pattern();
        let found = if follows { fs::metadata(path).at("read", path)? } else { there };
        if uid.is_some() || gid.is_some() {
            let change = if follows { std::os::unix::fs::chown } else { lchown };
            change(path, uid, gid).at("set owner of", path)?;
        }
        if found.is_symlink() {
            return Ok(());
        }
        let current = u16::try_from(found.mode() & 0o7777).unwrap_or_default();
        let bits = match (is_new, line.line_type) {
            // A copy has the mode of its source, unless the line gives one.
            (true, LineType::Copy) => line.mode.map_or(current, |mode| mode.applied(current, found.is_dir())),
            (true, _) => line.mode_of_new(),
            (false, _) => line.mode_of_existing(current, found.is_dir()),
        };
        // Set the mode even if it is the same: a change of the owner clears setuid and setgid.
        fs::set_permissions(path, fs::Permissions::from_mode(bits.into())).at("set mode of", path)
    }
}

/// Writes a file that is new, or whose content is replaced. A link at the path is not followed.
fn write(path: &Path, content: &[u8], is_new: bool, replace: bool) -> Result<(), PathError> {
    if !is_new && !replace {
        return Ok(());
    }
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).custom_flags(nofollow);
    options.open(path).and_then(|mut file| file.write_all(content)).at("write", path)
}

/// Removes the file or directory at the path, if it is not of the type that the line makes.
fn remove_other_type(line_type: LineType, path: &Path) -> Result<(), PathError> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    let is_wanted = match line_type {
        LineType::File => found.is_file(),
        LineType::Symlink => found.is_symlink(),
        LineType::Copy => true,
        _ => found.is_dir(),
    };
    match (is_wanted, found.is_dir()) {
        (true, _) => Ok(()),
        (false, true) => fs::remove_dir_all(path).at("remove", path),
        (false, false) => fs::remove_file(path).at("remove", path),
    }
}

fn link(path: &Path, target: &Path, replace: bool) -> Result<(), PathError> {
    match symlink(target, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            // `L` leaves what is there. `L+` replaces it, unless it is a directory: a directory may hold data.
            if !replace || fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
                return Ok(());
            }
            fs::remove_file(path).at("remove", path)?;
            symlink(target, path).at("link", path)
        }
        result => result.at("link", path),
    }
}

/// A number, or the number that passwd(5) or group(5) gives to the name.
fn number_of(name: &str, file: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let mut rows = file.lines().map(|line| line.split(':'));
    rows.find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten())
}

#[cfg(test)]
#[path = "tmpfiles_tests.rs"]
mod tests;
