//! UEFI firmware (OVMF), where distributions put it.

use crate::error::VmError;
use berth_contract::arch::Arch;
use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// A firmware's two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// Read-only code.
    pub code: PathBuf,
    /// Template of the variables; each machine gets a copy.
    pub vars: PathBuf,
}

impl Firmware {
    /// A copy of the variables that a machine may write to; the one that is there already, where `folder` is kept.
    pub(crate) fn own_vars(&self, folder: &Path) -> Result<PathBuf, VmError> {
        let vars = folder.join("vars.fd");
        if vars.exists() {
            return Ok(vars);
        }
        let io = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| VmError::Io { doing, path, source }
        };
        fs::copy(&self.vars, &vars).map_err(io("copy", &self.vars))?;
        fs::set_permissions(&vars, fs::Permissions::from_mode(0o600)).map_err(io("make writable", &vars))?;
        Ok(vars)
    }
}

/// Finds a firmware for `arch`; `code` and `vars` (the environment's `BERTH_OVMF_CODE`, `BERTH_OVMF_VARS`) decide where given.
///
/// # Errors
/// When there is none, with the places that were looked at.
pub fn find(arch: Arch, code: Option<OsString>, vars: Option<OsString>) -> Result<Firmware, VmError> {
    let mut places: Vec<(PathBuf, PathBuf)> =
        arch.qemu.firmware.iter().map(|(code, vars)| (PathBuf::from(code), PathBuf::from(vars))).collect();
    if let (Some(code), Some(vars)) = (code, vars) {
        places = vec![(code.into(), vars.into())];
    }
    first(&places, |path| path.is_file())
}

fn first(places: &[(PathBuf, PathBuf)], is_there: impl Fn(&Path) -> bool) -> Result<Firmware, VmError> {
    let found = places.iter().find(|(code, vars)| is_there(code) && is_there(vars));
    match found {
        Some((code, vars)) => Ok(Firmware { code: code.clone(), vars: vars.clone() }),
        None => Err(VmError::NoFirmware { looked: places.iter().map(|(code, _)| code.clone()).collect() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_firmware_is_an_error_with_places_and_hint() {
        let error = find(Arch::DEFAULT, Some("/no/code".into()), Some("/no/vars".into())).unwrap_err();
        assert!(error.to_string().contains("/no/code") && error.hint().unwrap().contains("ovmf"));
        let places = [("/a".into(), "/b".into()), ("/c".into(), "/d".into())];
        let found = first(&places, |path| path != Path::new("/b")).unwrap();
        assert_eq!(found.code, Path::new("/c"), "both files must be there");
    }
}
