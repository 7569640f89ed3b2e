//! What is stored.

use crate::kit::{Host, wait_for};
use std::{thread, time::Duration};

#[test]
fn a_process_that_is_killed_again_and_again_stores_every_line_once() {
    let mut host = Host::new("[]");
    for round in 0..12_u64 {
        host.start();
        for part in 0..10 {
            host.chat("chatty", (0..200).map(|number| format!("{round} {part} {number}")));
            host.say("other", 6, "x");
            thread::sleep(Duration::from_millis(1 + round));
        }
        host.kill();
    }
    host.start();
    wait_for("all lines", || (host.stored("chatty").len() == 24_000).then_some(()));
    let numbers: Vec<u64> = host.stored("chatty").into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, (0..24_000).collect::<Vec<_>>());
    assert_eq!(host.stored("other").len(), 120);
    let idle = host.memory();
    assert!(idle < 8 << 10, "{idle} KiB");
    // What comes just before the end is stored.
    host.say("chatty", 6, "last words");
    host.stop();
    assert_eq!(host.stored("chatty").last().unwrap().1, "last words");
}

#[test]
fn a_full_disk_is_said_and_lines_stay_readable() {
    if berth_judge::missing_root() {
        return;
    }
    let mut host = Host::new("[]");
    let var = host.root.path().join("var/log/berth");
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=200k", "tmpfs"]).arg(&var).status();
    assert!(mounted.unwrap().success());
    host.start();
    host.chat("chatty", (0..6000).map(|number| format!("{number:080}")));
    host.say("netd", 6, "the end");
    wait_for("the last line", || host.stored("netd").pop());
    let numbers: Vec<u64> = host.stored("chatty").into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, (0..6000).collect::<Vec<_>>());
    let said = host.said();
    assert!(said.contains("No space left on device") && said.contains("kept in memory"), "{said}");
    host.stop();
    assert!(std::process::Command::new("umount").arg(&var).status().unwrap().success());
}
