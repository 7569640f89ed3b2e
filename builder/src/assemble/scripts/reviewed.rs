//! Maintainer scripts of Debian 13 that a person has reviewed, and what replaces them in the image.

/// The reviewed scripts. Each row has: package, script, digest of the lines that are left of the script, a short description of
/// what they do or why the image does not need them, and the lines of tmpfiles.d(5) that replace them.
///
/// To add a row: run a build. Its error shows the lines and their digest. Read the whole script and find out what these lines do
/// at a first installation.
#[rustfmt::skip]
const REVIEWED: &[Row] = &[
    row("apparmor", "postinst", "2258c4d0aca96e3f", "loads profiles into the running kernel", &[]),
    row("at", "postinst", "f1f0faa157e1cd96", "a counter, at its start value", &[
        "f /var/spool/cron/atjobs/.SEQ 0600 daemon daemon - 0\\n",
    ]),
    row("auditd", "postinst", "ac799fbbd6ba6d83", "compiles the rules of the package: they are one file", &[
        "C /etc/audit/audit.rules 0640 root root - /etc/audit/rules.d/audit.rules",
    ]),
    row("base-files", "preinst", "060e7683e21936c1", "checks the merged /usr, and protects its links, which the image has", &[]),
    row("ca-certificates", "postinst", "ef71c5f0eaa69476", "lists and bundles the certificates: the builder bundles all of them", &[
        "d /usr/local/share/ca-certificates 0755 root root -",
    ]),
    row("chrony", "postinst", "2ddc36afa81bf3e9", "owners of its folders and keys: its default configuration names no user", &[
        "z /var/lib/chrony 0750 _chrony _chrony -",
        "z /var/log/chrony 0750 _chrony _chrony -",
        "z /etc/chrony/chrony.keys 0640 root _chrony -",
    ]),
    row("cloud-init", "postinst", "8986a4cb40a2e446", "preseeded answers of debconf: an image has none", &[]),
    row("dpkg", "postinst", "e5474e56ab7025ef", "dpkg's database, and links of a /usr that is not merged: no package is installed on the host", &[]),
    row("initramfs-tools-core", "postinst", "69cce79fded8a9f0", "configuration of initramfs-tools: the builder makes the initrd", &[]),
    row("iproute2", "postinst", "8b7971bed0496b9d", "gives capabilities to ip if a debconf answer says so: the default answer is no", &[]),
    row("libc6", "preinst", "96015dd22a16e435", "checks the running kernel and old versions, and protects links that the image has", &[]),
    row("libc6", "preinst", "3e649ace832bfa55", "checks the running kernel and old versions, and protects links that the image has", &[]),
    row("libglib2.0-0t64", "preinst", "0ef74e1422831f7e", "removes a script of an old version", &[]),
    row("locales", "postinst", "d2ccc5018f379d10", "generates no locale by default: C.UTF-8 is in libc-bin; first configuration files", &[
        "f /etc/locale.conf 0644 root root -",
        "L /etc/default/locale - - - - ../locale.conf",
        "f /etc/locale.gen 0644 root root -",
    ]),
    row("man-db", "postinst", "ec1f1790f1680b93", "an index of manual pages", &[]),
    row("mariadb-common", "postinst", "a0f513d61c3bdd92", "the alternative that it declares, and links for other servers of the same protocol", &[
        "L /etc/mysql/my.cnf - - - - /etc/alternatives/my.cnf",
        "L /etc/alternatives/my.cnf - - - - /etc/mysql/mariadb.cnf",
    ]),
    row("mdadm", "postinst", "81e3d6de899c6072", "its configuration with the default answers", &[
        "f /etc/mdadm/mdadm.conf 0644 root root - HOMEHOST <system>\\nMAILADDR root\\n",
        "f /etc/default/mdadm 0644 root root - AUTOCHECK=true\\nAUTOSCAN=true\\nSTART_DAEMON=true\\nDAEMON_OPTIONS=\"--syslog\"\\nVERBOSE=false\\n",
    ]),
    row("open-iscsi", "postinst", "2a1926840cb5782a", "a name that each host must have for itself: see HOST_TASKS", &[]),
    row("openssh-server", "postinst", "3b448223301effe6", "keys that each host must have for itself: see HOST_TASKS", &[]),
    row("openvpn", "postinst", "393d3e04b4e3abd7", "process ids of a running system", &[]),
    row("passwd", "postinst", "b47545119c2f6c1c", "creates group shadow and shadow passwords: every image has them", &[]),
    row("postgresql", "postinst", "400dc26255e89934", "upgrades clusters of an old version", &[]),
    row("postgresql-17", "postinst", "b1524a8f29acb0fd", "the first database cluster: see HOST_TASKS", &[]),
    row("postgresql-client-17", "postinst", "af9b3067d18a0644", "alternatives of manual pages", &[]),
    row("postgresql-common", "postinst", "118ad41e62276e86", "the owner of its folder, and settings for new clusters with the default answers", &[
        "z /var/lib/postgresql 0755 postgres postgres -",
        "C /etc/postgresql-common/createcluster.conf 0644 root root - /usr/share/postgresql-common/createcluster.conf",
    ]),
    row("python3.13", "postinst", "192a72038109b8da", "compiles its modules: a cache", &[]),
    row("python3.13-minimal", "postinst", "b1ed2fda10bd97a4", "compiles its modules: a cache; folders for local modules", &[
        "d /usr/local/lib/python3.13/dist-packages 0755 root root -",
        "f /etc/python3.13/sitecustomize.py 0644 root root - # Empty sitecustomize.py to avoid a dangling symlink\\n",
    ]),
    row("redis-server", "postinst", "5fdcc9fcf9ca3032", "removes empty folders of old versions", &[]),
    row("smartmontools", "postinst", "d954dd2fd349d2a9", "its database of drives", &[
        "d /var/lib/smartmontools/drivedb 0755 root root -",
        "C /var/lib/smartmontools/drivedb/drivedb.h 0644 root root - /usr/share/smartmontools/drivedb.h",
    ]),
    row("ssl-cert", "postinst", "ad66babd9c963c18", "a key that each host must have for itself: see HOST_TASKS", &[]),
    row("sssd-common", "preinst", "170ffa54f8778e1d", "a profile for a kernel that loads profiles", &[]),
    row("systemd", "preinst", "5e6d6114fbe3f9e8", "checks the merged /usr", &[]),
    row("tzdata", "postinst", "50e7481b3d1f0242", "sets the time zone: UTC, unless an overlay has another one", &[
        "L /etc/localtime - - - - /usr/share/zoneinfo/Etc/UTC",
    ]),
    row("ucf", "preinst", "6528b6b2abc6e2f4", "rotates its records at upgrades", &[]),
    row("udev", "preinst", "5e6d6114fbe3f9e8", "checks the merged /usr", &[]),
    row("vim-runtime", "postinst", "28eccd4bf242a9ec", "an index of add-ons' help", &[]),
    row("xz-utils", "postinst", "7fe2b9c7e4c62ee6", "alternatives of lzma, which have no other choice", &[
        "L /usr/bin/lzma - - - - /etc/alternatives/lzma",
        "L /etc/alternatives/lzma - - - - /usr/bin/xz",
        "L /usr/bin/unlzma - - - - /etc/alternatives/unlzma",
        "L /etc/alternatives/unlzma - - - - /usr/bin/unxz",
        "L /usr/bin/lzcat - - - - /etc/alternatives/lzcat",
        "L /etc/alternatives/lzcat - - - - /usr/bin/xzcat",
        "L /usr/bin/lzmore - - - - /etc/alternatives/lzmore",
        "L /etc/alternatives/lzmore - - - - /usr/bin/xzmore",
        "L /usr/bin/lzless - - - - /etc/alternatives/lzless",
        "L /etc/alternatives/lzless - - - - /usr/bin/xzless",
        "L /usr/bin/lzdiff - - - - /etc/alternatives/lzdiff",
        "L /etc/alternatives/lzdiff - - - - /usr/bin/xzdiff",
        "L /usr/bin/lzcmp - - - - /etc/alternatives/lzcmp",
        "L /etc/alternatives/lzcmp - - - - /usr/bin/xzcmp",
        "L /usr/bin/lzgrep - - - - /etc/alternatives/lzgrep",
        "L /etc/alternatives/lzgrep - - - - /usr/bin/xzgrep",
        "L /usr/bin/lzegrep - - - - /etc/alternatives/lzegrep",
        "L /etc/alternatives/lzegrep - - - - /usr/bin/xzegrep",
        "L /usr/bin/lzfgrep - - - - /etc/alternatives/lzfgrep",
        "L /etc/alternatives/lzfgrep - - - - /usr/bin/xzfgrep",
    ]),
    row("zfsutils-linux", "postinst", "d33dd961174dcf1f", "an id that each host must have for itself: see HOST_TASKS; loads a module", &[]),
];

/// Tasks of scripts that each host must do itself: their result differs from host to host, or they belong to the boot. The build shows them
/// as warnings. A `*` at the start of a name matches any beginning.
#[rustfmt::skip]
const HOST_TASKS: &[(&str, &str)] = &[
    ("*-microcode", "the initrd has no microcode: the firmware of the computer must load it"),
    ("open-iscsi", "the host must write InitiatorName= to /etc/iscsi/initiatorname.iscsi before iscsid starts, with a name of its own (iscsi-iname)"),
    ("openssh-server", "the host must make its host keys (ssh-keygen) before sshd starts: put them into /var, and HostKey lines into /etc/ssh/sshd_config.d of an overlay"),
    ("postgresql-17", "the host must make its first database cluster (pg_createcluster 17 main), whose files are in /var"),
    ("ssl-cert", "the host must make its self-signed certificate (make-ssl-cert generate-default-snakeoil)"),
    ("zfsutils-linux", "the host must make its /etc/hostid (zgenhostid) before pools are imported"),
];

/// The task that each host must do for this package, if there is one.
pub(super) fn host_task(package: &str) -> Option<&'static str> {
    let matches = |name: &str| match name.strip_prefix('*') {
        Some(end) => package.ends_with(end),
        None => name == package,
    };
    HOST_TASKS.iter().find(|(name, _)| matches(name)).map(|(_, task)| *task)
}

/// A reviewed script.
#[derive(Debug)]
pub(super) struct Row {
    /// Name of the package. A `*` at the end matches any suffix.
    package: &'static str,
    /// `preinst` or `postinst`.
    script: &'static str,
    /// Start of the digest of the lines that were left when the script was reviewed.
    pub(super) left: &'static str,
    /// Lines of tmpfiles.d(5) that replace the script.
    pub(super) tmpfiles: &'static [&'static str],
}

/// A row. `why` is only for readers of the table.
const fn row(
    package: &'static str,
    script: &'static str,
    left: &'static str,
    why: &'static str,
    tmpfiles: &'static [&'static str],
) -> Row {
    assert!(!why.is_empty(), "a row needs a reason");
    Row { package, script, left, tmpfiles }
}

/// The rows of a script.
pub(super) fn rows(package: &str, script: &str) -> Vec<&'static Row> {
    let matches = |row: &&Row| match row.package.strip_suffix('*') {
        Some(start) => package.starts_with(start),
        None => package == row.package,
    };
    REVIEWED.iter().filter(|row| row.script == script).filter(matches).collect()
}
