//! Interests in triggers, deb-triggers(5).

use super::system::System;

/// Triggers, with the reason why the image does not need the script of the interested package.
const COVERED: &[(&str, &str)] = &[
    ("/etc/dbus-1/system.d", "a running bus reads its configuration"),
    ("/etc/rsyslog.d", "restarts of a service"),
    ("/lib/udev/hwdb.d", "hardware database of udev: optional"),
    ("/usr/lib/binfmt.d", "configuration of systemd: read at boot"),
    ("/usr/lib/sysctl.d", "read at boot"),
    ("/usr/lib/systemd/catalog", "index of journal messages: a cache"),
    ("/usr/lib/udev/hwdb.d", "hardware database of udev: optional"),
    ("/usr/lib32", "links for other architectures"),
    ("/usr/libo32", "links for other architectures"),
    ("/usr/libx32", "links for other architectures"),
    ("/usr/share/dbus-1/system-services", "a running bus reads its configuration"),
    ("/usr/share/dbus-1/system.d", "a running bus reads its configuration"),
    ("/usr/share/debianutils/shells.d", "the builder writes /etc/shells"),
    ("/usr/share/hunspell", "dictionaries of postgresql: links made by its own command"),
    ("/usr/share/man", "index of manual pages"),
    ("/usr/share/myspell/dicts", "dictionaries of postgresql: links made by its own command"),
    ("/usr/share/postgresql", "restarts of servers"),
    ("ldconfig", "the builder writes ld.so.cache"),
    ("libc-upgrade", "restarts of services"),
    ("nginx-reload", "restarts of a service"),
    ("update-ca-certificates", "the builder writes the bundle"),
    ("update-ca-certificates-fresh", "the builder writes the bundle"),
    ("update-initramfs", "the builder makes the initrd"),
];

/// Line number and text of the interests that are not covered. A trigger that is a path fires if another package ships a file
/// below the path.
pub(super) fn unknown(text: &str, system: &System<'_>) -> Vec<(usize, String)> {
    let interests = text.lines().enumerate().filter_map(|(index, line)| {
        let mut words = line.split_whitespace();
        let (directive, name) = (words.next()?, words.next()?);
        directive.starts_with("interest").then_some((index + 1, line, name))
    });
    let fires = |name: &str| !name.starts_with('/') || system.files.others_below(name, system.package);
    let unknown = interests.filter(|(_, _, name)| fires(name) && !COVERED.iter().any(|(known, _)| known == name));
    unknown.map(|(number, line, _)| (number, line.trim().to_owned())).collect()
}
