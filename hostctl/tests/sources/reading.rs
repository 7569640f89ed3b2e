//! Opens and reads repositories.

use crate::kit::{
    repo::{Host, Repo, content},
    source,
};
use berth_contract::release::Target;
use hostctl::trust::Repository;
use std::io::Read as _;

pub(crate) const ROOT: &str = "host_2_x86_64.root.zst";

pub(crate) fn read(repository: &Repository, start: u64, len: Option<u64>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut opened = repository.open(ROOT, start, len).map_err(|error| error.to_string())?;
    opened.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Opens the repository at `base`. Its server serves the metadata without faults.
pub(crate) fn opened(repo: &Repo, base: &str) -> Repository {
    Host::of(repo).open(&source(base)).unwrap()
}

pub(crate) fn whole(repository: &Repository) {
    let release = &repository.releases().known[0];
    repository.record(release).unwrap();
    assert!(read(repository, 0, None).unwrap() == content(Target::Root));
}
