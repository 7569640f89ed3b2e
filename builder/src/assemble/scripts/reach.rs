//! Whether a statement of a script runs.

use super::condition::Status;

/// Whether a statement runs at a first installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// It always runs. If it is false, the statement may run.
    pub(super) certain: bool,
}

impl Reach {
    pub(super) const CERTAIN: Self = Self { certain: true };

    pub(super) fn perhaps(self) -> Self {
        Self { certain: false }
    }

    /// Whether what runs if a condition with this status is true always runs when the condition is reached.
    pub(super) fn is_sure(status: Status) -> bool {
        Self::CERTAIN.if_status(status).certain
    }

    /// The reach of what runs if a condition with this status is true. What makes a missing account runs for certain: if the
    /// account is not missing, it has no effect.
    pub(super) fn if_status(self, status: Status) -> Self {
        match status {
            Status::True | Status::NoAccount => self,
            _ => self.perhaps(),
        }
    }
}

/// Whether commands were found that end something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ended {
    #[default]
    No,
    Perhaps,
    Yes,
}

/// Whether an earlier `exit`, `return`, `break` or `continue` keeps a statement from running.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stop {
    script: Ended,
    function: Ended,
    /// `break`.
    repetition: Ended,
    /// `continue`.
    round: Ended,
}

impl Stop {
    /// The reach of the next statement. `None` if it is never reached.
    pub(super) fn limit(self, reach: Reach) -> Option<Reach> {
        match self.script.max(self.function).max(self.repetition).max(self.round) {
            Ended::No => Some(reach),
            Ended::Perhaps => Some(reach.perhaps()),
            Ended::Yes => None,
        }
    }

    /// Records a command that ends something. `None` if it does not. `Some(false)` if the script fails for certain, or if the command may
    /// end more than one loop: then nothing that follows is certain.
    pub(super) fn command(&mut self, text: &str, reach: Reach) -> Option<bool> {
        let mut words = super::line::quiet(text).split_whitespace();
        let (name, argument) = (words.next().unwrap_or_default(), words.next());
        let ended = if reach.certain { Ended::Yes } else { Ended::Perhaps };
        let place = match name {
            "exit" => &mut self.script,
            "return" => &mut self.function,
            "break" => &mut self.repetition,
            "continue" => &mut self.round,
            _ => return None,
        };
        // The script does not fail: its package would not be installed.
        if name == "exit" && !matches!(argument, None | Some("0" | "$?")) {
            return Some(!reach.certain);
        }
        *place = ended.max(*place);
        if matches!(name, "break" | "continue") && !matches!(argument, None | Some("1")) {
            self.script = self.script.max(Ended::Perhaps);
            return Some(false);
        }
        Some(true)
    }

    /// Starts a function or a round of a loop. Returns the state that [`Self::leave_function`] or [`Self::leave_round`] needs.
    pub(super) fn enter(&mut self) -> Self {
        let before = *self;
        (self.function, self.repetition, self.round) = (Ended::No, Ended::No, Ended::No);
        before
    }

    pub(super) fn leave_function(&mut self, before: Self) {
        *self = Self { script: self.script, ..before };
    }

    /// Whether this was the last round.
    pub(super) fn leave_round(&mut self, before: Self) -> Ended {
        let last = self.repetition.max(self.function);
        let function = self.function.max(before.function);
        *self = Self { script: self.script, function, ..before };
        last
    }
}
