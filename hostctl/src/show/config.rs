//! Text of configurations: their differences, their effect, and the list of generations.

use crate::config::Taken;
use berth_contract::generation::{ConfigState, Generation};
use jiff::Timestamp;
use similar::TextDiff;
use std::fmt::Write as _;

/// The lines that differ, as `diff -u` prints them. Empty if none does.
#[must_use]
pub fn diff(old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().context_radius(2).header("in force", "new").to_string()
}

/// A generation that was taken.
#[must_use]
pub fn taken(taken: &Taken, state: &str) -> String {
    let Taken { generation, change } = taken;
    let name =
        generation.map_or_else(|| "the image's configuration".to_owned(), |number| format!("generation {number}"));
    let changed = if change.changed.is_empty() { "nothing".to_owned() } else { change.changed.join(", ") };
    let mut text = format!("{name} is {state}\nchanged: {changed}\n");
    if !change.reboot.is_empty() {
        let _ = writeln!(text, "takes effect at the next boot: {}", change.reboot.join(", "));
    }
    for failure in &change.failed {
        let _ = writeln!(text, "failed: {failure}");
    }
    text
}

/// One line for each generation, newest last.
#[must_use]
pub fn generations(state: &ConfigState, generations: &[Generation]) -> String {
    let mut text = String::new();
    for Generation { number, at, origin } in generations {
        let mark = match &state.trying {
            Some(trying) if trying.generation == *number => "tried",
            _ if state.current == Some(*number) => "in force",
            _ => "",
        };
        let time = i64::try_from(*at).ok().and_then(|at| Timestamp::from_second(at).ok());
        let time = time.map_or_else(|| "?".to_owned(), |time| time.to_string());
        let _ = writeln!(text, "{number:>4}  {time:<20}  {mark:<8}  {origin}");
    }
    if let Some(reverted) = &state.reverted {
        let _ = writeln!(text, "generation {} was tried and is not in force: {}", reverted.generation, reverted.why);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::{
        control::ConfigChange,
        generation::{Origin, Reverted, Trying},
    };

    #[test]
    fn generations_and_effects_are_shown() {
        let generation = |number, origin| Generation { number, at: 1_700_000_000, origin };
        let all = [
            generation(1, Origin::Source { place: "esp".into() }),
            generation(2, Origin::Apply { by: "root".into() }),
            generation(3, Origin::Revert { to: 1, by: "me".into() }),
        ];
        let state = ConfigState {
            current: Some(2),
            trying: Some(Trying { generation: 3, until_us: 1, default_route: true, resolved: None }),
            reverted: Some(Reverted { generation: 1, why: "x".into() }),
        };
        assert_eq!(
            generations(&state, &all),
            "   1  2023-11-14T22:13:20Z            esp\n   2  2023-11-14T22:13:20Z  in force  applied by root\n   \
             3  2023-11-14T22:13:20Z  tried     reverted to 1 by me\ngeneration 1 was tried and is not in force: x\n"
        );
        let change =
            ConfigChange { changed: vec!["a".into(), "b".into()], reboot: vec!["b".into()], failed: vec!["c".into()] };
        assert_eq!(
            taken(&Taken { generation: Some(4), change }, "in force"),
            "generation 4 is in force\nchanged: a, b\ntakes effect at the next boot: b\nfailed: c\n"
        );
        assert_eq!(diff("a\nb\n", "a\nb\n"), "");
        assert!(diff("a\nb\n", "a\nc\n").ends_with(" a\n-b\n+c\n"));
    }
}
