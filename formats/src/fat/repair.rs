//! Repairs what an interrupted update left, before the next change.
//!
//! Such an update can leave: clusters that belong to no file, tables that differ, a wrong free count, parts of long names
//! without their entry, and two names for one file (the old name comes before the new one, and is removed). All other
//! damage is by other programs. It is not repaired, so that a person can examine it.

use super::{Disk, VolumeError, directory::Entry, volume::Volume};

/// The owner of each cluster.
struct Owned(Vec<bool>);

impl Owned {
    /// Notes `clusters` as used. Fails if one of them is used already.
    fn take(&mut self, clusters: &[u32]) -> bool {
        clusters.iter().all(|&cluster| {
            let place = usize::try_from(cluster).ok().and_then(|at| self.0.get_mut(at));
            place.is_some_and(|taken| !std::mem::replace(taken, true))
        })
    }
}

/// Repairs the volume. Nothing is written if nothing is wrong. Afterwards each cluster that is not free belongs to one file
/// or directory.
pub(super) fn repair<D: Disk>(volume: &mut Volume<D>) -> Result<(), VolumeError> {
    let count = usize::try_from(volume.geometry.end).unwrap_or(usize::MAX);
    let mut owned = Owned(vec![false; count]);
    let mut written = 0;
    let mut open = vec![(volume.geometry.root, String::new())];
    while let Some((first, path)) = open.pop() {
        let damaged = |path: &str, why| VolumeError::Damaged { path: path.to_owned(), why };
        let mut directory = volume.load(first, &path)?;
        if !owned.take(&directory.clusters) {
            return Err(damaged(&path, "its clusters belong to something else as well"));
        }
        let (entries, mut gone) = directory.entries();
        for (at, entry) in entries.iter().enumerate() {
            let path = format!("{path}/{}", entry.name);
            if entries[at + 1..].iter().any(|later| is_renamed(entry, later)) {
                gone.extend(entry.slots.clone());
            } else if entry.is_directory {
                open.push((entry.first, path));
            } else if !owned.take(&file_chain(volume, entry.first)) {
                return Err(damaged(&path, "its clusters belong to something else as well"));
            }
        }
        // A short entry must not remain without its long name: delete from the end.
        gone.sort_unstable();
        let per_sector = volume.geometry.sector / super::name::SLOT;
        for slots in gone.chunk_by(|one, other| one / per_sector == other / per_sector).rev() {
            directory.delete(slots.iter().copied());
            volume.write_sector(&directory, slots[0] / per_sector)?;
            volume.flush()?;
            written += 1;
        }
    }
    for cluster in 2..volume.geometry.end {
        let is_owned = usize::try_from(cluster).is_ok_and(|at| owned.0[at]);
        if !is_owned && !volume.table.is_free(cluster) && !volume.table.is_bad(cluster) {
            volume.table.release(&[cluster]);
        }
    }
    written += volume.table.store(&volume.disk, &volume.geometry)?;
    if written > 0 { volume.flush() } else { Ok(()) }
}

fn is_renamed(old: &Entry, new: &Entry) -> bool {
    let of = |entry: &Entry| (entry.first, entry.size, entry.is_directory);
    old.first != 0 && of(old) == of(new)
}

/// A file's clusters. If the chain has no valid end, another program has damaged it: its clusters are not given to others.
fn file_chain<D: Disk>(volume: &mut Volume<D>, first: u32) -> Vec<u32> {
    match volume.table.chain(first) {
        _ if first == 0 => Vec::new(),
        Ok(clusters) => clusters,
        Err(broken) => {
            if let Some(&last) = broken.clusters.last().filter(|&&last| volume.table.is_free(last)) {
                volume.table.link(&[last]);
            }
            broken.clusters
        }
    }
}
