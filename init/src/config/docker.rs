//! Settings of docker: adds those of host.toml to /etc/docker/daemon.json.

use super::{ConfigError, When, originals};
use berth_contract::{
    engine::{EngineKind, MAIN_REGISTRY},
    fault::{At, Failure, PathError},
    host_config::{DockerTls, HostConfig},
    image_spec::ImageSpec,
    paths::ORIGINALS,
    system_config::RegistryConfig,
};
use berth_file::{Flush, replace};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// File names in the directory of certificates.
const FILES: [&str; 3] = ["ca.pem", "cert.pem", "key.pem"];

/// What host.toml adds to docker's settings.
#[derive(Debug, Default)]
struct Settings<'a> {
    tls: Option<&'a DockerTls>,
    engine: Map<String, Value>,
    mirrors: &'a [String],
}

/// Applies `[docker]`, `[engine]` and `[registry]` of host.toml: writes certificates and settings.
///
/// # Errors
/// When the image has no docker, a file cannot be written, or the settings of the image are not a JSON object.
pub fn apply(config: &HostConfig, image: &ImageSpec, when: When) -> Result<(), Failure> {
    let kind = EngineKind::Docker;
    let mirrors = config.registry.get(MAIN_REGISTRY).map(|registry| &registry.mirrors[..]).unwrap_or_default();
    let tls = config.docker.as_ref().and_then(|docker| docker.tls.as_ref());
    let settings = Settings { tls, engine: config.engine.clone(), mirrors };
    if image.engine.as_ref().is_none_or(|engine| engine.kind != kind) {
        let keys = [
            ("docker.tls", tls.is_some()),
            ("engine", !config.engine.is_empty()),
            ("registry", !config.registry.is_empty()),
        ];
        return match keys.into_iter().find(|(_, is_set)| *is_set) {
            Some((key, _)) => {
                let (expected, found) = ("an image with docker", image.id.to_string());
                Err(ConfigError::Image { key, expected, found }.into())
            }
            None => Ok(()),
        };
    }
    let (engine, kept) = (kind.row(), Path::new(ORIGINALS));
    let path = Path::new(engine.settings);
    registries(&config.registry, Path::new(engine.registry_certificates))?;
    let is_plain = tls.is_none() && config.engine.is_empty() && mirrors.is_empty();
    if is_plain && !originals::is_changed(path, kept) {
        return Ok(());
    }
    write(&settings, engine.socket, path, Path::new(engine.certificates), kept)?;
    // At boot a fault of `[engine]` must not keep the engine down. hostctl has checked a change while the host runs.
    if config.engine.is_empty() || when == When::Running {
        return Ok(());
    }
    let Err(why) = validate(engine.validate, path) else { return Ok(()) };
    write(&Settings { engine: Map::new(), ..settings }, engine.socket, path, Path::new(engine.certificates), kept)?;
    Err(ConfigError::Engine { why }.into())
}

/// Longest time for the check of the settings.
const VALIDATION: Duration = Duration::from_secs(60);

/// Lets the engine check its settings. If it cannot be asked, the settings count as valid: the engine reports their faults itself.
fn validate(program: &[&str], settings: &Path) -> Result<(), String> {
    let Some((name, arguments)) = program.split_first() else { return Ok(()) };
    let mut command = Command::new(name);
    command.args(arguments).arg(settings).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else { return Ok(()) };
    let deadline = Instant::now() + VALIDATION;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(_)) => {
                let mut said = String::new();
                let errors = child.stderr.take().map(|errors| errors.take(4096).read_to_string(&mut said));
                drop(errors);
                return Err(said.trim().to_owned());
            }
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Ok(());
            }
        }
    }
}

/// Name of the file with the authority of `[registry]` in the folder of a registry. Other files in that folder are the image's.
const AUTHORITY: &str = "host-toml.crt";

/// Writes the certificate authorities of registries, and removes those of an earlier configuration.
fn registries(registries: &BTreeMap<String, RegistryConfig>, folder: &Path) -> Result<(), PathError> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let _ = fs::remove_file(entry.path().join(AUTHORITY));
    }
    for (name, RegistryConfig { mirrors, ca }) in registries {
        let Some(ca) = ca else { continue };
        let host = |url: &String| url.split("://").nth(1).and_then(|rest| rest.split('/').next().map(str::to_owned));
        for host in mirrors.iter().filter_map(host).chain([name.clone()]) {
            let folder = folder.join(host);
            fs::create_dir_all(&folder).at("create", &folder)?;
            replace(&folder.join(AUTHORITY), ca.as_bytes(), 0o644, Flush::Content)?;
        }
    }
    Ok(())
}

fn write(settings: &Settings<'_>, socket: &str, path: &Path, certificates: &Path, kept: &Path) -> Result<(), Failure> {
    if let Some(tls) = settings.tls {
        write_certificates(tls, certificates)?;
    }
    let image = originals::original(path, kept)?.unwrap_or_else(|| b"{}".to_vec());
    let merged = merge(&image, settings, socket, certificates)
        .map_err(|message| ConfigError::Docker { path: path.display().to_string(), message })?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).at("create", directory)?;
    }
    Ok(replace(path, merged.as_bytes(), 0o644, Flush::Content)?)
}

fn write_certificates(tls: &DockerTls, directory: &Path) -> Result<(), PathError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).at("create", directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).at("set mode of", directory)?;
    for (name, text) in FILES.iter().zip([&tls.ca, &tls.cert, &tls.key]) {
        replace(&directory.join(name), text.as_bytes(), 0o600, Flush::Content)?;
    }
    Ok(())
}

/// Adds the settings of host.toml to those of the image. Keys of `[engine]` replace keys of the image; for a log driver of its own, the image's
/// options of another driver are left out. Listeners of the image stay. If the image sets no listeners, the Unix socket is added, because
/// docker uses only the listed listeners once `hosts` is set.
fn merge(image: &[u8], added: &Settings<'_>, socket: &str, certificates: &Path) -> Result<String, String> {
    let image: Value = serde_json::from_slice(image).map_err(|error| format!("expected a JSON object: {error}"))?;
    let Value::Object(mut settings) = image else { return Err(format!("expected a JSON object, found {image}")) };
    if added.engine.contains_key("log-driver") {
        settings.remove("log-opts");
    }
    settings.extend(added.engine.clone());
    if !added.mirrors.is_empty() {
        settings.insert("registry-mirrors".to_owned(), json!(added.mirrors));
    }
    if let Some(tls) = added.tls {
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
    }
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

    fn listener(tls: &DockerTls) -> Settings<'_> {
        Settings { tls: Some(tls), ..Settings::default() }
    }

    #[test]
    fn settings_of_host_toml_replace_those_of_the_image() {
        let merged = |image: &str, config: &str| -> Value {
            let config: HostConfig = toml::from_str(config).unwrap();
            let mirrors = config.registry.get(MAIN_REGISTRY).map(|registry| &registry.mirrors[..]).unwrap_or_default();
            let added = Settings { tls: None, engine: config.engine.clone(), mirrors };
            serde_json::from_str(&merge(image.as_bytes(), &added, SOCKET, Path::new("/c")).unwrap()).unwrap()
        };
        let image = r#"{"log-driver": "local", "log-opts": {"max-size": "10m"}, "storage-driver": "overlay2"}"#;
        assert_eq!(merged(image, ""), serde_json::from_str::<Value>(image).unwrap());
        assert_eq!(
            merged(image, "[engine]\nlive-restore = true\nlog-opts.max-size = '1m'"),
            json!({"log-driver": "local", "log-opts": {"max-size": "1m"}, "storage-driver": "overlay2", "live-restore": true})
        );
        assert_eq!(
            merged(image, "engine.log-driver = 'none'\n[registry.'docker.io']\nmirrors = ['https://m']"),
            json!({"log-driver": "none", "storage-driver": "overlay2", "registry-mirrors": ["https://m"]})
        );
    }

    #[test]
    fn authorities_of_registries_are_written_for_them_and_their_mirrors() {
        let dir = tempfile::tempdir().unwrap();
        let config = |text: &str| toml::from_str::<HostConfig>(text).unwrap().registry;
        fs::create_dir_all(dir.path().join("old.example")).unwrap();
        fs::write(dir.path().join("old.example/image.crt"), "image").unwrap();
        registries(&config("[registry.'old.example']\nca = 'OLD'"), dir.path()).unwrap();
        let both = "[registry.'docker.io']\nmirrors = ['https://m.example:5000/x']\nca = 'A'\n[registry.'r.example']\nca = 'B'";
        registries(&config(both), dir.path()).unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).ok();
        for (name, text) in [
            ("m.example:5000/host-toml.crt", Some("A")),
            ("docker.io/host-toml.crt", Some("A")),
            ("r.example/host-toml.crt", Some("B")),
            ("old.example/host-toml.crt", None),
            ("old.example/image.crt", Some("image")),
        ] {
            assert_eq!(read(name).as_deref(), text, "{name}");
        }
    }

    #[test]
    fn the_engine_says_what_is_wrong_with_its_settings() {
        let file = Path::new("/x.json");
        assert_eq!(validate(&["/bin/true"], file), Ok(()));
        assert_eq!(validate(&["/bin/sh", "-c", "echo \"bad $0\" >&2; exit 1"], file), Err("bad /x.json".to_owned()));
        assert_eq!(validate(&["/no/such/engine"], file), Ok(()));
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
            let merged: Value =
                serde_json::from_str(&merge(image.as_bytes(), &listener(&tls()), SOCKET, Path::new("/c")).unwrap())
                    .unwrap();
            assert_eq!(merged, expected, "{image}");
        }
        for (image, words) in
            [("", "expected a JSON object"), ("[]", "found []"), (r#"{"hosts": "x"}"#, "hosts: expected a list")]
        {
            let error = merge(image.as_bytes(), &listener(&tls()), SOCKET, Path::new("/c")).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn only_the_superuser_can_read_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let (settings, certificates) = (dir.path().join("etc/docker/daemon.json"), dir.path().join("tls"));
        fs::create_dir(&certificates).unwrap();
        for _ in 0..2 {
            write(&listener(&tls()), SOCKET, &settings, &certificates, &dir.path().join("kept")).unwrap();
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&certificates), mode(&certificates.join("key.pem"))), (0o700, 0o600));
        assert_eq!(fs::read_to_string(certificates.join("key.pem")).unwrap(), tls().key);
        let settings = dir.path().join("other.json");
        fs::write(&settings, "no json").unwrap();
        let error = write(&listener(&tls()), SOCKET, &settings, &certificates, &dir.path().join("kept"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("other.json: expected a JSON object"), "{error}");
    }
}
