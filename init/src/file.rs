//! Replaces files in one move.

use berth_contract::fault::{At, PathError};
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Writes a temporary file beside `path`, syncs it, and renames it to `path`. After a crash the old or the new content is there.
///
/// # Errors
/// The step that failed. The old file is then still in place.
pub fn store(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PathError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let _ = fs::remove_file(beside);
    let write = |mut file: File| file.write_all(bytes).and_then(|()| file.sync_all());
    OpenOptions::new().write(true).create_new(true).mode(mode).open(beside).and_then(write).at("write", beside)?;
    fs::rename(beside, path).at("replace", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_files_replace_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed");
        fs::write(dir.path().join("seed.new"), "left over").unwrap();
        for text in ["one", "two"] {
            store(&path, text.as_bytes(), 0o400).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert!(store(Path::new("/no/such/dir/x"), b"", 0o600).is_err());
    }
}
