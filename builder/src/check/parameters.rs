//! Lines of sysctl.d(5) that the host would skip.

use super::finding::{CheckError, Finding, Topic};
use crate::tree::{Show, Tree};
use berth_formats::sysctl::Setting;

/// Checks all lines. Those in files of packages are returned as warnings: only systemd knows some of them.
///
/// # Errors
/// A file cannot be read.
pub(super) fn check(tree: &Tree) -> Result<(Vec<Finding>, Vec<String>), CheckError> {
    let (mut findings, mut warnings) = (Vec::new(), Vec::new());
    for folder in ["etc/sysctl.d", "usr/lib/sysctl.d"] {
        for (name, path, node) in tree.children(folder.as_bytes()) {
            let Some(data) = tree.data(path).filter(|_| name.ends_with(b".conf")) else { continue };
            let read =
                |source| CheckError::Read { path: Show(path).to_string(), origin: node.origin.to_string(), source };
            let bytes = data.to_bytes().map_err(read)?;
            for (at, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
                let Err(error) = Setting::parse(line) else { continue };
                let fault = format!("line {}: {:?}: {error}", at + 1, line.trim());
                let fix = "correct the line".to_owned();
                let finding = Finding { topic: Topic::Parameters, fault, places: vec![path.clone()], fix };
                if node.origin.starts_with("package ") {
                    warnings.push(format!("{}: {}: the host skips this line", Show(path), finding.fault));
                } else {
                    findings.push(finding);
                }
            }
        }
    }
    Ok((findings, warnings))
}
