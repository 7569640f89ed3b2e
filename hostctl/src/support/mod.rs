//! `hostctl support`: one archive for a bug report, without secrets.

mod archive;
mod secrets;

pub use archive::pack;
pub use secrets::Secrets;

use berth_contract::{control::LogLine, paths, remote_api::ContainerInfo};
use berth_control::{Client, ClientError};
use serde::Serialize;
use serde_json::Value;
use std::{fs, path::Path};

/// Longest log in the archive, in bytes. Its end is kept.
const LONGEST_LOG: usize = 4 << 20;
/// Files of the host that go into the archive as they are, except for secrets.
const FILES: [&str; 5] = ["/proc/meminfo", "/proc/mounts", "/proc/net/dev", paths::NETWORK_STATUS, paths::RESOLV_CONF];

/// A file of the archive.
#[derive(Debug)]
pub struct Piece {
    /// Its name in the archive.
    pub name: String,
    /// Its content, without secrets.
    pub text: String,
}

/// What the caller knows about the host, as JSON.
#[derive(Debug, Default)]
pub struct Known {
    /// The report about slots and boot entries.
    pub slots: Option<Value>,
    /// Why versions failed.
    pub why: Option<Value>,
    /// The containers of the engine.
    pub containers: Option<Vec<ContainerInfo>>,
}

/// Collects everything. What cannot be read is left out, and named in the file `missing`.
///
/// # Errors
/// init does not answer.
pub fn collect(client: &mut Client, known: &Known) -> Result<Vec<Piece>, ClientError> {
    let config: Value = read_json(paths::HOST_CONFIG).unwrap_or_default();
    let secrets = Secrets::of(&config);
    let (mut pieces, mut missing) = (Vec::new(), Vec::new());
    let mut add = |name: &str, text: Option<String>| match text {
        Some(text) => pieces.push(Piece { name: name.to_owned(), text: secrets.removed_from(&text) }),
        None => missing.push(name.to_owned()),
    };
    let services = client.services()?;
    add("status.json", pretty(&client.status()?));
    add("boot.json", pretty(&client.boot()?));
    add("services.json", pretty(&services));
    add("config.json", pretty(&secrets.without(&config)));
    add("image.json", read_json(paths::IMAGE_SPEC).and_then(|image| pretty(&secrets.without(&image))));
    add("slots.json", known.slots.as_ref().and_then(pretty));
    add("why.json", known.why.as_ref().and_then(pretty));
    add("containers.json", known.containers.as_ref().and_then(pretty));
    for path in FILES {
        add(&format!("files{path}"), fs::read_to_string(path).ok());
    }
    let names = ["init", "kernel", "bless", "slots"].map(str::to_owned);
    for name in names.into_iter().chain(services.into_iter().map(|service| service.name)) {
        let log = log(client, &name);
        add(&format!("logs/{name}.log"), log.ok());
    }
    let missing = missing.join("\n");
    pieces.push(Piece { name: "missing".to_owned(), text: missing });
    Ok(pieces)
}

fn log(client: &mut Client, name: &str) -> Result<String, ClientError> {
    let mut text = String::new();
    client.logs(name, false, |line: LogLine| {
        text += &format!("[{:>6}.{:06}] {}\n", line.at_us / 1_000_000, line.at_us % 1_000_000, line.text);
        Ok::<_, ClientError>(())
    })?;
    let start = text.len().saturating_sub(LONGEST_LOG);
    let start = (start..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    Ok(text.split_off(start))
}

fn read_json(path: &str) -> Option<Value> {
    berth_file::read_json(Path::new(path), paths::MAX_JSON).ok()
}

fn pretty(value: &impl Serialize) -> Option<String> {
    serde_json::to_string_pretty(value).ok()
}
