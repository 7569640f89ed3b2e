//! Checks `[update]` (source of releases, trusted keys) and `[health]` (time limit for a new version).

use super::{
    Located, Update,
    diagnostic::Diagnostic,
    value::{Checked, path},
};
use berth_contract::{
    release::is_channel,
    update::{HealthSpec, UpdateSpec},
};
use berth_fetch::url::{BadUrl, Url};

/// `trust`, `source`, `channel` and `ca`.
pub(super) fn update([trust, source, channel, ca]: [Option<Located<String>>; 4]) -> Checked<Update> {
    if let (Some(source), None) = (&source, &trust) {
        return Err(Diagnostic::new(&source.place, "hosts cannot verify releases from this source")
            .wanted("the key `trust` in the same table")
            .with_hint("add trust = \"root.json\": the file that `berth keys new` creates, see docs/keys.md"));
    }
    let spec = UpdateSpec {
        source: source.map(place_of_releases).transpose()?,
        channel: channel.map(name_of_channel).transpose()?,
        ca: ca.map(certificates).transpose()?,
    };
    Ok(Update { trust: trust.map(path), spec })
}

/// `limit`.
pub(super) fn health(limit: Option<Located<u32>>) -> Checked<HealthSpec> {
    const RANGE: std::ops::RangeInclusive<u32> = 10..=86_400;
    match limit {
        None => Ok(HealthSpec::default()),
        Some(limit) if RANGE.contains(&limit.value) => Ok(HealthSpec { limit: limit.value }),
        Some(limit) => Err(Diagnostic::new(&limit.place, "limit is not valid")
            .wanted(format!("{} to {} seconds", RANGE.start(), RANGE.end()))
            .found(limit.value.to_string())),
    }
}

fn place_of_releases(text: Located<String>) -> Checked<String> {
    let remote = ["https://", "http://"].iter().any(|scheme| text.value.starts_with(scheme));
    let disk = text.value.strip_prefix("disk:").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if text.value.starts_with('/') || disk || (remote && text.value.parse::<Url>().is_ok()) {
        return Ok(text.value);
    }
    if let (true, Err(BadUrl { found, wanted })) = (remote, text.value.parse::<Url>()) {
        let fault = Diagnostic::new(&text.place, "source is not valid");
        return Err(fault.wanted(format!("a URL with {wanted}")).found(format!("{found:?}")));
    }
    Err(Diagnostic::new(&text.place, "source is not valid")
        .wanted("a URL (https, http), the absolute path of a folder or bundle on the host, or disk:LABEL/PATH")
        .found(format!("{:?}", text.value)))
}

fn name_of_channel(text: Located<String>) -> Checked<String> {
    if is_channel(&text.value) {
        return Ok(text.value);
    }
    Err(Diagnostic::new(&text.place, "name of a channel is not valid")
        .wanted("letters a-z, digits, . and -, e.g. \"stable\"")
        .found(format!("{:?}", text.value)))
}

fn certificates(text: Located<String>) -> Checked<String> {
    if text.value.contains("-----BEGIN CERTIFICATE-----") {
        return Ok(text.value);
    }
    Err(Diagnostic::new(&text.place, "ca is not valid")
        .wanted("the text of certificates in PEM, between triple quotes"))
}
