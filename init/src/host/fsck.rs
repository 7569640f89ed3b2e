//! Repairs the file system of /var with e2fsck, if the kernel's journal is not enough.

use berth_contract::{
    fault::{At, PathError},
    paths,
};
use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

/// How e2fsck is run, until it has repaired everything: first only what loses nothing, then everything. If the superblock is lost, e2fsck
/// looks for its copies; the last row names the first copy in a file system like ours.
const RUNS: [&[&str]; 3] = [&["-p"], &["-f", "-y"], &["-f", "-y", "-b", "32768", "-B", "4096"]];
/// Exit status, e2fsck(8): bits for errors that were corrected, and for a restart that is only needed for a mounted file system.
const CORRECTED: i32 = 1 | 2;
/// Exit status, e2fsck(8): bit for an operational error, for example that no superblock was found.
const OPERATIONAL: i32 = 8;
/// Lines of e2fsck that are quoted, and the length of each in bytes. There may be a line for each file.
const LINES: usize = 3;
const LINE: u64 = 1024;

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
    let (mut status, mut said) = (ExitStatus::default(), Vec::new());
    for (number, options) in RUNS.iter().enumerate() {
        // The last row is only for a lost superblock: the copy that it names may be older than the superblock.
        if number == RUNS.len() - 1 && status.code().is_none_or(|code| code & OPERATIONAL == 0) {
            break;
        }
        (status, said) = run(Command::new(program).args(*options).arg(device)).at("run", program)?;
        if status.code().is_some_and(|code| code & !CORRECTED == 0) {
            return Ok(if number == 0 { Repair::Safe } else { Repair::Full });
        }
    }
    Err(FsckError::Status { device: device.display().to_string(), status: status.to_string(), said: said.join(" | ") })
}

/// Runs the program. Returns its status and its last lines.
fn run(command: &mut Command) -> io::Result<(ExitStatus, Vec<String>)> {
    let (reader, writer) = io::pipe()?;
    let mut child = command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).spawn()?;
    // The command holds the writing end too.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (mut reader, mut line, mut last) = (BufReader::new(reader), Vec::new(), VecDeque::new());
    while reader.by_ref().take(LINE).read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        line.clear();
        if !text.is_empty() {
            last.push_back(text);
            if last.len() > LINES {
                last.pop_front();
            }
        }
    }
    Ok((child.wait()?, last.into()))
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

    #[test]
    fn only_the_last_lines_of_the_output_are_kept() {
        let program =
            "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done; echo; printf %5000s x >&2; exit 8";
        let (status, said) = super::run(Command::new("/bin/sh").args(["-c", program])).unwrap();
        assert_eq!((status.code(), said.len()), (Some(8), 3));
        assert!(said.iter().all(|line| line.len() as u64 <= LINE) && said[2].ends_with('x'), "{said:?}");
    }

    #[test]
    fn a_copy_of_the_superblock_is_named_only_if_no_superblock_was_found() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (program, notes) = (dir.path().join("fsck"), dir.path().join("notes"));
        for (status, runs) in [(8, 3), (12, 3), (4, 2), (32, 2), (1, 1)] {
            let _ = fs::remove_file(&notes);
            fs::write(&program, format!("#!/bin/sh\necho $* >>{}\nexit {status}\n", notes.display())).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            // Another thread may have forked while the file was open for writing.
            let busy = |error: &FsckError| matches!(error, FsckError::Run(fault) if fault.source.kind() == io::ErrorKind::ExecutableFileBusy);
            while repair(&program, Path::new("x")).is_err_and(|error| busy(&error)) {}
            assert_eq!(fs::read_to_string(&notes).unwrap().lines().count(), runs, "{status}");
        }
    }

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
