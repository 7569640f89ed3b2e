//! `[engine]` of host.toml: the engine checks its own settings.

use super::ConfigError;
use berth_contract::{config_fault::ConfigFault, host_config::HostConfig, image_spec::ImageSpec};
use std::{
    io::Write,
    process::{Command, Stdio},
};

/// Checks the settings for an engine.
///
/// # Errors
/// The image has no engine, or the engine refuses the settings. If the engine's program cannot be started, the settings count as valid.
pub(super) fn check(config: &HostConfig, image: &ImageSpec) -> Result<(), ConfigError> {
    let keys = [("engine", !config.engine.is_empty()), ("registry", !config.registry.is_empty())];
    let Some(engine) = &image.engine else {
        return match keys.into_iter().find(|(_, is_set)| *is_set) {
            Some((key, _)) => Err(ConfigFault::of(key, "an image with a container engine", &image.id).into()),
            None => Ok(()),
        };
    };
    if config.engine.is_empty() {
        return Ok(());
    }
    let Some((program, arguments)) = engine.kind.row().validate.split_first() else { return Ok(()) };
    refusal(program, arguments, &serde_json::to_vec(&config.engine).unwrap_or_default())
        .map_or(Ok(()), |said| Err(ConfigFault::of("engine", "settings that the engine accepts", said).into()))
}

/// What the program says against a settings file with this content.
fn refusal(program: &str, arguments: &[&str], content: &[u8]) -> Option<String> {
    let mut file = tempfile::NamedTempFile::new().ok()?;
    file.write_all(content).ok()?;
    let mut command = Command::new(program);
    command.args(arguments).arg(file.path()).stdin(Stdio::null());
    let output = command.output().ok().filter(|output| !output.status.success())?;
    let said = String::from_utf8_lossy(&output.stderr).replace(&file.path().display().to_string(), "the settings");
    Some(said.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_engine_are_passed_on_without_the_name_of_the_file() {
        let script = "grep -q good \"$0\" && exit; echo \"$0: bad key\" >&2; exit 1";
        assert_eq!(refusal("/bin/sh", &["-c", script], b"{\"good\":1}"), None);
        let said = refusal("/bin/sh", &["-c", script], b"{\"x\":1}");
        assert_eq!(said.as_deref(), Some("the settings: bad key"));
        assert_eq!(refusal("/no/such/engine", &[], b""), None);
    }
}
