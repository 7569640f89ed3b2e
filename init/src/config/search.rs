//! The search for host.toml: waits for places that come late, such as a disk whose driver is still looking for it.

use super::locations::{Candidate, Locations};
use berth_contract::config_source::ConfigSource::{Disk, Esp, FwCfg};
use std::{
    thread,
    time::{Duration, Instant},
};

/// How long to wait for a configuration disk that was there at an earlier boot, after the buses have settled.
const LONGEST: Duration = Duration::from_secs(10);
/// Wait between two looks at the list of disks.
const PAUSE: Duration = Duration::from_millis(100);

/// The first host.toml that exists. `settled` waits until the drivers have found all disks: it is called only if the firmware has no
/// host.toml. `before` is the place of the last good host.toml; if that was a disk, the search waits for it to appear.
pub(super) fn first(locations: &Locations, settled: impl FnOnce(), before: Option<&str>) -> Option<Candidate> {
    first_within(locations, settled, before, LONGEST)
}

fn first_within(
    locations: &Locations,
    settled: impl FnOnce(),
    before: Option<&str>,
    longest: Duration,
) -> Option<Candidate> {
    if let found @ Some(_) = locations.find(FwCfg) {
        return found;
    }
    if locations.allows(Disk) {
        settled();
        let was_disk = before.is_some_and(|place| place.starts_with(Disk.name()));
        let deadline = Instant::now() + if was_disk { longest } else { Duration::ZERO };
        let mut seen = None;
        loop {
            let disks = locations.disks();
            if seen.as_ref() != Some(&disks)
                && let found @ Some(_) = locations.find(Disk)
            {
                return found;
            }
            seen = Some(disks);
            if Instant::now() >= deadline {
                break;
            }
            thread::sleep(PAUSE);
        }
    }
    locations.find(Esp)
}

#[cfg(test)]
mod tests {
    use super::{super::locations::tests::Host, *};
    use std::cell::Cell;

    #[test]
    fn a_disk_is_waited_for_until_the_buses_have_settled_and_longer_if_it_was_there_before() {
        berth_judge::needs!("mkfs.fat");
        let host = Host::new();
        let place = |found: Option<Candidate>| found.map(|found| found.place);
        let none = || {};
        assert_eq!(place(first(&host.locations(), none, None)), None);
        host.put("files/vda1/vfat/berth/host.toml", "from the esp");
        // A disk that appears while the buses settle has precedence over the ESP.
        let appear = || {
            host.fat("sda", "CIDATA");
            host.put("files/sda/vfat/host.toml", "from a slow disk");
        };
        assert_eq!(place(first(&host.locations(), appear, None)).as_deref(), Some("disk cidata"));
        host.remove("sda");
        assert_eq!(place(first(&host.locations(), none, None)).as_deref(), Some("esp"));
        // It was there before: a disk that appears even later is waited for, and a host that had none does not wait.
        let late = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(300));
                appear();
            });
            first(&host.locations(), none, Some("disk cidata"))
        });
        assert_eq!(place(late).as_deref(), Some("disk cidata"));
        host.remove("sda");
        let (began, limit) = (Instant::now(), Duration::from_millis(250));
        let gone = first_within(&host.locations(), none, Some("disk cidata"), limit);
        assert_eq!(place(gone).as_deref(), Some("esp"));
        assert!(began.elapsed() >= limit);
        // fw_cfg is there at once.
        host.put("fw_cfg/opt/berth/host.toml/raw", "from fw_cfg");
        let waited = Cell::new(false);
        assert_eq!(place(first(&host.locations(), || waited.set(true), None)).as_deref(), Some("fw_cfg"));
        assert!(!waited.get());
    }
}
