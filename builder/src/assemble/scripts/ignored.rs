//! Commands that have no effect which the image needs.

/// Commands, with the reason.
const IGNORED: &[(&str, &str)] = &[
    (":", "nothing"),
    ("add-shell", "the builder writes /etc/shells"),
    ("apparmor_parser", "loads profiles into the running kernel"),
    ("cd", "relative paths are not followed"),
    ("db_beginblock", "debconf"),
    ("db_capb", "debconf"),
    ("db_endblock", "debconf"),
    ("db_fget", "debconf"),
    ("db_fset", "debconf"),
    ("db_get", "debconf: the default answer is used"),
    ("db_go", "debconf"),
    ("db_input", "debconf: no question is asked"),
    ("db_metaget", "debconf"),
    ("db_progress", "debconf"),
    ("db_purge", "debconf"),
    ("db_register", "debconf"),
    ("db_reset", "debconf"),
    ("db_set", "debconf"),
    ("db_settitle", "debconf"),
    ("db_stop", "debconf"),
    ("db_subst", "debconf"),
    ("db_title", "debconf"),
    ("db_unregister", "debconf"),
    ("db_version", "debconf"),
    ("dbus-send", "asks a running bus to read its configuration"),
    ("dbus-uuidgen", "dbus reads /etc/machine-id, which init makes"),
    ("deb-systemd-helper", "units of systemd: services are declared in usr/lib/berth/services"),
    ("deb-systemd-invoke", "starts and stops services"),
    ("depmod", "the builder indexes the kernel's modules"),
    ("dpkg-maintscript-helper", "renames configuration files at upgrades"),
    ("dpkg-trigger", "triggers take effect in the package that declares an interest: see triggers.rs"),
    ("echo", "prints text"),
    ("export", "environment of the script"),
    ("false", "nothing"),
    ("fc-cache", "a cache of fonts"),
    ("gio-querymodules", "modules of other packages: see triggers.rs"),
    ("glib-compile-schemas", "settings of other packages: see triggers.rs"),
    ("gtk-update-icon-cache", "a cache of icons"),
    ("install-info", "index of info pages"),
    ("invoke-rc.d", "starts and stops services"),
    ("journalctl", "an index of journal messages: a cache"),
    ("ldconfig", "the builder writes ld.so.cache"),
    ("linux-run-hooks", "hooks of other packages for initrd and boot loader: the builder makes both"),
    ("linux-update-symlinks", "links in / to the newest kernel: the kernel is in the UKI"),
    ("local", "variables of a function"),
    ("logger", "prints text"),
    ("mandb", "index of manual pages"),
    ("mktemp", "a temporary file"),
    ("modprobe", "loads a module into the running kernel"),
    ("pam-auth-update", "the builder writes /etc/pam.d/common-*"),
    ("printf", "prints text"),
    ("py3clean", "compiled Python modules: a cache"),
    ("py3compile", "compiled Python modules: a cache"),
    ("pypy3compile", "compiled Python modules: a cache"),
    ("read", "sets variables"),
    ("restorecon", "labels of SELinux: images have none"),
    ("service", "starts and stops services"),
    ("set", "options of the shell"),
    ("shadowconfig", "every image has shadow passwords"),
    ("sleep", "waits"),
    ("start-stop-daemon", "starts and stops services"),
    ("sync", "writes caches to the disk"),
    ("sysctl", "init sets kernel parameters at boot"),
    ("systemctl", "units of systemd"),
    ("systemd-hwdb", "the hardware database of udev: optional"),
    ("systemd-machine-id-setup", "init makes the machine id"),
    ("systemd-sysusers", "the builder applies sysusers.d"),
    ("systemd-tmpfiles", "the builder and init apply tmpfiles.d"),
    ("trap", "reactions to signals"),
    ("true", "nothing"),
    ("ucfr", "records which package owns a configuration file"),
    ("udevadm", "sends events to a running udev"),
    ("unset", "variables of the script"),
    ("update-ca-certificates", "the builder writes the bundle"),
    ("update-desktop-database", "an index of desktop files"),
    ("update-grub", "the builder makes the boot entry"),
    ("update-grub2", "the builder makes the boot entry"),
    ("update-initramfs", "the builder makes the initrd"),
    ("update-mime-database", "an index of file types"),
    ("update-rc.d", "scripts of sysvinit"),
    ("update-shells", "the builder writes /etc/shells"),
    ("vgcfgbackup", "a copy of the metadata of volume groups of the running system"),
];

/// Whether the command has no effect which the image needs. A name with a folder counts as the name alone.
pub(super) fn is_ignored(name: &str) -> bool {
    let system = ["/usr/", "/bin/", "/sbin/", "/lib/"].iter().any(|folder| name.starts_with(folder));
    let name = name.trim_matches('"');
    let name = if system || name.starts_with("/usr/") { name.rsplit('/').next().unwrap_or(name) } else { name };
    IGNORED.iter().any(|(known, _)| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_found_with_their_folder() {
        assert!(IGNORED.is_sorted_by_key(|(name, _)| *name));
        assert!(is_ignored("/bin/systemctl") && is_ignored("ldconfig") && !is_ignored("/opt/bin/ldconfig"));
    }
}
