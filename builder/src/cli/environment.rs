//! What the environment says. Read here and nowhere else: below, everything is an argument.

use anyhow::{Context, Result, anyhow};
use berth_fetch::store;
use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

/// `NO_COLOR` (no-color.org), or a terminal that has no colours.
pub(super) fn no_colour() -> bool {
    env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// The default cache folder.
pub(super) fn cache() -> Result<PathBuf> {
    store::default_root(env::var_os("XDG_CACHE_HOME").as_deref(), env::var_os("HOME").as_deref()).ok_or_else(|| {
        anyhow!(
            "no cache folder: neither XDG_CACHE_HOME nor HOME is set to an absolute path\nhint: name one with --cache"
        )
    })
}

/// The authorities that OpenSSL's users trust.
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

/// Seconds since 1970 by this machine's clock: only what must not be out of date asks for it.
pub(super) fn now() -> Result<u64> {
    #[expect(clippy::disallowed_methods, reason = "the one place where the clock becomes an argument")]
    let now = SystemTime::now();
    Ok(now.duration_since(UNIX_EPOCH).context("this machine's clock is before 1970")?.as_secs())
}

/// The folder of this program, where init and its kin lie too.
pub(super) fn programs() -> Result<PathBuf> {
    let own = env::current_exe().context("cannot find out where this program lies")?;
    own.parent().map(PathBuf::from).ok_or_else(|| anyhow!("{} lies in no folder", own.display()))
}
