//! Loops, `case`, `if` and groups.

use super::{MOST_ROUNDS, Walk};
use crate::assemble::scripts::{
    condition::Status,
    line::Line,
    parse::Statement,
    pattern::matches,
    reach::{Ended, Reach},
    words::{Word, words},
};

impl Walk<'_, '_> {
    pub(super) fn repeated(&mut self, head: &Line, body: &[Statement], end: &Line, reach: Reach) -> Vec<Line> {
        let rounds = head.text.strip_prefix("for ").and_then(|rest| {
            let (name, values) = rest.trim_end_matches("do").trim_end().trim_end_matches(';').split_once(" in ")?;
            Some((name.trim().to_owned(), self.values(values)))
        });
        let (mut left, mut pure) = (Vec::new(), end.text == "done" || end.text.starts_with("done ||"));
        match rounds {
            Some((name, Some(values))) if pure => {
                let mut sure = true;
                for value in values {
                    let stop = self.stop.enter();
                    left.extend(self.fork(sure, |walk| {
                        walk.variables.set(&name, Some(value));
                        let reach = if sure { reach } else { reach.perhaps() };
                        walk.with_ends(|ends| &mut ends.round, |walk| walk.block(body, reach))
                    }));
                    match self.stop.leave_round(stop) {
                        Ended::No => {}
                        Ended::Perhaps => sure = false,
                        Ended::Yes => break,
                    }
                }
            }
            rounds => {
                let condition = head.text.split_once(' ').map_or("", |(_, condition)| condition);
                let condition = condition.trim_end_matches("do").trim_end().trim_end_matches(';').to_owned();
                if rounds.is_none() {
                    let found = self.list(&condition, head, reach.perhaps());
                    let never = if head.text.starts_with("until ") { Status::True } else { Status::False };
                    if found.status == never && found.left.is_empty() {
                        return Vec::new();
                    }
                    pure &= found.left.is_empty();
                }
                // Twice: the second round finds the variables that the first one sets.
                for _ in 0..2 {
                    let stop = self.stop.enter();
                    left = self.fork(false, |walk| {
                        if let Some((name, _)) = &rounds {
                            walk.variables.set(name, None);
                        }
                        walk.with_ends(|ends| &mut ends.round, |walk| walk.block(body, reach.perhaps()))
                    });
                    self.stop.leave_round(stop);
                }
            }
        }
        if left.is_empty() && pure { left } else { [vec![head.clone()], left, vec![end.clone()]].concat() }
    }

    /// The values of a `for` loop, if all are known.
    fn values(&self, text: &str) -> Option<Vec<String>> {
        let mut values = Vec::new();
        for word in words(&self.expanded(text))? {
            match word {
                Word::Literal(value) => values.push(value),
                Word::Pattern(pattern) => match self.system.matching(&pattern)? {
                    // A pattern without a match stays as it is.
                    none if none.is_empty() => values.push(pattern),
                    found => values.extend(found),
                },
                Word::Unknown => return None,
            }
        }
        (values.len() <= MOST_ROUNDS).then_some(values)
    }

    pub(super) fn case(&mut self, head: &Line, arms: &[(Line, Vec<Statement>)], end: &Line, reach: Reach) -> Vec<Line> {
        let subject = self.expanded(head.text.trim_start_matches("case").trim().trim_end_matches("in").trim());
        let subject = match words(&subject).as_deref() {
            Some([Word::Literal(subject)]) => Some(subject.clone()),
            _ => None,
        };
        let (mut left, mut certain) = (Vec::new(), subject.is_some());
        for (pattern, body) in arms {
            let found = subject.as_ref().and_then(|subject| matches(&pattern.text, subject));
            match found {
                Some(false) => continue,
                Some(true) if certain => return self.block(body, reach),
                _ => certain = false,
            }
            let body = self.fork(false, |walk| walk.block(body, reach.perhaps()));
            if !body.is_empty() {
                left.push(Line { number: pattern.number, text: format!("{})", pattern.text) });
                left.extend(body);
            }
        }
        // If no arm is left, the statement has an effect only if its head runs a command.
        if left.is_empty() && !head.text.contains(['`', '(']) {
            return left;
        }
        [vec![head.clone()], left, vec![end.clone()]].concat()
    }

    pub(super) fn branch(
        &mut self,
        branches: &[(Line, Vec<Statement>)],
        otherwise: &[Statement],
        end: &Line,
        reach: Reach,
    ) -> Vec<Line> {
        let (mut left, mut pure, mut last, mut reach) = (Vec::new(), true, otherwise, reach);
        for (head, body) in branches {
            let condition = head.text.trim_start_matches("el").trim_start_matches("if ").trim_end_matches("then");
            let condition = condition.trim_end().trim_end_matches(';').trim().to_owned();
            let found = self.list(&condition, head, reach);
            pure &= found.left.is_empty();
            match found.status {
                Status::False if found.left.is_empty() => continue,
                Status::True if found.left.is_empty() => {
                    last = body;
                    break;
                }
                status => {
                    let inner = reach.if_status(status);
                    let body = self.fork(Reach::is_sure(status), |walk| walk.block(body, inner));
                    left.push((head.clone(), body));
                    reach = reach.if_status(status.negated());
                }
            }
        }
        let last = self.fork(left.is_empty(), |walk| walk.block(last, reach));
        if left.is_empty() {
            return last;
        }
        if pure && last.is_empty() && left.iter().all(|(_, body)| body.is_empty()) {
            return Vec::new();
        }
        let heads: Vec<Line> = left.into_iter().flat_map(|(head, body)| [vec![head], body].concat()).collect();
        [heads, last, vec![end.clone()]].concat()
    }

    pub(super) fn group(
        &mut self,
        head: &Line,
        negated: bool,
        body: &[Statement],
        end: &Line,
        reach: Reach,
    ) -> Vec<Line> {
        let condition = head.text.trim_end_matches('{').trim_end().trim_end_matches(['&', '|']).trim().to_owned();
        let found = self.list(&condition, head, reach);
        let status = if negated { found.status.negated() } else { found.status };
        if status == Status::False && found.left.is_empty() {
            return Vec::new();
        }
        let inner = reach.if_status(status);
        let body = self.fork(Reach::is_sure(status), |walk| walk.block(body, inner));
        if body.is_empty() && found.left.is_empty() {
            return Vec::new();
        }
        if status == Status::True { body } else { [vec![head.clone()], body, vec![end.clone()]].concat() }
    }
}
