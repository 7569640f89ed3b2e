//! Removes from a script every branch that a first installation does not take, and every line with a known effect.

use super::{
    condition::{Call, is_missing_account, is_pure, known},
    line::{Line, is_assignment},
    parse::{Statement, statements},
};

/// Decides whether the effect of a command is known. The second argument says whether the command always runs.
pub(super) type Covers<'a> = &'a mut dyn FnMut(&Line, bool) -> bool;

/// The context of a statement in the script, as far as the parser knows it.
#[derive(Clone, Copy)]
struct Reach {
    /// The arguments of the script. `None` where `$1` and `$2` may have other values, as in a function.
    call: Option<Call>,
    /// Whether the statement always runs.
    certain: bool,
}

struct Fold<'a> {
    covers: Covers<'a>,
    /// Each function with the lines that are left of it.
    functions: Vec<(String, Vec<Line>)>,
}

/// The lines that are left, in order. If the structure of the script cannot be parsed, all lines are left.
pub(super) fn fold(lines: Vec<Line>, call: Call, covers: Covers<'_>) -> Vec<Line> {
    let Some(statements) = statements(&lines) else { return lines };
    let moves = |line: &Line| line.text.split_whitespace().any(|word| word == "shift") || line.text.contains("set --");
    let call = (!lines.iter().any(moves)).then_some(call);
    let mut fold = Fold { covers, functions: Vec::new() };
    let mut left = fold.block(statements, Reach { call, certain: true });
    // The lines of a function are left only if a line that is left calls the function.
    let mut functions = fold.functions;
    while let Some(at) = functions.iter().position(|(name, _)| left.iter().any(|line| mentions(&line.text, name))) {
        left.extend(functions.swap_remove(at).1);
    }
    if left.iter().all(|line| is_assignment(&line.text)) {
        left.clear();
    }
    left.sort_by_key(|line| line.number);
    left
}

fn mentions(text: &str, name: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').any(|word| word == name)
}

impl Reach {
    fn perhaps(self) -> Self {
        Self { certain: false, ..self }
    }
}

impl Fold<'_> {
    fn block(&mut self, statements: Vec<Statement>, reach: Reach) -> Vec<Line> {
        let mut left = Vec::new();
        for statement in statements {
            match statement {
                Statement::Command(line) => {
                    if !(self.covers)(&line, reach.certain) {
                        left.push(line);
                    }
                }
                Statement::Function { name, head, body, end } => {
                    let body = self.block(body, Reach { call: None, certain: false });
                    // If no line is left in the body, calls of the function have no effect.
                    let lines = if body.is_empty() { body } else { [vec![head], body, vec![end]].concat() };
                    self.functions.push((name, lines));
                }
                Statement::Loop { head, body, end } => {
                    let body = self.block(body, reach.perhaps());
                    if !(body.is_empty() && head.text.starts_with("for ") && end.text == "done") {
                        left.extend([vec![head], body, vec![end]].concat());
                    }
                }
                Statement::Case { head, arms, end } => left.extend(self.case(head, arms, end, reach)),
                Statement::If { branches, otherwise, end } => left.extend(self.branch(branches, otherwise, end, reach)),
            }
        }
        left
    }

    fn case(&mut self, head: Line, arms: Vec<(Line, Vec<Statement>)>, end: Line, reach: Reach) -> Vec<Line> {
        let subject = head.text.trim_start_matches("case").trim().trim_end_matches("in").trim().replace('"', "");
        if let Some(call) = reach.call.filter(|_| ["$1", "${1}", "${1:-}"].contains(&subject.as_str())) {
            let takes = |pattern: &Line| pattern.text.split('|').any(|one| matches(one.trim(), call.action));
            let taken = arms.into_iter().find(|(pattern, _)| takes(pattern));
            return taken.map_or(Vec::new(), |(_, body)| self.block(body, reach));
        }
        let mut left = Vec::new();
        for (pattern, body) in arms {
            let body = self.block(body, reach.perhaps());
            if !body.is_empty() {
                left.push(Line { number: pattern.number, text: format!("{})", pattern.text) });
                left.extend(body);
            }
        }
        // If no arm is left, the statement has an effect only if its head runs a command.
        if left.is_empty() && !head.text.contains(['`', '(']) { left } else { [vec![head], left, vec![end]].concat() }
    }

    fn branch(
        &mut self,
        branches: Vec<(Line, Vec<Statement>)>,
        otherwise: Vec<Statement>,
        end: Line,
        reach: Reach,
    ) -> Vec<Line> {
        let (mut left, mut pure, mut last) = (Vec::new(), true, otherwise);
        for (head, body) in branches {
            let condition = head.text.trim_start_matches("el").trim_start_matches("if ").trim_end_matches("then");
            let condition = condition.trim_end().trim_end_matches(';').trim();
            match reach.call.and_then(|call| known(condition, call)) {
                Some(false) => {}
                Some(true) => {
                    last = body;
                    break;
                }
                None => {
                    pure &= is_pure(condition);
                    let certain = reach.certain && left.is_empty() && is_missing_account(condition);
                    let body = self.block(body, Reach { certain, ..reach });
                    left.push((head, body));
                }
            }
        }
        let last = self.block(last, Reach { certain: reach.certain && left.is_empty(), ..reach });
        if left.is_empty() {
            return last;
        }
        if pure && last.is_empty() && left.iter().all(|(_, body)| body.is_empty()) {
            return Vec::new();
        }
        let heads: Vec<Line> = left.into_iter().flat_map(|(head, body)| [vec![head], body].concat()).collect();
        [heads, last, vec![end]].concat()
    }
}

/// Whether a pattern of `case` matches `word`. The pattern is literal, or has a `*` at its end.
fn matches(pattern: &str, word: &str) -> bool {
    let pattern = pattern.trim_matches(['"', '\'']);
    pattern == word || pattern.strip_suffix('*').is_some_and(|start| word.starts_with(start))
}
