//! Tests of the requests to the boot loader.

use super::*;
use std::fs;

const GUID: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

#[test]
fn the_newest_other_blessed_version_of_the_same_image_is_requested() {
    let other = |selected: &str, names: &[&str]| {
        let names: Vec<BootEntry> = names.iter().map(|name| name.parse().unwrap()).collect();
        other(selected, &names).map(|entry| entry.to_string())
    };
    for (selected, names, expected) in [
        ("a_2.efi", &["a_1.efi", "a_2.efi"][..], Some("a_1.efi")),
        ("a_1.efi", &["a_1.efi", "a_2.efi"], Some("a_2.efi")),
        ("a_11.efi", &["a_9.efi", "a_10.efi", "a_11.efi", "a_8.efi"], Some("a_10.efi")),
        ("a_2-rc1.efi", &["a_2-RC1.efi"], None),
        ("a_2.efi", &["a_2.efi", "a_1+3.efi", "a_3+0-3.efi", "a_4+0.efi", "b_1.efi"], None),
        ("memtest.efi", &["a_1.efi"], None),
        ("a_2.efi", &[], None),
    ] {
        assert_eq!(other(selected, names).as_deref(), expected, "{selected} of {names:?}");
    }
}

/// A folder with the variables of the boot loader.
fn efivars(variables: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in variables {
        variable::write(&dir.path().join(format!("{name}-{GUID}")), &variable::utf16(text)).unwrap();
    }
    dir
}

#[test]
fn a_shutdown_waits_for_the_variables_but_not_for_ever() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (done, end) = std::sync::mpsc::channel();
    beside(move || {
        let _ = held.recv();
        thread::sleep(Duration::from_millis(50));
        done.send(()).unwrap();
    })
    .unwrap();
    wait(Duration::from_millis(20));
    assert!(end.try_recv().is_err());
    drop(release);
    wait(Duration::from_secs(60));
    assert!(end.try_recv().is_ok());
}

#[test]
fn the_option_that_has_started_this_version_stays() {
    let dir = tempfile::tempdir().unwrap();
    boot_option::tests::started_by_ours(dir.path());
    let before = boot_option::tests::order(dir.path());
    let entries = ["a_1.efi", "a_2.efi"].map(|name| name.parse().unwrap());
    let partition = boot_option::tests::esp();
    let esp = Esp { partition, device: PathBuf::new(), entries: entries.to_vec() };
    set_boot_option(dir.path(), &"a".parse().unwrap(), &"1".parse().unwrap(), &esp).unwrap();
    assert_eq!(boot_option::tests::order(dir.path()), before);
}

#[test]
fn the_initrd_requests_the_other_blessed_version_unless_the_boot_loader_takes_it_anyway() {
    let blessed = ("LoaderEntrySelected", "a_2-RC.efi");
    let trial = [("LoaderEntrySelected", "a_2+2-1.efi"), ("LoaderBootCountPath", "\\EFI\\Linux\\a_2+2-1.efi")];
    let default = |name: &'static str| ("LoaderEntryDefault", name);
    let fallback = |name: &str| NextBoot::Fallback(name.parse().unwrap());
    let instead_of = |name: &str| NextBoot::InsteadOf(name.parse().unwrap());
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], NextBoot, Option<&'a str>);
    let rows: [Row; 15] = [
        (&[blessed], &["a_1.efi", "a_2-RC.efi"], fallback("a_1.efi"), Some("a_1.efi")),
        (&[("LoaderEntrySelected", "a_2-rc.efi")], &["a_1.efi", "a_2-RC.efi"], fallback("a_1.efi"), Some("a_1.efi")),
        // The other version is not blessed, or there is none.
        (&[blessed], &["a_1+0.efi", "a_2-RC.efi"], NextBoot::Usual, None),
        (&[blessed], &["a_2-RC.efi", "b_1.efi"], NextBoot::Usual, None),
        (&[blessed], &["a_3+3.efi", "a_2-RC.efi"], NextBoot::Usual, None),
        // On trial: the counter falls.
        (&trial, &["a_1.efi", "a_2+2-1.efi"], NextBoot::Usual, None),
        // The boot loader has not said what it took, for example because the firmware has started the entry itself.
        (&[], &["a_1.efi", "a_2.efi"], NextBoot::Usual, None),
        // This boot replaces version 2. The next boot tries version 2 again.
        (&[("LoaderEntrySelected", "a_1.efi")], &["a_1.efi", "a_2.efi"], instead_of("a_2.efi"), None),
        // After a rollback the older version is the usual one.
        (&[("LoaderEntrySelected", "a_1.efi")], &["a_1.efi", "a_2+0.efi"], NextBoot::Usual, None),
        // The other version is the standby entry: nothing needs to be written.
        (&[blessed, default("a_1.efi")], &["a_1.efi", "a_2-RC.efi"], fallback("a_1.efi"), None),
        // The boot loader could not remove its variable, or the default names an entry that does not exist or is of another image.
        (
            &[blessed, default("a_1.efi"), ("LoaderEntryOneShot", "a_*.efi")],
            &["a_1.efi", "a_2-RC.efi"],
            fallback("a_1.efi"),
            Some("a_1.efi"),
        ),
        (&[blessed, default("a_0.efi")], &["a_1.efi", "a_2-RC.efi"], fallback("a_1.efi"), Some("a_1.efi")),
        (&[blessed, default("b_1.efi")], &["a_1.efi", "a_2-RC.efi"], fallback("a_1.efi"), Some("a_1.efi")),
        // This boot replaces version 2, and is the standby entry.
        (
            &[("LoaderEntrySelected", "a_1.efi"), default("a_1.efi")],
            &["a_1.efi", "a_2.efi"],
            instead_of("a_2.efi"),
            Some("a_*.efi"),
        ),
        // On trial, installed while the standby entry ran: the version keeps its tries.
        (&[trial[0], trial[1], default("a_1.efi")], &["a_1.efi", "a_2+2-1.efi"], NextBoot::Usual, Some("a_*.efi")),
    ];
    for (variables, entries, expected, request) in rows {
        let dir = efivars(variables);
        let parsed = entries.iter().map(|name| name.parse().unwrap()).collect();
        let armed = arm_in(dir.path(), || Ok(()), || Ok(parsed)).unwrap();
        assert_eq!(armed, expected, "{variables:?} {entries:?}");
        let one_shot = fs::read(dir.path().join(format!("LoaderEntryOneShot-{GUID}"))).ok();
        let request = request.map(variable::utf16);
        // A plain file does not become shorter.
        let found = one_shot.as_ref().map(|bytes| &bytes[4..][..request.as_ref().map_or(0, Vec::len)]);
        assert_eq!(found, request.as_deref(), "{variables:?} {entries:?}");
    }
}

#[test]
fn the_end_of_a_trial_takes_the_request_back() {
    let settlement = |disarm| Settlement { id: "a".parse().unwrap(), disarm, healthy: None };
    for (default, disarm, before, after) in [
        (None, true, Some("a_1.efi"), None),
        (None, false, Some("a_1.efi"), Some("a_1.efi")),
        (Some("a_1.efi"), true, None, Some("a_*.efi")),
        (Some("a_1.efi"), false, None, Some("a_*.efi")),
        (Some("a_1.efi"), true, Some("a_1.efi"), Some("a_*.efi")),
        (Some("other.efi"), true, Some("a_1.efi"), None),
    ] {
        let variables: Vec<_> = default.map(|name| ("LoaderEntryDefault", name)).into_iter().collect();
        let dir = efivars(&variables);
        let one_shot = standby::one_shot_path(dir.path());
        if let Some(before) = before {
            variable::write(&one_shot, &variable::utf16(before)).unwrap();
        }
        assert_eq!(change(dir.path(), &settlement(disarm)).unwrap(), None);
        assert_eq!(counter::read_text(&one_shot).unwrap().as_deref(), after, "{default:?} {disarm} {before:?}");
        assert_eq!(standby::within(dir.path(), paths::LOADER_ENTRY_DEFAULT).exists(), default.is_some());
    }
}

#[test]
fn a_healthy_host_takes_the_request_back_even_if_its_disk_or_the_default_cannot_be_read() {
    let gone = "/no/disk".to_owned();
    let settlement = Settlement { id: "a".parse().unwrap(), disarm: true, healthy: Some(("2".parse().unwrap(), gone)) };
    for (default, after) in [(None, None), (Some("a_1.efi"), Some("a_*.efi")), (Some(""), None)] {
        let variables: Vec<_> = default.map(|name| ("LoaderEntryDefault", name)).into_iter().collect();
        let dir = efivars(&variables);
        let one_shot = standby::one_shot_path(dir.path());
        variable::write(&one_shot, &variable::utf16("a_1.efi")).unwrap();
        change(dir.path(), &settlement).unwrap_err();
        assert_eq!(counter::read_text(&one_shot).unwrap().as_deref(), after, "{default:?}");
    }
}

#[test]
fn another_version_is_requested_only_when_this_version_is_not_on_trial() {
    berth_judge::needs!("mkfs.fat", "mmd", "mcopy");
    let dir = tempfile::tempdir().unwrap();
    let efivars = dir.path();
    let esp = efivars.join("esp");
    super::esp::tests::esp(&esp, &["a_1.efi", "a_2.efi"]);
    let ask = || ask(efivars, || Ok(super::esp::entries(&esp)?)).unwrap().map(|entry| entry.to_string());
    let file = |name: &str| efivars.join(format!("{name}-{GUID}"));
    let set = |name: &str, text: &str| variable::write(&file(name), &variable::utf16(text)).unwrap();
    assert_eq!(ask(), None, "no variable of the boot loader");
    set("LoaderEntrySelected", "a_2.efi");
    set("LoaderBootCountPath", "\\EFI\\Linux\\a_2+2-1.efi");
    assert_eq!(ask(), None, "on trial: the boot uses a try");
    assert!(!file("LoaderEntryOneShot").exists());
    fs::remove_file(file("LoaderBootCountPath")).unwrap();
    assert_eq!(ask().as_deref(), Some("a_1.efi"));
    assert_eq!(fs::read(file("LoaderEntryOneShot")).unwrap(), b"\x07\0\0\0a\0_\x001\0.\0e\0f\0i\0\0\0");
}
