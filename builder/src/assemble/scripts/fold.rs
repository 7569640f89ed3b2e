//! What is left of a script when every branch that a first installation does not take is cut away, and every line whose
//! effect is known.

use super::{
    condition::{Call, is_missing_account, is_pure, known},
    line::{Line, is_assignment},
    parse::{Statement, statements},
};

/// Decides whether the effect of a command is known. The second argument says whether it is certain to be reached.
pub(super) type Covers<'a> = &'a mut dyn FnMut(&Line, bool) -> bool;

/// The lines that are left, in order. Where the script's structure is not understood, all of it is left.
pub(super) fn fold(lines: Vec<Line>, call: Call, covers: Covers<'_>) -> Vec<Line> {
    let Some(statements) = statements(&lines) else { return lines };
    // In a function, or after a shift, `$1` is something else.
    let moves = |line: &Line| line.text.split_whitespace().any(|word| word == "shift") || line.text.contains("set --");
    let call = (!lines.iter().any(moves)).then_some(call);
    let mut functions = Vec::new();
    let mut left = block(statements, call, true, covers, &mut functions);
    // A function matters when a line that is left calls it.
    loop {
        let called = |(name, _): &(String, _)| left.iter().any(|line| mentions(&line.text, name));
        let Some(at) = functions.iter().position(called) else { break };
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

fn block(
    statements: Vec<Statement>,
    call: Option<Call>,
    certain: bool,
    covers: Covers<'_>,
    functions: &mut Vec<(String, Vec<Line>)>,
) -> Vec<Line> {
    let mut left = Vec::new();
    for statement in statements {
        match statement {
            Statement::Command(line) => {
                if !covers(&line, certain) {
                    left.push(line);
                }
            }
            Statement::Function { name, head, body, end } => {
                let body = block(body, None, false, covers, functions);
                // A function that does nothing may be called.
                let lines = if body.is_empty() { body } else { [vec![head], body, vec![end]].concat() };
                functions.push((name, lines));
            }
            Statement::Loop { head, body, end } => {
                let body = block(body, call, false, covers, functions);
                if !(body.is_empty() && head.text.starts_with("for ") && end.text == "done") {
                    left.extend([vec![head], body, vec![end]].concat());
                }
            }
            Statement::Case { head, arms, end } => {
                left.extend(case(head, arms, end, (call, certain), covers, functions))
            }
            Statement::If { branches, otherwise, end } => {
                left.extend(branch(branches, otherwise, end, (call, certain), covers, functions));
            }
        }
    }
    left
}

fn case(
    head: Line,
    arms: Vec<(Line, Vec<Statement>)>,
    end: Line,
    (call, certain): (Option<Call>, bool),
    covers: Covers<'_>,
    functions: &mut Vec<(String, Vec<Line>)>,
) -> Vec<Line> {
    let subject = head.text.trim_start_matches("case").trim().trim_end_matches("in").trim().replace('"', "");
    if let Some(call) = call.filter(|_| ["$1", "${1}", "${1:-}"].contains(&subject.as_str())) {
        let taken =
            arms.into_iter().find(|(pattern, _)| pattern.text.split('|').any(|one| matches(one.trim(), call.action)));
        return taken.map_or(Vec::new(), |(_, body)| block(body, Some(call), certain, covers, functions));
    }
    let mut left = Vec::new();
    for (pattern, body) in arms {
        let body = block(body, call, false, covers, functions);
        if !body.is_empty() {
            left.push(Line { number: pattern.number, text: format!("{})", pattern.text) });
            left.extend(body);
        }
    }
    // Without arms, only a command in the head could do anything.
    if left.is_empty() && !head.text.contains(['`', '(']) { left } else { [vec![head], left, vec![end]].concat() }
}

/// Whether a pattern of `case` takes `word`: literal, or `*` at its end.
fn matches(pattern: &str, word: &str) -> bool {
    let pattern = pattern.trim_matches(['"', '\'']);
    pattern == word || pattern.strip_suffix('*').is_some_and(|start| word.starts_with(start))
}

fn branch(
    branches: Vec<(Line, Vec<Statement>)>,
    otherwise: Vec<Statement>,
    end: Line,
    (call, certain): (Option<Call>, bool),
    covers: Covers<'_>,
    functions: &mut Vec<(String, Vec<Line>)>,
) -> Vec<Line> {
    let (mut left, mut pure, mut open) = (Vec::new(), true, false);
    let mut last = Some(otherwise);
    for (head, body) in branches {
        let condition = head.text.trim_start_matches("el").trim_start_matches("if ").trim_end_matches("then");
        let condition = condition.trim_end().trim_end_matches(';').trim();
        match call.and_then(|call| known(condition, call)) {
            Some(false) => continue,
            Some(true) => {
                last = Some(body);
                break;
            }
            None => {
                pure &= is_pure(condition);
                let reached = certain && !open && is_missing_account(condition);
                open = true;
                let body = block(body, call, reached, covers, functions);
                left.push((head, body));
            }
        }
    }
    let last = block(last.take().unwrap_or_default(), call, certain && !open, covers, functions);
    if left.is_empty() {
        return last;
    }
    if pure && last.is_empty() && left.iter().all(|(_, body)| body.is_empty()) {
        return Vec::new();
    }
    let heads: Vec<Line> = left.into_iter().flat_map(|(head, body)| [vec![head], body].concat()).collect();
    [heads, last, vec![end]].concat()
}
