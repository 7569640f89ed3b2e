//! The power goes at any moment of an upgrade: what boots afterwards is the old version or the new one, whole.

use crate::{
    common::{LIMIT, judge, machine},
    host::Host,
    server::Server,
    workshop::{Version, Workshop, disk},
    write_log::WriteLog,
};
use std::{
    fs::{self, OpenOptions},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Moments that are tried. Each is a boot.
const MOMENTS: usize = 40;
/// Machines that run at once.
const SIDE_BY_SIDE: usize = 2;

#[test]
fn whenever_the_power_goes_the_old_or_the_new_version_boots() {
    let shop = Workshop::open("power-cut");
    let (old, new) = (
        shop.build(&Version { number: "1", ..Version::default() }),
        shop.build(&Version { number: "2", ..Version::default() }),
    );
    let server = Server::start(&shop.release("repo", &[&old, &new], &["--deltas", "0"]));

    // One upgrade, every write of which is noted.
    let log = shop.path("writes.log");
    WriteLog::prepare(&log).unwrap();
    let mut description = machine("power-cut", Some(disk(&old)));
    description.reach_out = true;
    description.write_log = Some(log.clone());
    let mut host = Host::start(&description);
    let before = WriteLog::read(&log).unwrap().len();
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    let after = WriteLog::read(&log).unwrap().len();
    host.cut_power();
    let log = WriteLog::read(&log).unwrap();

    // Half of the moments are in its last tenth, where the boot entry is written.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        // xorshift64: repeatable, and even enough.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let tail = after - (after - before) / 10;
    let moment = |index: usize, random: &mut dyn FnMut() -> u64| {
        let from = if index.is_multiple_of(2) { before } else { tail };
        from + usize::try_from(random() % u64::try_from(after - from + 1).unwrap()).unwrap()
    };
    let moments: Vec<(usize, u64)> = (0..MOMENTS).map(|index| (moment(index, &mut random), random())).collect();

    let (next, booted) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(&(cut, seed)) = moments.get(next.fetch_add(1, Ordering::Relaxed)) {
            let image = shop.path(&format!("cut-{cut}-{seed:x}.raw"));
            judge("cp", &["--sparse=always", disk(&old).to_str().unwrap(), image.to_str().unwrap()]).unwrap();
            let file = OpenOptions::new().write(true).open(&image).unwrap();
            let mut state = seed | 1;
            let mut random = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            };
            log.apply(&file, cut, &mut random).unwrap();
            let mut host = Host::try_start(&machine(&format!("power-cut-{cut}"), Some(image.clone())), LIMIT)
                .unwrap_or_else(|error| panic!("after {cut} of {after} writes (seed {seed:x}): {error}"));
            let status = host.status();
            booted.lock().unwrap().push((cut, status.version.to_string()));
            host.cut_power();
            fs::remove_file(image).unwrap();
        }
    };
    thread::scope(|scope| (0..SIDE_BY_SIDE).for_each(|_| drop(scope.spawn(work))));

    let mut booted = booted.into_inner().unwrap();
    booted.sort();
    assert_eq!(booted.len(), MOMENTS);
    assert!(booted.iter().all(|(_, version)| version == "1" || version == "2"));
    assert!(booted.iter().any(|(_, version)| version == "1"), "not one moment was before the commit: {booted:?}");
    assert!(booted.iter().any(|(_, version)| version == "2"), "not one moment was after the commit: {booted:?}");
}
