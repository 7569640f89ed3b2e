//! Finds the UEFI firmware (OVMF) that the distribution has installed.

use crate::error::VmError;
use berth_contract::arch::Arch;
use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The two files of a firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// File with the code, which is read only.
    pub code: PathBuf,
    /// File with the template of the variables. Each machine gets a copy.
    pub vars: PathBuf,
}

/// Copies `template` to `vars`, which a machine may write to. If `vars` exists, it stays unchanged.
pub(crate) fn own_vars(template: &Path, vars: &Path) -> Result<(), VmError> {
    if vars.exists() {
        return Ok(());
    }
    let io = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| VmError::Io { doing, path, source }
    };
    fs::copy(template, vars).map_err(io("copy", template))?;
    fs::set_permissions(vars, fs::Permissions::from_mode(0o600)).map_err(io("make writable", vars))
}

/// Finds a firmware for `arch`. If both `code` and `vars` are given, only these files are tried. They are the values of the environment
/// variables `BERTH_OVMF_CODE` and `BERTH_OVMF_VARS`.
///
/// # Errors
/// If no firmware is found. The error lists the paths that were searched.
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
    fn a_missing_firmware_is_an_error_with_paths_and_hint() {
        let error = find(Arch::DEFAULT, Some("/no/code".into()), Some("/no/vars".into())).unwrap_err();
        assert!(error.to_string().contains("/no/code") && error.hint().unwrap().contains("ovmf"));
        let places = [("/a".into(), "/b".into()), ("/c".into(), "/d".into())];
        let found = first(&places, |path| path != Path::new("/b")).unwrap();
        assert_eq!(found.code, Path::new("/c"), "both files must be there");
    }
}
