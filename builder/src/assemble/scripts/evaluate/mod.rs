//! Walks through a script as a shell would at a first installation. Finds the effects of its commands, and the lines whose effect
//! is not known.

mod branches;

use super::{
    Effect, command,
    condition::{self, Status},
    here_document::HereDocument,
    line::Line,
    parse::{Statement, statements},
    reach::{Reach, Stop},
    system::{FileKind, System},
    variables::Variables,
    words::{Word, assignment, list, words},
};
use crate::assemble::change::FileChange;
use std::collections::BTreeMap;

/// Loops with more rounds are not followed.
const MOST_ROUNDS: usize = 64;
/// Calls of functions that are nested deeper are not followed.
const DEEPEST: usize = 8;
/// A walk through more statements ends: the script is not covered.
const MOST_STEPS: usize = 20_000;

/// A walk through one script.
pub(super) struct Walk<'s, 'f> {
    pub(super) system: &'s mut System<'f>,
    pub(super) effects: &'s mut Vec<Effect>,
    variables: Variables,
    functions: BTreeMap<String, Vec<Statement>>,
    /// Lines that set variables.
    assignments: Vec<Line>,
    stop: Stop,
    ends: Ends,
    depth: usize,
    steps: usize,
}

/// The variables at each place where a function or a round of a loop may have ended: the commands after that place may not have run.
#[derive(Default)]
struct Ends {
    function: Vec<Variables>,
    round: Vec<Variables>,
}

/// The result of walking through a list of commands.
struct Found {
    status: Status,
    /// Lines whose effect is not known.
    left: Vec<Line>,
}

impl Found {
    fn covered(status: Status) -> Self {
        Self { status, left: Vec::new() }
    }
}

impl<'s, 'f> Walk<'s, 'f> {
    pub(super) fn new(system: &'s mut System<'f>, effects: &'s mut Vec<Effect>, variables: Variables) -> Self {
        let (functions, assignments, stop, ends) = (BTreeMap::new(), Vec::new(), Stop::default(), Ends::default());
        Self { system, effects, variables, functions, assignments, stop, ends, depth: 0, steps: 0 }
    }

    /// The lines of the script whose effect is not known, in order. If the structure of the script cannot be parsed, all lines.
    pub(super) fn left(mut self, lines: Vec<Line>) -> Vec<Line> {
        let Some(statements) = statements(&lines) else { return lines };
        let mut left = self.block(&statements, Reach::CERTAIN);
        if self.steps > MOST_STEPS {
            return lines;
        }
        if left.is_empty() {
            return left;
        }
        // A reader needs the values of the variables in the lines that are left.
        while let Some(at) = self.assignments.iter().position(|line| {
            let name = line.text.split('=').next().unwrap_or_default();
            let name = name.rsplit(char::is_whitespace).next().unwrap_or_default();
            left.iter().any(|other| other != line && mentions(&other.text, name))
        }) {
            left.push(self.assignments.swap_remove(at));
        }
        left.sort_by(|a, b| (a.number, &a.text).cmp(&(b.number, &b.text)));
        left.dedup();
        left
    }

    fn block(&mut self, statements: &[Statement], reach: Reach) -> Vec<Line> {
        let mut left = Vec::new();
        for statement in statements {
            let Some(reach) = self.stop.limit(reach).filter(|_| self.steps <= MOST_STEPS) else { break };
            self.steps += 1;
            left.extend(match statement {
                Statement::Command(line) if HereDocument::starts(&line.text) => self.here_document(line, reach),
                Statement::Command(line) => self.list(&line.text, line, reach).left,
                Statement::Function { name, body } => {
                    self.functions.insert(name.clone(), body.clone());
                    Vec::new()
                }
                Statement::Loop { head, body, end } => self.repeated(head, body, end, reach),
                Statement::Case { head, arms, end } => self.case(head, arms, end, reach),
                Statement::If { branches, otherwise, end } => self.branch(branches, otherwise, end, reach),
                Statement::Subshell(body) => {
                    let (variables, stop) = (self.variables.clone(), self.stop.enter());
                    let (folder, umask) = (self.system.folder.clone(), self.system.umask);
                    let left = self.block(body, reach);
                    (self.variables, self.stop) = (variables, stop);
                    (self.system.folder, self.system.umask) = (folder, umask);
                    left
                }
                Statement::Group { head, negated, body, end } => self.group(head, *negated, body, end, reach),
            });
        }
        left
    }

    /// A list of commands: `a && b || c`.
    fn list(&mut self, text: &str, line: &Line, reach: Reach) -> Found {
        let (mut status, mut before, mut left) = (Status::True, "", Vec::new());
        for (part, after) in list(text) {
            let runs = match before {
                "" => Status::True,
                "&&" => status,
                _ => status.negated(),
            };
            if runs != Status::False {
                let part_reach = reach.if_status(runs);
                let found = self.fork(Reach::is_sure(runs), |walk| walk.command(part, line, part_reach));
                left.extend(found.left);
                status = match (runs, before) {
                    (Status::True, _) => found.status,
                    // `a && b`: false if b is false. `a || b`: true if b is true.
                    (_, "&&") if found.status == Status::False => Status::False,
                    (_, "||") if found.status == Status::True => Status::True,
                    _ => Status::Unknown,
                };
            }
            before = after;
        }
        Found { status, left }
    }

    /// Records the variables where a command may end the function or the round.
    fn may_end(&mut self, command: &str, reach: Reach) {
        let ends = match command {
            "return" => &mut self.ends.function,
            "break" | "continue" => &mut self.ends.round,
            _ => return,
        };
        if !reach.certain {
            ends.push(self.variables.clone());
        }
    }

    /// Runs `body`, a function or a round, of which `ends` gives the places where it may end. Forgets the values that differ there.
    fn with_ends<T>(&mut self, ends: fn(&mut Ends) -> &mut Vec<Variables>, body: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::take(ends(&mut self.ends));
        let result = body(self);
        for variables in std::mem::replace(ends(&mut self.ends), before) {
            self.variables.merge(&variables);
        }
        result
    }

    /// Runs `act`. If its commands may not run, the values that it changes are forgotten.
    fn fork<T>(&mut self, certain: bool, act: impl FnOnce(&mut Self) -> T) -> T {
        if certain {
            return act(self);
        }
        let before = self.variables.clone();
        let result = act(self);
        let after = std::mem::replace(&mut self.variables, before);
        self.variables.merge(&after);
        result
    }

    fn expanded(&self, text: &str) -> String {
        self.variables.expand(text, &|inner| command::output(inner, self.system))
    }

    /// One command, perhaps with a `!` before it.
    fn command(&mut self, text: &str, line: &Line, reach: Reach) -> Found {
        if let Some(rest) = text.strip_prefix("! ") {
            let found = self.command(rest.trim(), line, reach);
            return Found { status: found.status.negated(), ..found };
        }
        if let Some(inner) = text.strip_prefix("{ ").and_then(|inner| inner.strip_suffix('}')) {
            let inner = inner.trim().trim_end_matches(';').trim();
            return if inner.contains(';') { self.unknown(line) } else { self.list(inner, line, reach) };
        }
        let bare = ["local ", "export ", "readonly "].iter().find_map(|word| text.strip_prefix(word)).unwrap_or(text);
        if let Some((name, value)) = assignment(bare.trim()) {
            return self.assign(name, value, line);
        }
        let expanded = self.expanded(text);
        let name = expanded.split_whitespace().next().unwrap_or_default();
        if let Some(body) = self.functions.get(name).filter(|_| self.depth < DEEPEST).cloned() {
            return self.call(&body, &expanded, line, reach);
        }
        if let Some(stopped) = self.stop.command(&expanded, reach) {
            self.may_end(name, reach);
            return if stopped { Found::covered(Status::True) } else { self.unknown(line) };
        }
        if self.arguments_change(name, &expanded) {
            return Found::covered(Status::True);
        }
        match condition::known(&expanded, self.system) {
            Status::Unknown => {}
            status => return Found::covered(status),
        }
        if let Some(found) = command::effects(&expanded, self.system, reach.certain) {
            self.effects.extend(found);
            for (name, value) in command::assigned(&expanded, self.system) {
                self.variables.set(&name, value);
            }
            return Found::covered(Status::True);
        }
        if condition::is_pure(&expanded) { Found::covered(Status::Unknown) } else { self.unknown(line) }
    }

    fn here_document(&mut self, line: &Line, reach: Reach) -> Vec<Line> {
        let document = HereDocument::parse(&line.text, &|text| self.expanded(text));
        match document.and_then(|document| document.change(self.system)) {
            Some(None) => Vec::new(),
            Some(Some(change)) if reach.certain => {
                command::record(&Effect::Change(change.clone()), self.system);
                self.effects.push(Effect::Change(change));
                Vec::new()
            }
            _ => vec![line.clone()],
        }
    }

    fn unknown(&mut self, line: &Line) -> Found {
        Found { status: Status::Unknown, left: vec![line.clone()] }
    }

    fn assign(&mut self, name: &str, value: &str, line: &Line) -> Found {
        let mut expanded = self.expanded(value);
        if let Some(("mktemp", "")) = super::words::substitution(value.trim_matches('"')) {
            let path = self.system.temporary();
            self.system.make(&path, FileKind::File);
            self.effects.push(Effect::Change(FileChange::Empty { path: path.clone(), mode: 0o600 }));
            expanded = path;
        }
        // A value with several words in an assignment is one word.
        let literal = match words(&expanded).as_deref() {
            Some([]) => Some(String::new()),
            Some([Word::Literal(value)]) => Some(value.clone()),
            _ => None,
        };
        let (_, commands) = super::words::without_substitutions(&expanded);
        let known = literal.is_some() || commands.iter().all(|command| condition::is_pure(command));
        self.variables.set(name, literal);
        self.assignments.push(line.clone());
        if known { Found::covered(Status::True) } else { self.unknown(line) }
    }

    /// `shift` and `set --`. Whether the command is one of them.
    fn arguments_change(&mut self, name: &str, text: &str) -> bool {
        match name {
            "shift" => {
                let rest = self.variables.arguments().map(|all| all.iter().skip(1).cloned().collect());
                self.variables.set_arguments(rest.filter(|_| text == "shift"));
            }
            "set" if text.starts_with("set -- ") => {
                let all = super::words::literals(text);
                self.variables.set_arguments(all.map(|words| words.into_iter().skip(2).collect()));
            }
            _ => return false,
        }
        true
    }

    /// A call of a function: its body with the arguments of the call.
    fn call(&mut self, body: &[Statement], text: &str, line: &Line, reach: Reach) -> Found {
        let arguments =
            super::words::literals(super::line::quiet(text)).map(|words| words.into_iter().skip(1).collect());
        let outer = self.variables.arguments().map(<[String]>::to_vec);
        self.variables.set_arguments(arguments);
        let stop = self.stop.enter();
        self.depth += 1;
        let mut left = self.with_ends(|ends| &mut ends.function, |walk| walk.block(body, reach));
        self.depth -= 1;
        self.stop.leave_function(stop);
        self.variables.set_arguments(outer);
        if !left.is_empty() {
            left.push(line.clone());
        }
        Found { status: Status::Unknown, left }
    }
}

#[cfg(test)]
mod tests;

fn mentions(text: &str, name: &str) -> bool {
    !name.is_empty() && text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name)
}
