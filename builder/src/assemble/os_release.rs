//! os-release(5), for the root file system and for the UKI.

use berth_contract::{
    entry::KNOWS_STANDBY,
    version::{ImageId, OsVersion},
};

/// The text of `/usr/lib/os-release` and of the UKI section `.osrel`. `codename` is the codename of the Debian suite.
///
/// `ID` is the distribution, Berth. `ID_LIKE` is the distribution that its packages come from. systemd-boot shows `PRETTY_NAME`
/// as the title of the boot entry, and sorts entries by `IMAGE_ID` and `IMAGE_VERSION` (Boot Loader Specification, type 2).
#[must_use]
pub fn os_release(id: &ImageId, version: &OsVersion, codename: &str) -> String {
    let fields = [
        ("NAME", "Berth".to_owned()),
        ("ID", "berth".to_owned()),
        ("ID_LIKE", "debian".to_owned()),
        ("PRETTY_NAME", format!("Berth {id} {version}")),
        ("VERSION", format!("{version} ({codename})")),
        ("VERSION_ID", version.to_string()),
        ("VERSION_CODENAME", codename.to_owned()),
        ("IMAGE_ID", id.to_string()),
        ("IMAGE_VERSION", version.to_string()),
        (KNOWS_STANDBY.0, KNOWS_STANDBY.1.to_owned()),
    ];
    fields.iter().map(|(key, value)| format!("{key}={}\n", quoted(value))).collect()
}

/// Quotes a value as os-release(5) says: a value with anything but letters and digits gets quotes, and characters that are
/// special to a shell are escaped.
fn quoted(value: &str) -> String {
    if value.bytes().all(|c| c.is_ascii_alphanumeric()) {
        return value.to_owned();
    }
    let escaped: String =
        value.chars().flat_map(|c| "\"$\\`".contains(c).then_some('\\').into_iter().chain([c])).collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// os-release(5) allows shells to source the file.
    #[test]
    fn a_shell_reads_the_original_values() {
        let text = os_release(&"berth-docker".parse().unwrap(), &"2026.11.0~rc1^a".parse().unwrap(), "tri$x`ie\"\\");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("os-release");
        std::fs::write(&path, &text).unwrap();
        let script = ". \"$1\"; printf '%s|' \"$ID\" \"$IMAGE_ID\" \"$IMAGE_VERSION\" \"$PRETTY_NAME\" \"$VERSION_CODENAME\" \"$BERTH_STANDBY\"";
        let shell = Command::new("sh").args(["-euc", script, "sh"]).arg(&path).output().unwrap();
        assert!(shell.status.success());
        assert_eq!(
            String::from_utf8(shell.stdout).unwrap(),
            "berth|berth-docker|2026.11.0~rc1^a|Berth berth-docker 2026.11.0~rc1^a|tri$x`ie\"\\|1|"
        );
    }
}
