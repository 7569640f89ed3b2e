//! Maintainer scripts of Debian 13 that a person has reviewed, and what replaces them in the image.

/// The reviewed scripts. Each row has: package, script, digest of the lines that are left of the script, a short description of
/// what they do or why the image does not need them, and the lines of tmpfiles.d(5) that replace them.
///
/// To add a row: run a build. Its error shows the lines and their digest. Read the whole script and find out what these lines do
/// at a first installation.
#[rustfmt::skip]
const REVIEWED: &[Row] = &[
    row("base-files", "preinst", "91f6f6c08e3b7061", "checks the merged /usr, and protects its links, which the image has", &[]),
    row("base-files", "postinst", "0f04e0ac8b1a9f3d", "creates folders and first configuration files; folders of /usr/local for documentation and games are left out", &[
        "C /root/.profile 0644 root root - /usr/share/base-files/dot.profile",
        "C /root/.bashrc 0644 root root - /usr/share/base-files/dot.bashrc",
        "C /etc/profile 0644 root root - /usr/share/base-files/profile",
        "C /etc/motd 0644 root root - /usr/share/base-files/motd",
        "L /etc/dpkg/origins/default - - - - debian",
        "d /etc/opt 0755 root root -",
        "d /usr/local/bin 0755 root root -",
        "d /usr/local/etc 0755 root root -",
        "d /usr/local/lib 0755 root root -",
        "d /usr/local/sbin 0755 root root -",
        "d /usr/local/share 0755 root root -",
        "d /var/opt 0755 root root -",
        "d /var/mail 2775 root mail -",
        "L /var/spool/mail - - - - ../mail",
        "f /var/log/wtmp 0664 root utmp -",
        "f /var/log/btmp 0660 root utmp -",
        "f /var/log/lastlog 0664 root utmp -",
    ]),
    row("base-passwd", "preinst", "a9e1ac0f9d8146fe", "writes passwd and group: the builder does this from the master files", &[]),
    row("base-passwd", "postinst", "c867993d0ded0e9f", "writes passwd and group: the builder does this from the master files", &[
        "f /etc/subuid 0644 root root -",
        "f /etc/subgid 0644 root root -",
    ]),
    row("ca-certificates", "postinst", "cf20e660ad85c754", "lists and bundles the certificates: the builder bundles all of them", &[
        "d /usr/local/share/ca-certificates 0755 root root -",
    ]),
    row("dpkg", "postinst", "26c6cec42208cc92", "dpkg's database, and links of a /usr that is not merged: no package is installed on the host", &[]),
    row("initramfs-tools", "postinst", "183e1e6c4ec42a1e", "the builder makes the initrd", &[]),
    row("initramfs-tools-core", "postinst", "cd10b4a2f4c67562", "configuration of initramfs-tools: the builder makes the initrd", &[]),
    row("iproute2", "postinst", "6bf0ba20239c1c6e", "gives capabilities to ip if a debconf answer says so: the default answer is no", &[]),
    row("klibc-utils", "postinst", "fa6d4fa933006a23", "a link in the documentation, and a diversion of old versions", &[]),
    row("kmod", "postinst", "787aeee6ab0b993e", "an empty /etc/modules: the recipe names the modules", &[]),
    row("libc-bin", "postinst", "456bb96cc20e27bf", "creates the first nsswitch.conf; runs ldconfig: the builder writes ld.so.cache", &[
        "C /etc/nsswitch.conf 0644 root root - /usr/share/libc-bin/nsswitch.conf",
    ]),
    row("libc6", "preinst", "0d04ea62186ea05c", "checks the running kernel and old versions, and protects links that the image has", &[]),
    row("libc6", "postinst", "e7d7f1c9759c37b9", "restarts services after upgrades", &[]),
    row("libglib2.0-0t64", "preinst", "0ef74e1422831f7e", "removes a script of an old version", &[]),
    row("libgssapi-krb5-2", "postinst", "4b842ba3f37081e8", "moves a file of an old version", &[]),
    row("libpam-modules", "postinst", "8667b5cbe70a8587", "empty files that its modules read", &[
        "f /etc/security/opasswd 0600 root root -",
        "f /etc/environment 0644 root root -",
    ]),
    row("libpam0g", "postinst", "5006d50962b88c41", "restarts services after upgrades", &[]),
    row("libpython3.13-minimal", "postinst", "bb5a9662ca8bfed6", "an empty file that is the target of a link in the package", &[
        "f /etc/python3.13/sitecustomize.py 0644 root root - # Empty sitecustomize.py to avoid a dangling symlink\\n",
    ]),
    row("libreadline8t64", "preinst", "0c5d3e1106aef32f", "protects files of an old version that moved to /usr", &[]),
    row("libselinux1", "postinst", "1b9cd84657d1ef14", "removes a cache", &[]),
    row("libtirpc3t64", "preinst", "9d8ed5e6d27d33ec", "protects files of an old version that moved to /usr", &[]),
    row("libwrap0", "postinst", "4baa65109bbd7afa", "files that hold comments only", &[
        "f /etc/hosts.allow 0644 root root -",
        "f /etc/hosts.deny 0644 root root -",
    ]),
    row("libwtmpdb0", "postinst", "b24f375e260050bf", "a link to the log", &[
        "d /var/lib/wtmpdb 0755 root root -",
        "L /var/lib/wtmpdb/wtmp.db - - - - ../../log/wtmp.db",
    ]),
    row("linux-image-*", "preinst", "5bf499531b45fe16", "a marker file for its postinst; hooks of other packages for initrd and boot loader: the builder makes both", &[]),
    row("linux-image-*", "postinst", "2ca7da71caf8bf02", "depmod, links in /, hooks of other packages: the builder indexes modules and makes the UKI", &[]),
    row("login.defs", "postinst", "bd0837413169d6a0", "moves a file of an old version", &[]),
    row("netbase", "postinst", "6fffee7c7b7cd8e6", "creates the first /etc/hosts and /etc/networks", &[
        "f /etc/hosts 0644 root root - 127.0.0.1\\tlocalhost\\n::1\\t\\tlocalhost ip6-localhost ip6-loopback\\nff02::1\\t\\tip6-allnodes\\nff02::2\\t\\tip6-allrouters\\n",
        "f /etc/networks 0644 root root - default\\t\\t0.0.0.0\\nloopback\\t127.0.0.0\\nlink-local\\t169.254.0.0\\n",
    ]),
    row("nginx", "postinst", "58c158dd93e81a3f", "restarts the service", &[]),
    row("nginx-common", "preinst", "a9ca778ec3a8c969", "removes files of old versions", &[]),
    row("nginx-common", "postinst", "62a425b26948757a", "log files, the default site and its page", &[
        "d /var/log/nginx 0755 root adm -",
        "f /var/log/nginx/access.log 0640 www-data adm -",
        "f /var/log/nginx/error.log 0640 www-data adm -",
        "L /etc/nginx/sites-enabled/default - - - - /etc/nginx/sites-available/default",
        "d /var/www/html 0755 root root -",
        "L /var/www/html/index.nginx-debian.html - - - - /usr/share/nginx/html/index.html",
    ]),
    row("openssl", "postinst", "8b77b79f14af39bb", "a link that the package ships", &[]),
    row("passwd", "postinst", "c11ee0a352c28a1b", "creates group shadow and shadow passwords: every image has them", &[]),
    row("perl", "postinst", "25f15de0488e3edb", "removes an alternative of an old version", &[]),
    row("podman", "preinst", "c77e04dc051d7fd5", "removes files of an old version", &[]),
    row("podman", "postinst", "c77e04dc051d7fd5", "removes files of an old version", &[]),
    row("procps", "postinst", "02515d7907051e14", "sets kernel parameters: init does this at boot", &[]),
    row("python3", "preinst", "2e156788f56edfda", "removes files of an old version", &[]),
    row("python3", "postinst", "93698629d1e3f082", "configuration and hooks of the byte compiler: a cache", &[
        "f /etc/python3/debian_config 0644 root root - [DEFAULT]\\n# how to byte-compile (comma separated: standard, optimize)\\nbyte-compile = standard\\n",
    ]),
    row("python3.13", "postinst", "192a72038109b8da", "compiles its modules: a cache", &[]),
    row("python3.13-minimal", "preinst", "b99d8d6de5370818", "a marker file for its postinst", &[]),
    row("python3.13-minimal", "postinst", "a91f4f926d156b62", "compiles its modules: a cache; folders for local modules", &[
        "d /usr/local/lib/python3.13/dist-packages 0755 root root -",
        "f /etc/python3.13/sitecustomize.py 0644 root root - # Empty sitecustomize.py to avoid a dangling symlink\\n",
    ]),
    row("readline-common", "postinst", "00d0cb1acd1f16b5", "creates the first inputrc", &[
        "C /etc/inputrc 0644 root root - /usr/share/readline/inputrc",
    ]),
    row("systemd", "preinst", "7b698849b5fe0723", "checks the merged /usr", &[]),
    row("systemd", "postinst", "935e365660f6a4a6", "machine id: init makes it; an index of journal messages: a cache; restarts services", &[
        "d /var/log/journal 0755 root root -",
    ]),
    row("tzdata", "postinst", "53410dbb8cfad84e", "sets the time zone: UTC, unless an overlay has another one", &[
        "L /etc/localtime - - - - /usr/share/zoneinfo/Etc/UTC",
    ]),
    row("ucf", "preinst", "f6917dc057d539f6", "rotates its records at upgrades", &[]),
    row("ucf", "postinst", "a5c432a764a27f27", "its records: no package is configured on the host", &[]),
    row("udev", "preinst", "c958f5c4e12e2584", "checks the merged /usr", &[]),
    row("udev", "postinst", "b356e0c8490fef41", "compiles the hardware database: optional", &[]),
    row("vim-common", "postinst", "e2743c7a55e91d96", "a cache of icons", &[]),
    row("vim-runtime", "preinst", "a10c66fd0d0245a3", "moves files of vim-tiny: an image with both packages is an error that names both", &[]),
    row("vim-runtime", "postinst", "80853be8200e0d53", "an index of add-ons' help", &[]),
];

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
