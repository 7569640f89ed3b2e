//! Reads environment variables, the clock, and the path of this program. Other modules get these values as arguments.

use crate::report::Advised;
use anyhow::{Context, Result, anyhow};
use berth_fetch::store;
use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    io::{self, IsTerminal},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// Whether `NO_COLOR` is set (no-color.org), or the terminal does not support colours.
pub(super) fn no_colour() -> bool {
    env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// The default cache folder.
pub(super) fn cache() -> Result<PathBuf> {
    store::default_root(env::var_os("XDG_CACHE_HOME").as_deref(), env::var_os("HOME").as_deref()).ok_or_else(|| {
        let message = "no cache folder: neither XDG_CACHE_HOME nor HOME is set to an absolute path".to_owned();
        Advised::new(message, Some("name a folder with --cache".to_owned())).into()
    })
}

/// `SSL_CERT_FILE`: the certificate authorities that OpenSSL uses.
pub(super) fn ssl_cert_file() -> Option<OsString> {
    env::var_os("SSL_CERT_FILE")
}

/// `SOURCE_DATE_EPOCH` (reproducible-builds.org), in seconds since 1970.
pub(super) fn source_date_epoch() -> Result<Option<u64>> {
    let Some(value) = env::var_os("SOURCE_DATE_EPOCH").filter(|value| !value.is_empty()) else { return Ok(None) };
    let seconds = value.to_str().and_then(|text| text.parse().ok());
    let wanted = || anyhow!("SOURCE_DATE_EPOCH: expected seconds since 1970, found {value:?}");
    seconds.ok_or_else(wanted).map(Some)
}

/// The current time, in seconds since 1970. Used only for expiry, never for the content of an image.
pub(super) fn now() -> Result<u64> {
    #[expect(clippy::disallowed_methods, reason = "the one place where the clock becomes an argument")]
    let now = SystemTime::now();
    Ok(now.duration_since(UNIX_EPOCH).context("this machine's clock is before 1970")?.as_secs())
}

/// Whether a user sits at a terminal and can end the program.
pub(super) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Checks that `program` can be started: a path, or a name in one of the folders of PATH.
pub(super) fn find_program(program: &OsStr) -> Result<()> {
    let can_run =
        |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    let path = Path::new(program);
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = match path.components().count() {
        1 if !program.as_encoded_bytes().contains(&b'/') => {
            env::split_paths(&folders).any(|dir| can_run(&dir.join(path)))
        }
        _ => can_run(path),
    };
    if found {
        return Ok(());
    }
    let hint =
        "the command runs on this machine, not in the guest: install it here, or give the path of a program".to_owned();
    Err(Advised::new(format!("{}: expected a program to run, found none", path.display()), Some(hint)).into())
}

/// The folder of this program. The programs of the image are in the same folder.
pub(super) fn programs() -> Result<PathBuf> {
    let own = env::current_exe().context("cannot find the path of this program")?;
    own.parent().map(PathBuf::from).ok_or_else(|| anyhow!("{} has no parent folder", own.display()))
}
