//! The current signed metadata: the timestamp, and the snapshot and targets that it refers to.

use super::{
    error::ReleaseError,
    file,
    metadata::{Document, MAX_SIZE, fault, name},
};
use std::{collections::HashMap, path::Path};
use tough::schema::{Metafile, Root, Snapshot, Targets, Timestamp};

/// The only metadata file that is replaced. All other files have their version in their name.
pub(super) const TIMESTAMP: &str = "timestamp.json";
/// The name under which a snapshot lists the top-level targets.
pub(super) const TARGETS_META: &str = "targets.json";
/// The name under which a timestamp lists the snapshot.
pub(super) const SNAPSHOT_META: &str = "snapshot.json";

/// A repository's timestamp, and the snapshot and targets that it refers to.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub(super) timestamp: Document<Timestamp>,
    pub(super) snapshot: Document<Snapshot>,
    pub(super) targets: Document<Targets>,
}

impl Current {
    /// Reads timestamp, snapshot and targets in `folder` and verifies them with the keys of `root`. Returns `None` if there is
    /// no timestamp.
    pub(super) fn load(folder: &Path, root: &Root) -> Result<Option<Self>, ReleaseError> {
        let path = folder.join(TIMESTAMP);
        let Some(bytes) = file::read_if_there(&path, MAX_SIZE)? else { return Ok(None) };
        let timestamp = Document::<Timestamp>::parse(bytes, &path)?;
        timestamp.verify(root, &path)?;
        let said = listed(&timestamp.role.signed.meta, SNAPSHOT_META, &path)?;
        let path = folder.join(name(SNAPSHOT_META, said.version));
        let snapshot = Document::<Snapshot>::load(&path)?;
        snapshot.matches(said, &path)?;
        snapshot.verify(root, &path)?;
        let said = listed(&snapshot.role.signed.meta, TARGETS_META, &path)?;
        let path = folder.join(name(TARGETS_META, said.version));
        let targets = Document::<Targets>::load(&path)?;
        targets.matches(said, &path)?;
        targets.verify(root, &path)?;
        Ok(Some(Self { timestamp, snapshot, targets }))
    }

    /// Whether all three are signed with the keys of `root`.
    pub(super) fn accepted_by(&self, root: &Root) -> bool {
        root.verify_role(&self.timestamp.role).is_ok()
            && root.verify_role(&self.snapshot.role).is_ok()
            && root.verify_role(&self.targets.role).is_ok()
    }
}

fn listed<'a>(meta: &'a HashMap<String, Metafile>, name: &str, path: &Path) -> Result<&'a Metafile, ReleaseError> {
    meta.get(name).ok_or_else(|| fault(path, format!("expected an entry for {name}, found none")))
}
