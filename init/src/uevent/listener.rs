//! The thread that reads device events. It loads modules for new devices, sets the modes of their nodes, and updates the links to
//! partitions.

use super::{Settled, UeventSocket, coldplug, settled, socket::Received};
use crate::{console, device_modes, device_nodes, modules::Loader};
use berth_contract::fault::Failures;
use std::{path::Path, sync::Arc, thread};

/// Loads modules for all present devices.
pub fn load_for_all(loader: &Loader) {
    for alias in coldplug::modaliases(Path::new("/sys")) {
        load(loader, &alias);
    }
}

/// Starts the thread. Open the socket before [`load_for_all`], so that no device is missed in between. The thread sets `settled`
/// when it has processed the events of all devices that were there at boot.
///
/// # Errors
/// When no thread can be started.
pub fn spawn(socket: UeventSocket, loader: Arc<Loader>, settled: Arc<Settled>) -> std::io::Result<()> {
    thread::Builder::new().name("uevent".to_owned()).spawn(move || follow(&socket, &loader, &settled)).map(drop)
}

fn follow(socket: &UeventSocket, loader: &Loader, settled: &Settled) {
    let mut has_settled = false;
    loop {
        let limit = (!has_settled).then(|| settled::patience(Path::new("/sys")));
        match socket.receive(limit) {
            Ok(Received::Event(event)) => {
                if let Some(alias) = event.modalias.as_deref().filter(|_| event.action == "add") {
                    load(loader, alias);
                }
                if let Some(name) = event.devname.as_deref().filter(|_| event.action == "add") {
                    warn(device_modes::settle(name));
                }
                if event.subsystem == "block" {
                    warn(device_nodes::link_partitions());
                }
            }
            Ok(Received::Overrun) => {
                load_for_all(loader);
                let mut failures = Failures::none();
                device_modes::settle_all(&mut failures);
                failures.keep(device_nodes::link_partitions());
                warn(failures.end());
            }
            Ok(Received::Timeout) => {
                has_settled = true;
                settled.set();
            }
            Err(error) => {
                settled.set();
                return console::error(format_args!("device events: {error}: new devices will not be detected"));
            }
        }
    }
}

/// Loads modules for one device. Returns whether the device has modules. Drivers often refuse to load, because their hardware is not
/// present, so errors are only logged at level debug.
pub fn load(loader: &Loader, alias: &str) -> bool {
    let (count, errors) = loader.load_for_device(alias);
    for error in errors {
        console::debug(format_args!("{alias}: {error}"));
    }
    count > 0
}

fn warn<E: std::fmt::Display>(result: Result<(), E>) {
    if let Err(error) = result {
        console::warning(format_args!("{error}"));
    }
}
