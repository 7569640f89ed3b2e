//! Blocks that debhelper's tools add to scripts. They start with `# Automatically added by dh_NAME/VERSION`.

use super::line::{Line, lines};

/// Tools whose blocks the image does not need, with the reason. Blocks of other tools, like `dh_installalternatives`, are parsed
/// like the rest of the script.
const COVERED: &[(&str, &str)] = &[
    ("dh_installdeb", "dpkg-maintscript-helper: renames configuration files at upgrades"),
    ("dh_installdebconf", "answers of debconf: no question is asked"),
    ("dh_installinfo", "index of info pages"),
    ("dh_installinit", "scripts of sysvinit: services are declared in usr/lib/berth/services"),
    ("dh_installinitramfs", "the builder makes the initrd"),
    ("dh_installman", "index of manual pages"),
    ("dh_installmenu", "menus of window managers"),
    ("dh_installmodules", "the builder indexes the kernel's modules"),
    ("dh_installsystemd", "units of systemd: services are declared in usr/lib/berth/services"),
    ("dh_installsystemduser", "units of systemd's user instances"),
    ("dh_installsysusers", "the builder applies sysusers.d"),
    ("dh_installtmpfiles", "the builder and init apply tmpfiles.d"),
    ("dh_installudev", "moves udev rules: at upgrades only"),
    ("dh_makeshlibs", "the builder writes ld.so.cache"),
    ("dh_python3", "compiles Python's modules: a cache"),
    ("dh_runit", "services of runit"),
    ("dh_systemd_enable", "units of systemd"),
    ("dh_systemd_start", "units of systemd"),
    ("dh_usrlocal", "folders below /usr/local"),
];

/// The lines of the script outside the covered blocks.
pub(super) fn own_lines(script: &str) -> Vec<Line> {
    let mut own = String::with_capacity(script.len());
    let mut inside = false;
    for line in script.lines() {
        let text = line.trim();
        if let Some(tool) = text.strip_prefix("# Automatically added by ") {
            let tool = tool.split(['/', ' ']).next().unwrap_or_default();
            inside = COVERED.iter().any(|(name, _)| *name == tool);
        } else if text == "# End automatically added section" {
            inside = false;
        } else if !inside {
            own.push_str(line);
        }
        // An empty line for each removed line, so that line numbers do not change.
        own.push('\n');
    }
    // A block without an end would hide the rest of the script, so no block is removed.
    lines(if inside { script } else { &own })
}
