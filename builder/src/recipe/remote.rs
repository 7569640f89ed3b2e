//! Checks `[remote]`: who may reach the hosts of this image over the network.

use super::{Located, diagnostic::Diagnostic, value::Checked};
use berth_contract::remote_config::{RemoteConfig, default_listen};

/// `listen`, `ca`, `crl` and `revoked`. `None` if there is no key: then a host cannot be reached unless its host.toml says otherwise.
pub(super) fn remote(
    [listen, ca, crl]: [Option<Located<String>>; 3],
    revoked: Vec<Located<String>>,
) -> Checked<Option<RemoteConfig>> {
    let places: Vec<_> = [("listen", &listen), ("ca", &ca), ("crl", &crl)]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_ref()?.place.clone())))
        .chain(revoked.iter().map(|serial| ("revoked", serial.place.clone())))
        .collect();
    let Some((_, first)) = places.first() else { return Ok(None) };
    let address = match &listen {
        None => default_listen(),
        Some(text) => text.value.parse().map_err(|_| {
            Diagnostic::new(&text.place, "listen is not valid")
                .wanted("an IP address and a port, e.g. \"0.0.0.0:7443\"")
                .found(format!("{:?}", text.value))
        })?,
    };
    let config = RemoteConfig {
        listen: address,
        ca: ca.map(|text| text.value),
        cert: None,
        key: None,
        crl: crl.map(|text| text.value),
        revoked: revoked.iter().map(|serial| serial.value.clone()).collect(),
    };
    match config.check() {
        Ok(()) => Ok(Some(config)),
        Err(fault) => {
            let key = &fault.key;
            let name = key.split('[').next().unwrap_or_default();
            let of_item = |serial: &&Located<String>| berth_contract::remote_config::serial(&serial.value).is_none();
            let item = revoked.iter().find(of_item).filter(|_| name == "revoked").map(|serial| &serial.place);
            let place = places.iter().find(|(one, _)| *one == name).map_or(first, |(_, place)| place);
            Err(Diagnostic::new(item.unwrap_or(place), format!("remote.{name} is not valid"))
                .wanted(fault.expected)
                .found(fault.found))
        }
    }
}
