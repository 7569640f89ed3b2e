//! Makes the files of a release: writes each file into the repository, computes its digest, and puts the digest into its name.

use super::{
    error::ReleaseError,
    file::{self, Measured},
    repository::{WORKSHOP, target_file},
};
use crate::{
    report::{Report, Size},
    scratch::Scratch,
};
use berth_contract::{arch::XzFilter, release::MAX_WINDOW};
use liblzma::{
    stream::{Check, Filters, LzmaOptions, MtStreamBuilder},
    write::XzEncoder,
};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    thread,
};
use tough::{
    TargetName,
    schema::{Hashes, Target},
};

/// A temporary folder inside the folder of targets, for new targets. It is removed at the end.
#[derive(Debug)]
pub(super) struct Workshop<'a> {
    targets: PathBuf,
    partial: Scratch,
    report: &'a Report,
}

impl<'a> Workshop<'a> {
    /// Creates the temporary folder in the folder `targets`. The repository must be locked.
    pub(super) fn new(targets: PathBuf, report: &'a Report) -> Result<Self, ReleaseError> {
        let partial = Scratch::new(targets.join(WORKSHOP));
        // Remove a folder that a killed process left.
        match fs::remove_dir_all(partial.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ReleaseError::io("remove", partial.path())(error));
            }
            _ => fs::create_dir(partial.path()).map_err(ReleaseError::io("make folder", partial.path()))?,
        }
        Ok(Self { targets, partial, report })
    }

    /// The path of a temporary file.
    pub(super) fn scratch(&self, name: &str) -> PathBuf {
        self.partial.path().join(name)
    }

    /// Makes the target `name`; `write` writes its content. Returns its entry for the metadata, and the value of `write`.
    pub(super) fn make<T>(
        &self,
        name: &str,
        write: impl FnOnce(&mut Measured<BufWriter<File>>) -> anyhow::Result<T>,
    ) -> anyhow::Result<((TargetName, Target), T)> {
        let path = self.scratch(name);
        let file = File::create_new(&path).map_err(ReleaseError::io("make", &path))?;
        let mut measured = Measured::new(BufWriter::with_capacity(1 << 20, file));
        let value = write(&mut measured)?;
        let (file, (length, sha256)) = measured.finish();
        let synced = file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        synced.map_err(ReleaseError::io("write", &path))?;
        let hashes = Hashes { sha256: sha256.0.to_vec().into(), _extra: HashMap::new() };
        let target = Target { length, hashes, custom: HashMap::new(), _extra: HashMap::new() };
        let place = self.targets.join(target_file(name, &target));
        fs::rename(&path, &place).map_err(ReleaseError::io("write", &place))?;
        self.report.step("target", format_args!("{name}, {}", Size(length)));
        Ok(((TargetName::new(name)?, target), value))
    }

    /// Makes the target `name` from the file at `from`.
    pub(super) fn copy(&self, name: &str, from: &Path) -> anyhow::Result<(TargetName, Target)> {
        let copy = |to: &mut Measured<_>| {
            let mut file = File::open(from).map_err(ReleaseError::io("read", from))?;
            Ok(io::copy(&mut file, to).map_err(ReleaseError::io("copy", from))?)
        };
        Ok(self.make(name, copy)?.0)
    }

    /// Makes the target `name` from bytes.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> anyhow::Result<(TargetName, Target)> {
        Ok(self.make(name, |to| Ok(to.write_all(bytes)?))?.0)
    }
}

/// Compresses `image` into one zstd stream (RFC 8878) that a host can unpack: see [`MAX_WINDOW`].
pub(super) fn compress(image: &Path, level: i32, to: impl Write) -> Result<(), ReleaseError> {
    let compressed = || {
        let mut file = File::open(image)?;
        let mut encoder = zstd::Encoder::new(to, level)?;
        encoder.set_pledged_src_size(Some(file.metadata()?.len()))?;
        encoder.long_distance_matching(true)?;
        encoder.window_log(MAX_WINDOW.ilog2())?;
        // The number of threads does not change the bytes: zstd cuts the input into equal jobs.
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        encoder.multithread(u32::try_from(threads).unwrap_or(1))?;
        io::copy(&mut file, &mut encoder)?;
        encoder.finish()?.flush()
    };
    compressed().map_err(ReleaseError::io("compress", image))
}

/// Limit for the number of compression threads. Each needs some hundred MB at the highest level.
const MOST_THREADS: usize = 8;

/// Compresses `image` into one xz stream (format 1.2) that a host can unpack: see [`MAX_WINDOW`]. The filter improves the
/// compression of machine code.
pub(super) fn pack(image: &Path, filter: XzFilter, level: i32, to: impl Write) -> Result<(), ReleaseError> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    // Map zstd's levels 10 to 19 to xz's presets 0 to 9.
    let preset = u32::try_from(level.saturating_sub(10)).unwrap_or(0).min(9);
    let stream = || {
        let mut options = LzmaOptions::new_preset(preset)?;
        options.dict_size(u32::try_from(MAX_WINDOW).unwrap_or(u32::MAX));
        let mut filters = Filters::new();
        match filter {
            XzFilter::X86 => filters.x86(),
            XzFilter::Arm64 => filters.arm64(),
        };
        filters.lzma2(&options);
        let mut builder = MtStreamBuilder::new();
        // The number of threads does not change the bytes: all blocks have the same size.
        builder.filters(filters).check(Check::Crc32).block_size(XZ_BLOCK);
        builder.threads(u32::try_from(threads).unwrap_or(1)).encoder()
    };
    let packed = || {
        let mut encoder = XzEncoder::new_stream(to, stream()?);
        io::copy(&mut File::open(image)?, &mut encoder)?;
        encoder.finish()?.flush()
    };
    packed().map_err(ReleaseError::io("compress", image))
}

/// Size of a block in bytes. Blocks are large because each block starts with an empty dictionary.
const XZ_BLOCK: u64 = 192 << 20;

/// Unpacks the zstd stream at `from` into the file `to`.
pub(super) fn unpack(from: &Path, to: &Path) -> Result<(), ReleaseError> {
    let unpacked = || {
        let mut decoder = zstd::Decoder::new(File::open(from)?)?;
        decoder.window_log_max(MAX_WINDOW.ilog2())?;
        io::copy(&mut decoder, &mut File::create(to)?)
    };
    unpacked().map(drop).map_err(ReleaseError::io("unpack", from))
}

/// Checks length and digest of the file at `path` against its entry in the signed metadata.
pub(super) fn check(path: &Path, target: &Target) -> Result<(), ReleaseError> {
    let (length, sha256) = file::measure(path)?;
    let said = |length, digest: &[u8]| {
        format!("{length} bytes with SHA-256 {}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    };
    if length == target.length && sha256.0[..] == target.hashes.sha256[..] {
        return Ok(());
    }
    let (wanted, found) = (said(target.length, &target.hashes.sha256), said(length, &sha256.0));
    Err(ReleaseError::Target { path: path.to_owned(), wanted, found })
}

#[cfg(test)]
mod tests {
    use super::*;
    use liblzma::read::XzDecoder;
    use std::io::Read;

    #[test]
    fn the_xz_filter_of_the_architecture_improves_compression() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        // x86 calls of one address: with the filter, all of them have the same bytes.
        let code: Vec<u8> =
            (0..20_000_u32).flat_map(|at| [&[0xe8][..], &(200_000 - at * 5).to_le_bytes()].concat()).collect();
        fs::write(&image, &code).unwrap();
        let packed = [XzFilter::X86, XzFilter::Arm64].map(|filter| {
            let (mut packed, mut unpacked) = (Vec::new(), Vec::new());
            pack(&image, filter, 19, &mut packed).unwrap();
            XzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == code, "{filter:?}");
            packed.len()
        });
        assert!(packed[0] * 2 < packed[1], "{packed:?}");
    }
}
