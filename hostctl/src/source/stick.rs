//! A USB stick or optical disc: found by the label of its file system, and mounted read-only while it is used. A host has no shell in which
//! a user could mount it.

use super::SourceError;
use berth_contract::paths::RUN;
use berth_formats::label::{self, Labelled};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::{
    fs::{self, File},
    path::{Component, Path, PathBuf},
};

/// Splits `disk:LABEL[/PATH]` into label and path.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("disk:")?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

/// A mounted file system.
#[derive(Debug)]
pub(super) struct Stick {
    mount_point: PathBuf,
}

impl Stick {
    /// Mounts the file system with this label. Upper and lower case are equal.
    pub(super) fn mount(label: &str) -> Result<Self, SourceError> {
        let (device, kind) = find(label, Path::new("/sys/class/block"), Path::new("/dev"))?;
        let mount_point = Path::new(RUN).join("stick");
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| SourceError::Io { path, source }
        };
        fs::create_dir_all(&mount_point).map_err(io(&mount_point))?;
        // The content may be hostile: no device nodes, and no symbolic links that lead out of the file system.
        let flags =
            MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOSYMFOLLOW;
        mount(&device, &mount_point, kind, flags, None).map_err(|error| io(&device)(error.into()))?;
        Ok(Self { mount_point })
    }

    /// The path of a file on the stick. `..` cannot leave the stick.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        let names = Path::new(path).components().filter(|part| matches!(part, Component::Normal(_)));
        names.fold(self.mount_point.clone(), |folder, name| folder.join(name))
    }
}

impl Drop for Stick {
    fn drop(&mut self) {
        // Detached, so that it ends when the last open file is closed. If it stayed mounted, nothing would break.
        let _ = unmount(&self.mount_point, UnmountFlags::DETACH);
    }
}

/// The only device whose file system has the label, and the type of the file system.
fn find(label: &str, sys: &Path, dev: &Path) -> Result<(PathBuf, &'static str), SourceError> {
    let entries = fs::read_dir(sys).map_err(|source| SourceError::Io { path: sys.to_owned(), source })?;
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for name in names {
        let device = dev.join(name);
        // Ignore an empty drive, and a device that was just removed.
        let Ok(Some(labelled)) = File::open(&device).and_then(|file| label::read(&file)) else { continue };
        let (text, kind) = match labelled {
            Labelled::Fat(text) => (text, "vfat"),
            Labelled::Iso(text) => (text, "iso9660"),
        };
        if text.eq_ignore_ascii_case(label) {
            found.push((device, kind));
        } else {
            others.push(text);
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(SourceError::Labels { label: label.to_owned(), found: "several".to_owned() }),
        (None, _) if others.is_empty() => {
            Err(SourceError::Labels { label: label.to_owned(), found: "no labelled disk".to_owned() })
        }
        (None, _) => Err(SourceError::Labels { label: label.to_owned(), found: format!("only {}", others.join(", ")) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_stick_is_found_by_its_label_if_no_other_disk_has_it() {
        berth_judge::needs!("mkfs.fat");
        assert_eq!(split("disk:STICK/a/b.bundle"), Some(("STICK", "a/b.bundle")));
        assert_eq!(split("disk:STICK"), Some(("STICK", "")));
        assert_eq!(split("/disk:x"), None);

        let dir = tempfile::tempdir().unwrap();
        let (sys, dev) = (dir.path().join("sys"), dir.path().join("dev"));
        for folder in [&sys, &dev] {
            fs::create_dir(folder).unwrap();
        }
        let stick = |name: &str, label: &str| {
            fs::write(sys.join(name), "").unwrap();
            File::create(dev.join(name)).unwrap().set_len(8 << 20).unwrap();
            let done = Command::new("mkfs.fat").args(["-n", label]).arg(dev.join(name)).output().expect("run ci/setup");
            assert!(done.status.success());
        };
        let fault = |label: &str| find(label, &sys, &dev).unwrap_err().to_string();
        assert!(fault("STICK").contains("no labelled disk"));
        stick("sda", "OTHER");
        stick("sdb1", "STICK");
        assert_eq!(find("stick", &sys, &dev).unwrap(), (dev.join("sdb1"), "vfat"));
        assert!(fault("NOTHING").contains("OTHER, STICK"), "{}", fault("NOTHING"));
        stick("sdc1", "STICK");
        assert!(fault("STICK").contains("several"));
    }
}
