//! The generation of the configuration that is in force at boot.

use super::{CurrentConfig, locations::Candidate};
use crate::console;
use berth_contract::{
    control::ConfigStatus,
    generation::{ConfigState, Origin, Reverted},
};
use berth_generations::Store;

/// The store's state at boot. A try that was not confirmed before the reboot has ended.
pub(super) fn begin(store: &Store) -> ConfigState {
    let mut state = store.state().unwrap_or_else(|error| {
        console::warning(format_args!("{error}: no applied configuration is known"));
        ConfigState::default()
    });
    if let Some(trying) = state.trying.take() {
        let why = "the host was restarted before it was confirmed".to_owned();
        console::warning(format_args!("host.toml: generation {} is not in force: {why}", trying.generation));
        state.reverted = Some(Reverted { generation: trying.generation, why });
        keep(store.set_state(&state));
    }
    state
}

/// The source that comes first at this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// The address in the kernel's command line, which hostctl asks later. Until then, its last text is in force.
    Cmdline,
    /// The file that was found.
    Found,
    /// The file that was found stands in for the file of a disk.
    Substitute,
}

/// The generation that a user has applied, unless the sources have a new text. A generation that cannot be read, or that only another
/// version understands, is an error: then the sources decide.
pub(super) fn applied(
    store: &Store,
    state: &ConfigState,
    found: Option<&Candidate>,
    first: First,
) -> Option<Result<CurrentConfig, String>> {
    let is_wanted = |origin: &Origin| origin.is_applied() || first == First::Cmdline && origin.is_fetched();
    let generation = store.generation(state.current?).filter(|generation| is_wanted(&generation.origin))?;
    let is_new = found.is_some_and(|found| found.content.as_ref().is_ok_and(|text| store.is_new_source(text)));
    if is_new && first == First::Found {
        console::info(format_args!("host.toml: generation {} is replaced: its source has changed", generation.number));
        return None;
    }
    let place = match &generation.origin {
        origin if origin.is_fetched() => origin.to_string(),
        _ => format!("generation {}", generation.number),
    };
    let config = store
        .text(generation.number)
        .map_err(|error| error.to_string())
        .and_then(|text| berth_settings::host_config(&text).map_err(|fault| format!("host.toml of {place}, {fault}")));
    Some(config.map(|config| {
        let status = ConfigStatus { source: Some(place), ..ConfigStatus::default() };
        CurrentConfig { config, status, is_substitute: false }
    }))
}

/// Stores the text of a source as a generation, if it is not in force yet.
pub(super) fn store_source(store: &Store, mut state: ConfigState, text: &str, place: &str, now: u64) {
    if state.current.is_some() && store.current_text(&state).is_ok_and(|current| current == text) {
        return;
    }
    match store.add(text, Origin::Source { place: place.to_owned() }, now, &state) {
        Ok(number) => {
            state.current = Some(number);
            keep(store.set_state(&state));
        }
        Err(error) => console::warning(format_args!("{error}")),
    }
}

/// The note about a try that has ended, for the status.
pub(super) fn note(state: &ConfigState) -> Option<String> {
    let Reverted { generation, why } = state.reverted.as_ref()?;
    Some(format!("generation {generation} was tried and is not in force: {why}"))
}

pub(super) fn keep(result: Result<(), berth_file::FileError>) {
    if let Err(error) = result {
        console::warning(format_args!("{error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::generation::Trying;

    fn source(text: &str) -> Candidate {
        Candidate { place: "esp".into(), content: Ok(text.as_bytes().to_vec()) }
    }

    /// A host whose source has a text, and on which a user has applied another.
    fn host(applied: &str) -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        store.note_source(b"hostname = 'source'").unwrap();
        store_source(&store, ConfigState::default(), "hostname = 'source'", "esp", 1);
        let mut state = store.state().unwrap();
        assert_eq!(state.current, Some(1));
        state.current = Some(store.add(applied, Origin::Apply { by: "me".into() }, 2, &state).unwrap());
        store.override_source().unwrap();
        store.set_state(&state).unwrap();
        (dir, store)
    }

    #[test]
    fn an_applied_generation_is_in_force_until_its_source_changes() {
        let (_dir, store) = host("hostname = 'applied'");
        let name = |found: Option<&Candidate>, first| {
            let current = applied(&store, &begin(&store), found, first)?;
            let current = current.unwrap();
            assert_eq!(current.status.source.as_deref(), Some("generation 2"));
            current.config.hostname
        };
        let same = source("hostname = 'source'");
        let new = source("hostname = 'new'");
        assert_eq!(name(Some(&same), First::Found).as_deref(), Some("applied"));
        assert_eq!(name(None, First::Found).as_deref(), Some("applied"), "the source is not there at this boot");
        assert_eq!(name(Some(&new), First::Substitute).as_deref(), Some("applied"), "the ESP stands in for a disk");
        assert_eq!(name(Some(&new), First::Cmdline).as_deref(), Some("applied"), "the address comes first");
        assert_eq!(name(Some(&new), First::Found), None);
        store_source(&store, begin(&store), "hostname = 'new'", "esp", 3);
        assert_eq!(name(Some(&new), First::Found), None);
        assert_eq!(store.state().unwrap().current, Some(3));
        // The same text again is no further generation.
        store_source(&store, begin(&store), "hostname = 'new'", "esp", 4);
        assert_eq!(store.list().len(), 3);
    }

    #[test]
    fn a_generation_that_this_version_does_not_understand_is_reported() {
        let (_dir, store) = host("key-of-the-future = 1");
        let error = applied(&store, &begin(&store), None, First::Found).unwrap().unwrap_err();
        assert!(error.starts_with("host.toml of generation 2, line 1, column 1: unknown key"), "{error}");
    }

    #[test]
    fn a_try_that_was_not_confirmed_has_ended_after_a_reboot() {
        let (_dir, store) = host("hostname = 'applied'");
        let mut state = begin(&store);
        let number = store.add("hostname = 'tried'", Origin::Apply { by: "me".into() }, 3, &state).unwrap();
        state.trying = Some(Trying { generation: number, until_us: 9, default_route: true, resolved: None });
        store.set_state(&state).unwrap();
        let state = begin(&store);
        assert_eq!((state.current, state.trying.is_none()), (Some(2), true));
        assert!(
            note(&state).unwrap().starts_with("generation 3 was tried and is not in force: the host was restarted")
        );
        assert_eq!(store.state().unwrap(), state);
    }
}
