//! Repairs the file system of /var with e2fsck, if the kernel's journal is not enough.

use berth_contract::{
    fault::{At, PathError},
    paths,
};
use std::{path::Path, process::Command};

/// How e2fsck is run, until it has repaired everything: first only what loses nothing, then everything. If the superblock is lost, e2fsck
/// looks for its copies; the last row names the first copy in a file system like ours.
const RUNS: [&[&str]; 3] = [&["-p"], &["-f", "-y"], &["-f", "-y", "-b", "32768", "-B", "4096"]];
/// Exit status, e2fsck(8): bits for errors that were corrected, and for a restart that is only needed for a mounted file system.
const CORRECTED: i32 = 1 | 2;
/// Lines of e2fsck that are quoted.
const LINES: usize = 3;

/// What e2fsck has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing was wrong, or the repair has lost nothing.
    Safe,
    /// Errors were corrected. Files may be lost, or are in `lost+found`.
    Full,
}

/// Why the file system could not be repaired.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// e2fsck cannot be run.
    #[error(transparent)]
    Run(#[from] PathError),
    /// e2fsck has given up.
    #[error("e2fsck {device}: expected status 0 to 3, found {status}: {said}")]
    Status {
        /// The node of the file system.
        device: String,
        /// The exit status, in words.
        status: String,
        /// Its last lines.
        said: String,
    },
}

/// Repairs the file system on `device`, which must not be mounted.
///
/// # Errors
/// When e2fsck is not in the image, or cannot repair the file system.
pub fn repair(program: &Path, device: &Path) -> Result<Repair, FsckError> {
    let mut failed = None;
    for (number, options) in RUNS.iter().enumerate() {
        let output = Command::new(program).args(*options).arg(device).output().at("run", program)?;
        match output.status.code() {
            Some(code) if code & !CORRECTED == 0 => return Ok(if number == 0 { Repair::Safe } else { Repair::Full }),
            _ => failed = Some(output),
        }
    }
    let said = failed.as_ref().map(|output| [&output.stdout[..], &output.stderr].concat()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(FsckError::Status {
        device: device.display().to_string(),
        status: failed.map_or_else(String::new, |output| output.status.to_string()),
        said: lines[lines.len().saturating_sub(LINES)..].join(" | "),
    })
}

/// The program in the image.
#[must_use]
pub fn program() -> &'static Path {
    Path::new(paths::E2FSCK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{self, File},
        os::unix::fs::FileExt,
        path::PathBuf,
    };

    fn run(program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).output().expect("run ci/setup");
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A file system with a file, made by mke2fs.
    fn file_system(folder: &Path) -> PathBuf {
        let (path, tree) = (folder.join("fs"), folder.join("tree"));
        fs::create_dir_all(tree.join("lib")).unwrap();
        fs::write(tree.join("lib/kept"), "kept").unwrap();
        File::create(&path).unwrap().set_len(512 << 20).unwrap();
        run("mke2fs", &["-q", "-t", "ext4", "-b", "4096", "-d", tree.to_str().unwrap(), path.to_str().unwrap()]);
        path
    }

    fn e2fsck() -> PathBuf {
        let found = ["/usr/sbin/e2fsck", "/sbin/e2fsck"].into_iter().find(|path| Path::new(path).exists());
        found.expect("run ci/setup").into()
    }

    #[test]
    fn a_lost_superblock_and_damaged_metadata_are_repaired_and_the_files_are_kept() {
        berth_judge::needs!("mke2fs", "e2fsck", "debugfs");
        let dir = tempfile::tempdir().unwrap();
        let path = file_system(dir.path());
        let device = File::options().read(true).write(true).open(&path).unwrap();
        let kept = || run("debugfs", &["-R", "cat /lib/kept", path.to_str().unwrap()]);
        assert_eq!(repair(&e2fsck(), &path).unwrap(), Repair::Safe);
        // The whole first block: superblock, and the boot sector before it.
        device.write_all_at(&[0; 4096], 0).unwrap();
        assert_eq!(repair(&e2fsck(), &path).unwrap(), Repair::Full);
        assert_eq!(kept(), "kept");
        // The block bitmap of the first group.
        let bitmap: u64 = {
            let text = run("dumpe2fs", &[path.to_str().unwrap()]);
            let line = text.lines().find(|line| line.contains("Block bitmap at ")).unwrap().to_owned();
            let digits = line.split("Block bitmap at ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
            digits.parse().unwrap()
        };
        device.write_all_at(&[0x55; 4096], bitmap * 4096).unwrap();
        device.write_all_at(&[2], 1024 + 0x3a).unwrap();
        repair(&e2fsck(), &path).unwrap();
        assert_eq!(kept(), "kept");
        run(e2fsck().to_str().unwrap(), &["-f", "-n", path.to_str().unwrap()]);
    }

    #[test]
    fn what_cannot_be_repaired_is_an_error_that_quotes_e2fsck() {
        berth_judge::needs!("e2fsck");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zeros");
        File::create(&path).unwrap().set_len(64 << 20).unwrap();
        let error = repair(&e2fsck(), &path).unwrap_err().to_string();
        assert!(error.starts_with("e2fsck /") && error.contains("found exit status: 8: "), "{error}");
        let error = repair(Path::new("/nowhere/e2fsck"), &path).unwrap_err().to_string();
        assert!(error.starts_with("cannot run /nowhere/e2fsck"), "{error}");
    }
}
