//! An image of one static program: one layer with one file.

use super::{
    Blob, OciImage,
    archive::{Tar, json},
    elf::{self, NotAlone},
    error::OciError,
    layout::{io_error, sha256},
    reference::Reference,
    schema::{CONFIG_TYPES, Descriptor, Execution, ImageConfig, LAYER_TYPES, MANIFEST_TYPES, OciManifest, RootFs},
};
use berth_formats::data::Data;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Result},
    path::{Path, PathBuf},
};

/// Largest program, in bytes.
const PROGRAM_LIMIT: u64 = 1 << 30;

/// What is packed, and how.
#[derive(Clone, Debug)]
pub struct Packing {
    /// The program.
    pub program: PathBuf,
    /// Name of the image; the last part of it is the program's name in the image's root.
    pub name: Reference,
    /// Arguments that a container gets where none are given.
    pub cmd: Vec<String>,
    /// When the image was made, in seconds since 1970.
    pub epoch: u64,
}

/// The image of `packing`. The same program makes the same bytes.
///
/// # Errors
/// A program that cannot be read, or that would not run without anything beside it.
pub fn pack(packing: &Packing) -> std::result::Result<OciImage, OciError> {
    let Packing { program: path, name, cmd, epoch } = packing;
    let bytes = read(path).map_err(io_error("read", path))?;
    let arch = elf::check(&bytes).map_err(|fault| {
        let (found, dynamic) = match fault {
            NotAlone::Other(found) => (found, false),
            NotAlone::Dynamic => ("dynamically linked", true),
        };
        OciError::Program { path: path.clone(), found: found.to_owned(), dynamic }
    })?;
    let mut tar = Tar::new(*epoch);
    tar.program(name.stem(), bytes.into())?;
    let mut layer = Vec::new();
    for piece in tar.finish() {
        piece.reader().and_then(|mut piece| piece.read_to_end(&mut layer)).map_err(io_error("read", path))?;
    }
    // Not compressed: the image it goes into is compressed as a whole, and better.
    let layer = blob(LAYER_TYPES[0], layer.into())?;
    let config = ImageConfig {
        created: Some(timestamp(*epoch)),
        architecture: arch.oci.to_owned(),
        os: "linux".to_owned(),
        config: Execution {
            entrypoint: Some(vec![format!("/{}", name.stem())]),
            cmd: (!cmd.is_empty()).then(|| cmd.clone()),
        },
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![format!("sha256:{}", layer.digest)] },
    };
    let config = blob(CONFIG_TYPES[0], json(&config)?)?;
    let manifest = OciManifest {
        schema_version: 2,
        media_type: Some(MANIFEST_TYPES[0].to_owned()),
        config: descriptor(&config),
        layers: vec![descriptor(&layer)],
    };
    Ok(OciImage {
        name: name.clone(),
        architecture: arch.oci.to_owned(),
        manifest: blob(MANIFEST_TYPES[0], json(&manifest)?)?,
        image_id: config.digest,
        config,
        layers: vec![layer],
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(PROGRAM_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PROGRAM_LIMIT {
        return Err(std::io::Error::other(format!("more than {PROGRAM_LIMIT} bytes")));
    }
    Ok(bytes)
}

fn blob(media_type: &str, data: Data) -> std::result::Result<Blob, OciError> {
    let digest = data.reader().and_then(sha256).map_err(io_error("read", Path::new(media_type)))?;
    Ok(Blob { media_type: media_type.to_owned(), digest, data })
}

fn descriptor(blob: &Blob) -> Descriptor {
    Descriptor {
        media_type: blob.media_type.clone(),
        digest: format!("sha256:{}", blob.digest),
        size: blob.data.len(),
        annotations: BTreeMap::new(),
        platform: None,
    }
}

/// RFC 3339 of a time in seconds since 1970, in UTC.
fn timestamp(epoch: u64) -> String {
    let (days, second) = (epoch / 86_400, epoch % 86_400);
    // Years of 1 March to the end of February: the leap day comes last. 719 468 days lie between 0000-03-01 and 1970-01-01.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date() {
        for epoch in
            [0, 951_782_400, 951_868_799, 951_868_800, 1_709_164_800, 1_795_000_000, 4_107_542_399, 4_107_542_400]
        {
            let date = std::process::Command::new("date").args(["-u", "+%FT%TZ", "-d", &format!("@{epoch}")]).output();
            assert_eq!(timestamp(epoch), String::from_utf8(date.unwrap().stdout).unwrap().trim_end());
        }
    }
}
