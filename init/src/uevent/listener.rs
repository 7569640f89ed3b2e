//! The thread that reads device events. It loads modules for new devices and updates the links to partitions.

use super::{UeventSocket, coldplug, socket::Received};
use crate::{console, device_nodes, modules::Loader};
use std::{path::Path, sync::Arc, thread};

/// Loads modules for all present devices.
pub fn load_for_all(loader: &Loader) {
    for alias in coldplug::modaliases(Path::new("/sys")) {
        load(loader, &alias);
    }
}

/// Starts the thread. Open the socket before [`load_for_all`], so that no device is missed in between.
///
/// # Errors
/// When no thread can be started.
pub fn spawn(socket: UeventSocket, loader: Arc<Loader>) -> std::io::Result<()> {
    thread::Builder::new().name("uevent".to_owned()).spawn(move || follow(&socket, &loader)).map(drop)
}

fn follow(socket: &UeventSocket, loader: &Loader) {
    loop {
        match socket.receive(None) {
            Ok(Received::Event(event)) => {
                if let Some(alias) = event.modalias.as_deref().filter(|_| event.action == "add") {
                    load(loader, alias);
                }
                if event.subsystem == "block" {
                    relink();
                }
            }
            Ok(Received::Overrun) => {
                load_for_all(loader);
                relink();
            }
            Ok(Received::Timeout) => {}
            Err(error) => {
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

fn relink() {
    if let Err(error) = device_nodes::link_partitions() {
        console::warning(format_args!("{error}"));
    }
}
