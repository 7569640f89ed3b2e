//! Settings of docker: adds the TLS listener of host.toml to /etc/docker/daemon.json.

use super::ConfigError;
use berth_contract::{
    engine::EngineKind,
    fault::{At, Failure, PathError},
    host_config::{DockerConfig, DockerTls},
    image_spec::ImageSpec,
};
use berth_file::{Flush, replace};
use serde_json::{Map, Value, json};
use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

/// File names in the directory of certificates.
const FILES: [&str; 3] = ["ca.pem", "cert.pem", "key.pem"];

/// Applies `[docker]` of host.toml: writes certificates and settings.
///
/// # Errors
/// When the image has no docker, a file cannot be written, or the settings of the image are not a JSON object.
pub fn apply(config: Option<&DockerConfig>, image: &ImageSpec) -> Result<(), Failure> {
    let Some(tls) = config.and_then(|docker| docker.tls.as_ref()) else { return Ok(()) };
    let kind = EngineKind::Docker;
    if image.engine.as_ref().is_none_or(|engine| engine.kind != kind) {
        let message = format!("[docker.tls]: expected an image with docker, found {}", image.id);
        return Err(ConfigError::Value { place: "this machine".to_owned(), message }.into());
    }
    let engine = kind.row();
    write(tls, engine.socket, Path::new(engine.settings), Path::new(engine.certificates))
}

fn write(tls: &DockerTls, socket: &str, settings: &Path, certificates: &Path) -> Result<(), Failure> {
    write_certificates(tls, certificates)?;
    let image = match fs::read_to_string(settings) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "{}".to_owned(),
        found => found.at("read", settings)?,
    };
    let merged = merge(&image, tls, socket, certificates)
        .map_err(|message| ConfigError::Docker { path: settings.display().to_string(), message })?;
    if let Some(directory) = settings.parent() {
        fs::create_dir_all(directory).at("create", directory)?;
    }
    Ok(replace(settings, merged.as_bytes(), 0o644, Flush::Content)?)
}

fn write_certificates(tls: &DockerTls, directory: &Path) -> Result<(), PathError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).at("create", directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).at("set mode of", directory)?;
    for (name, text) in FILES.iter().zip([&tls.ca, &tls.cert, &tls.key]) {
        replace(&directory.join(name), text.as_bytes(), 0o600, Flush::Content)?;
    }
    Ok(())
}

/// Adds the TLS listener to the settings of the image. Keys of the image stay, except the TLS keys. Listeners of the image stay too. If
/// the image sets no listeners, the Unix socket is added, because docker uses only the listed listeners once `hosts` is set.
fn merge(image: &str, tls: &DockerTls, socket: &str, certificates: &Path) -> Result<String, String> {
    let image: Value = serde_json::from_str(image).map_err(|error| format!("expected a JSON object: {error}"))?;
    let Value::Object(mut settings) = image else { return Err(format!("expected a JSON object, found {image}")) };
    let unix = json!(format!("unix://{socket}"));
    let hosts = settings.entry("hosts").or_insert_with(|| json!([unix]));
    let Value::Array(hosts) = hosts else { return Err(format!("hosts: expected a list, found {hosts}")) };
    let ours = json!(format!("tcp://{}", tls.listen));
    if !hosts.contains(&ours) {
        hosts.push(ours);
    }
    let keys: Map<String, Value> = ["tlscacert", "tlscert", "tlskey"]
        .iter()
        .zip(FILES)
        .map(|(key, file)| ((*key).to_owned(), json!(certificates.join(file))))
        .collect();
    settings.extend(keys);
    settings.insert("tls".to_owned(), json!(true));
    settings.insert("tlsverify".to_owned(), json!(true));
    serde_json::to_string_pretty(&settings).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKET: &str = "/run/docker.sock";

    fn tls() -> DockerTls {
        let pem = |what: &str| format!("-----BEGIN {what}-----\n");
        DockerTls {
            listen: "[::]:2376".parse().unwrap(),
            ca: pem("CERTIFICATE"),
            cert: pem("CERTIFICATE"),
            key: pem("PRIVATE KEY"),
        }
    }

    #[test]
    fn settings_of_the_image_stay_and_the_listener_is_added() {
        let full = |hosts: Value| {
            json!({"hosts": hosts, "tls": true, "tlsverify": true,
                "tlscacert": "/c/ca.pem", "tlscert": "/c/cert.pem", "tlskey": "/c/key.pem"})
        };
        let with = |mut value: Value, key: &str, other: Value| {
            value[key] = other;
            value
        };
        for (image, expected) in [
            ("{}", full(json!(["unix:///run/docker.sock", "tcp://[::]:2376"]))),
            (
                r#"{"log-driver": "local", "tlsverify": false}"#,
                with(full(json!(["unix:///run/docker.sock", "tcp://[::]:2376"])), "log-driver", json!("local")),
            ),
            (r#"{"hosts": ["fd://"]}"#, full(json!(["fd://", "tcp://[::]:2376"]))),
            (r#"{"hosts": ["tcp://[::]:2376"]}"#, full(json!(["tcp://[::]:2376"]))),
        ] {
            let merged: Value = serde_json::from_str(&merge(image, &tls(), SOCKET, Path::new("/c")).unwrap()).unwrap();
            assert_eq!(merged, expected, "{image}");
        }
        for (image, words) in
            [("", "expected a JSON object"), ("[]", "found []"), (r#"{"hosts": "x"}"#, "hosts: expected a list")]
        {
            let error = merge(image, &tls(), SOCKET, Path::new("/c")).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn only_the_superuser_can_read_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let (settings, certificates) = (dir.path().join("etc/docker/daemon.json"), dir.path().join("tls"));
        fs::create_dir(&certificates).unwrap();
        for _ in 0..2 {
            write(&tls(), SOCKET, &settings, &certificates).unwrap();
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&certificates), mode(&certificates.join("key.pem"))), (0o700, 0o600));
        assert_eq!(fs::read_to_string(certificates.join("key.pem")).unwrap(), tls().key);
        fs::write(&settings, "no json").unwrap();
        let error = write(&tls(), SOCKET, &settings, &certificates).unwrap_err().to_string();
        assert!(error.contains("daemon.json: expected a JSON object"), "{error}");
    }
}
