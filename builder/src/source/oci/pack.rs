//! Makes an OCI image from one static program: one layer with one file.

use super::{
    OciImage,
    archive::{Tar, json},
    blob::Blob,
    error::OciError,
    layout::{io_error, sha256},
    reference::Reference,
    schema::{CONFIG_TYPES, Descriptor, Execution, ImageConfig, LAYER_TYPES, MANIFEST_TYPES, OciManifest, RootFs},
};
use crate::date::Date;
use berth_contract::arch::Arch;
use berth_formats::{
    data::Data,
    elf::{Elf, ElfError},
};
use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

/// Size limit for the program in bytes.
const PROGRAM_LIMIT: u64 = 1 << 30;

/// The input of [`pack`].
#[derive(Clone, Debug)]
pub struct Packing {
    /// The program's file.
    pub program: PathBuf,
    /// Name of the image. Its last part is the program's file name in the root folder of the image.
    pub name: Reference,
    /// Default arguments of a container.
    pub cmd: Vec<String>,
    /// Creation time of the image, in seconds since 1970.
    pub epoch: u64,
}

/// Makes the image. The same input gives the same bytes.
///
/// # Errors
/// The program cannot be read, or is not static.
pub fn pack(packing: &Packing) -> Result<OciImage, OciError> {
    let Packing { program: path, name, cmd, epoch } = packing;
    let bytes = berth_file::read(path, PROGRAM_LIMIT)?;
    let refused = |fault: ElfError| {
        let dynamic = fault == ElfError::Dynamic;
        OciError::Program { path: path.clone(), found: fault.to_string(), dynamic }
    };
    let elf = Elf::parse(&bytes).map_err(refused)?;
    let arch = Arch::all().find(|arch| arch.elf_machine == elf.machine()).ok_or_else(|| {
        let found = format!("a program for another machine (e_machine {})", elf.machine());
        OciError::Program { path: path.clone(), found, dynamic: false }
    })?;
    elf.check_static_program().map_err(refused)?;
    let mut tar = Tar::new(*epoch);
    tar.program(name.stem(), bytes.into())?;
    let mut layer = Vec::new();
    for piece in tar.finish() {
        piece.reader().and_then(|mut piece| piece.read_to_end(&mut layer)).map_err(io_error("read", path))?;
    }
    // Do not compress the layer: the host's file system image is compressed as a whole, which is more effective.
    let layer = blob(LAYER_TYPES[0], layer.into())?;
    let config = ImageConfig {
        created: Some(Date(*epoch).to_string()),
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

fn blob(media_type: &str, data: Data) -> Result<Blob, OciError> {
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
