//! The configuration of the running host: its generations, and a try that ends by itself.

mod engine;
mod error;
pub mod fetch;
pub mod watch;

pub use error::ConfigError;

use berth_contract::{
    config_fault::ConfigFault,
    control::ConfigChange,
    generation::{ConfigState, Origin, Reverted, Trying},
    host_config::HostConfig,
    paths::{IMAGE_SPEC, NEXT_CONFIG},
};
use berth_control::ClientError;
use berth_file::{Flush, replace};
use berth_generations::Store;
use serde::Serialize;
use std::path::Path;

/// Asks init to take the configuration in [`NEXT_CONFIG`]: its place for the status, and whether `hostctl config watch` is started.
pub type Ask<'a> = dyn FnMut(&str, bool) -> Result<ConfigChange, ClientError> + 'a;

/// A generation that is in force now, and what it has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// The generation.
    pub generation: Option<u32>,
    /// Its effect.
    pub change: ConfigChange,
}

/// Checks a text as the host does at boot, and its `[engine]` with the engine itself.
///
/// # Errors
/// The first fault.
pub fn check(text: &str) -> Result<HostConfig, ConfigError> {
    let config = berth_settings::host_config(text)?;
    let image = crate::file::json(Path::new(IMAGE_SPEC)).map_err(|error| ConfigError::Image(error.into()))?;
    engine::check(&config, &image)?;
    Ok(config)
}

/// Takes a configuration and keeps it.
///
/// # Errors
/// The text has a fault, a try is pending, or init or the disk fails. Then the old configuration stays in force.
pub fn apply(store: &Store, text: &str, origin: Origin, at: u64, ask: &mut Ask<'_>) -> Result<Taken, ConfigError> {
    check(text)?;
    let mut state = settled(store)?;
    let is_applied = origin.is_applied();
    let place = match &origin {
        Origin::Cmdline { .. } => Some(origin.to_string()),
        _ => None,
    };
    let number = store.add(text, origin, at, &state)?;
    hand_over(text)?;
    let change = ask(&place.unwrap_or_else(|| format!("generation {number}")), false)?;
    if is_applied {
        store.override_source()?;
    }
    (state.current, state.reverted) = (Some(number), None);
    store.set_state(&state)?;
    Ok(Taken { generation: Some(number), change })
}

/// Takes a configuration until `trying.until_us`, unless it is confirmed before. `trying.generation` is set here.
///
/// # Errors
/// As for [`apply`].
pub fn start_try(
    store: &Store,
    text: &str,
    (by, at): (String, u64),
    trying: Trying,
    ask: &mut Ask<'_>,
) -> Result<Taken, ConfigError> {
    check(text)?;
    let mut state = settled(store)?;
    let number = store.add(text, Origin::Apply { by }, at, &state)?;
    // First the state: after a power cut from now on, the old configuration is in force.
    state.trying = Some(Trying { generation: number, ..trying });
    state.reverted = None;
    store.set_state(&state)?;
    let taken = hand_over(text).and_then(|()| Ok(ask(&format!("generation {number} (not confirmed)"), true)?));
    match taken {
        Ok(change) => Ok(Taken { generation: Some(number), change }),
        Err(error) => {
            state.trying = None;
            store.set_state(&state)?;
            Err(error)
        }
    }
}

/// Keeps the configuration that is tried. Returns its generation.
///
/// # Errors
/// Nothing is tried, or the disk fails.
pub fn confirm(store: &Store) -> Result<u32, ConfigError> {
    let mut state = store.state()?;
    let trying = state.trying.take().ok_or(ConfigError::NotTrying)?;
    store.override_source()?;
    (state.current, state.reverted) = (Some(trying.generation), None);
    store.set_state(&state)?;
    Ok(trying.generation)
}

/// Ends a try. Without one, takes the text of generation `to` again, or that of the generation before the current one.
///
/// # Errors
/// There is no such generation, it has a fault, or init or the disk fails.
pub fn revert(store: &Store, to: Option<u32>, by: String, at: u64, ask: &mut Ask<'_>) -> Result<Taken, ConfigError> {
    let state = store.state()?;
    if let (Some(_), None) = (&state.trying, to) {
        return end_try(store, format!("{by} has reverted it"), ask);
    }
    let earlier = || store.list().into_iter().map(|found| found.number).rfind(|number| Some(*number) < state.current);
    let to = to.or_else(earlier).ok_or(ConfigError::NoEarlier)?;
    store.generation(to).ok_or(ConfigError::NoGeneration { number: to })?;
    apply(store, &store.text(to)?, Origin::Revert { to, by }, at, ask)
}

/// Returns to the configuration before the try.
///
/// # Errors
/// Init or the disk fails. Then the try is still pending, and a reboot ends it.
pub fn end_try(store: &Store, why: String, ask: &mut Ask<'_>) -> Result<Taken, ConfigError> {
    let mut state = store.state()?;
    let trying = state.trying.take().ok_or(ConfigError::NotTrying)?;
    hand_over(&store.current_text(&state)?)?;
    let change = ask(&place(store, &state), false)?;
    state.reverted = Some(Reverted { generation: trying.generation, why });
    store.set_state(&state)?;
    Ok(Taken { generation: state.current, change })
}

/// Tells init that the configuration in force is the one that its source has. During a try, nothing is done.
///
/// # Errors
/// Init or the disk fails.
pub fn refresh(store: &Store, ask: &mut Ask<'_>) -> Result<(), ConfigError> {
    let state = store.state()?;
    if state.trying.is_none() {
        hand_over(&store.current_text(&state)?)?;
        ask(&place(store, &state), false)?;
    }
    Ok(())
}

/// The place of the configuration in force, as the status shows it.
#[must_use]
pub fn place(store: &Store, state: &ConfigState) -> String {
    match state.current.and_then(|number| store.generation(number)) {
        None => "the image".to_owned(),
        Some(found) if found.origin.is_applied() => format!("generation {}", found.number),
        Some(found) => found.origin.to_string(),
    }
}

/// The state, if nothing is being tried.
fn settled(store: &Store) -> Result<ConfigState, ConfigError> {
    let state = store.state()?;
    match &state.trying {
        Some(trying) => Err(ConfigError::Trying { generation: trying.generation }),
        None => Ok(state),
    }
}

fn hand_over(text: &str) -> Result<(), ConfigError> {
    Ok(replace(Path::new(NEXT_CONFIG), text.as_bytes(), 0o600, Flush::Nothing)?)
}

impl From<ConfigFault> for ConfigError {
    fn from(fault: ConfigFault) -> Self {
        Self::Host(fault)
    }
}
