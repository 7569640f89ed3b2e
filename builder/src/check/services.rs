//! Service files, with the code that the host uses, and their programs.

use super::{
    content::Contents,
    finding::{CheckError, Finding, Topic},
    program,
};
use crate::tree::{Kind, Show, Tree, TreePath};
use berth_contract::{
    paths::SERVICES,
    service::ServiceSpec,
    service_set::{self, Specs},
};
use std::collections::BTreeMap;

/// Checks all service files.
///
/// # Errors
/// A file cannot be read.
pub(super) fn check(tree: &Tree, contents: &Contents) -> Result<Vec<Finding>, CheckError> {
    let folder = SERVICES.trim_start_matches('/').as_bytes();
    let (mut specs, mut paths, mut findings) = (Specs::new(), BTreeMap::new(), Vec::new());
    let finding = |fault: String, path: &TreePath, fix: &str| Finding {
        topic: Topic::Services,
        fault,
        places: vec![path.clone()],
        fix: fix.to_owned(),
    };
    const CORRECT: &str = "correct the service file (docs/recipe.md lists its keys)";
    for (file, path, node) in tree.children(folder) {
        let Some(name) = file.strip_suffix(b".toml").map(String::from_utf8_lossy) else { continue };
        if matches!(node.kind, Kind::Directory) {
            continue;
        }
        let data = tree.data(path).ok_or(None);
        let text = data.and_then(|data| data.to_bytes().map_err(Some)).map_err(|source| CheckError::Read {
            path: Show(path).to_string(),
            origin: node.origin.to_string(),
            source: source.unwrap_or_else(|| std::io::ErrorKind::NotFound.into()),
        })?;
        match parse(&name, &text) {
            Ok(spec) => {
                specs.insert(name.to_string(), spec);
                paths.insert(name.to_string(), path);
            }
            Err(why) => findings.push(finding(format!("service {name}: {why}"), path, CORRECT)),
        }
    }
    for (name, spec) in &specs {
        let Some(program) = spec.exec.first() else { continue };
        if let (Err(why), Some(path)) = (program::check(tree, contents, program), paths.get(name)) {
            let fix = "add the program to the image (debian.packages, overlays), make it executable, or correct exec";
            findings.push(finding(format!("service {name}: its program {program} {why}"), path, fix));
        }
    }
    for fault in service_set::leave_out_impossible(&mut specs) {
        if let Some(path) = paths.get(fault.service()) {
            findings.push(finding(fault.to_string(), path, "correct needs, or add the service that it names"));
        }
    }
    Ok(findings)
}

fn parse(name: &str, bytes: &[u8]) -> Result<ServiceSpec, String> {
    if !service_set::is_name(name) {
        return Err(service_set::NAME_RULE.to_owned());
    }
    if bytes.len() as u64 > service_set::MAX_SIZE {
        return Err(format!("expected {} bytes at most, found {}", service_set::MAX_SIZE, bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let spec: ServiceSpec = berth_settings::parse(text).map_err(|fault| fault.to_string())?;
    spec.check()?;
    Ok(spec)
}
