//! One segment that is being written.

use super::folder::Folder;
use berth_formats::log_segment::{Header, Position, SegmentName};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

#[derive(Debug)]
pub(super) struct SegmentFile {
    file: File,
    path: PathBuf,
    /// Bytes that were written completely.
    length: u64,
    lines: u64,
}

impl SegmentFile {
    /// Makes room in the folder, and creates a segment with `records` at its start. File and name are flushed.
    pub(super) fn create(folder: &Folder, boot_id: [u8; 16], first: Position, records: &[u8]) -> io::Result<Self> {
        fs::create_dir_all(&folder.path)?;
        folder.make_room()?;
        let path = folder.path.join(SegmentName(first).to_string());
        // Without a line, an earlier process has left it.
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&path)?;
        let mut segment = Self { file, path, length: 0, lines: 0 };
        let bytes = [&Header { boot_id, first }.bytes()[..], records].concat();
        segment.append(&bytes, 0).and_then(|()| segment.flush()).inspect_err(|_| segment.remove())?;
        File::open(&folder.path)?.sync_all()?;
        Ok(segment)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Size in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Appends whole records with this number of lines. After an error the segment ends where it ended before.
    pub(super) fn append(&mut self, records: &[u8], lines: u64) -> io::Result<()> {
        if let Err(error) = self.file.write_all(records) {
            let _ = self.file.set_len(self.length);
            if self.lines == 0 {
                // Its name is that of the first line, which another segment will have.
                self.remove();
            }
            return Err(error);
        }
        self.length += records.len() as u64;
        self.lines += lines;
        Ok(())
    }

    /// Flushes the content to the disk.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn remove(&self) {
        // If it cannot be removed, a reader finds it empty.
        let _ = fs::remove_file(&self.path);
    }
}
