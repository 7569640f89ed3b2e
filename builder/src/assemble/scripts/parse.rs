//! Parses the structure of a shell script: branches, cases, loops, functions. Covers only the forms that maintainer scripts use.

use super::line::Line;

#[derive(Clone, Debug)]
pub(super) enum Statement {
    /// A command, or another line that is not parsed further.
    Command(Line),
    /// `if`: each head (`if ...; then`, `elif ...; then`) with its body, and the body of `else`.
    If { branches: Vec<(Line, Vec<Statement>)>, otherwise: Vec<Statement>, end: Line },
    /// `case`: its head, and each pattern with its body.
    Case { head: Line, arms: Vec<(Line, Vec<Statement>)>, end: Line },
    /// `for`, `while`, `until`.
    Loop { head: Line, body: Vec<Statement>, end: Line },
    /// `(` and `)` on lines of their own.
    Subshell(Vec<Statement>),
    /// A function definition.
    Function { name: String, body: Vec<Statement> },
    /// `LIST && {` or `LIST || {`: the head without the operator and the brace.
    Group { head: Line, negated: bool, body: Vec<Statement>, end: Line },
}

/// The statements of a script. `None` if its structure cannot be parsed.
pub(super) fn statements(lines: &[Line]) -> Option<Vec<Statement>> {
    let mut parser = Parser { lines, at: 0 };
    let found = parser.block(|_| false)?;
    (parser.at == lines.len()).then_some(found)
}

struct Parser<'a> {
    lines: &'a [Line],
    at: usize,
}

fn word(text: &str) -> &str {
    text.split(|c: char| c.is_whitespace() || c == ';').next().unwrap_or_default()
}

fn is(text: &str, keyword: &str) -> bool {
    text.trim_end_matches(';').trim_end() == keyword
}

impl Parser<'_> {
    fn text(&self) -> Option<&str> {
        self.lines.get(self.at).map(|line| line.text.as_str())
    }

    fn take(&mut self) -> Option<Line> {
        let line = self.lines.get(self.at)?.clone();
        self.at += 1;
        Some(line)
    }

    /// Statements up to the first line that `ends` accepts, or up to the end of the script. The ending line is not consumed.
    fn block(&mut self, ends: impl Fn(&str) -> bool) -> Option<Vec<Statement>> {
        let mut found = Vec::new();
        while let Some(text) = self.text().filter(|text| !ends(text)) {
            found.push(match word(text) {
                "if" if text.ends_with("then") => self.branches()?,
                "case" if text.contains(" in") && !text.contains("esac") => self.case()?,
                "for" | "while" | "until" if text.ends_with("do") => self.repeated()?,
                "(" if text == "(" => self.subshell()?,
                // A keyword in a form that is not supported.
                "if" | "case" | "for" | "while" | "until" | "then" | "elif" | "else" | "fi" | "esac" | "done" => {
                    return None;
                }
                _ => match (function(text), group(text)) {
                    (Some(name), _) => self.function(name.to_owned())?,
                    (None, Some(negated)) => self.group(negated)?,
                    (None, None) => Statement::Command(self.take()?),
                },
            });
        }
        Some(found)
    }

    fn branches(&mut self) -> Option<Statement> {
        let (mut branches, mut otherwise) = (Vec::new(), Vec::new());
        loop {
            let head = self.take()?;
            if is(&head.text, "fi") {
                return Some(Statement::If { branches, otherwise, end: head });
            }
            let body = self.block(|text| ["elif", "else", "fi"].contains(&word(text)))?;
            if is(&head.text, "else") {
                otherwise = body;
            } else if head.text.ends_with("then") {
                branches.push((head, body));
            } else {
                return None;
            }
        }
    }

    fn case(&mut self) -> Option<Statement> {
        let mut head = self.take()?;
        let at = head.text.find(" in")? + " in".len();
        let mut first = head.text[at..].trim().to_owned();
        head.text.truncate(at);
        let mut arms = Vec::new();
        loop {
            let line = match std::mem::take(&mut first) {
                empty if empty.is_empty() => self.take()?,
                text => Line { number: head.number, text },
            };
            if is(&line.text, "esac") {
                return Some(Statement::Case { head, arms, end: line });
            }
            let close = line.text.find(')')?;
            let (pattern, rest) = (line.text[..close].trim_start_matches('(').trim(), line.text[close + 1..].trim());
            let pattern = Line { number: line.number, text: pattern.to_owned() };
            let mut body = Vec::new();
            if !rest.is_empty() {
                if ["if", "case", "for", "while", "until"].contains(&word(rest)) {
                    return None;
                }
                body.push(Statement::Command(Line { number: line.number, text: rest.to_owned() }));
            }
            body.extend(self.block(|text| text == ";;" || word(text) == "esac")?);
            // The last arm does not need a `;;`.
            if self.text()? == ";;" {
                self.take();
            }
            arms.push((pattern, body));
        }
    }

    fn repeated(&mut self) -> Option<Statement> {
        let head = self.take()?;
        let body = self.block(|text| word(text) == "done")?;
        Some(Statement::Loop { head, body, end: self.take()? })
    }

    fn function(&mut self, name: String) -> Option<Statement> {
        let head = self.take()?;
        if !head.text.ends_with('{') && self.take()?.text != "{" {
            return None;
        }
        let body = self.block(|text| text == "}")?;
        self.take()?;
        Some(Statement::Function { name, body })
    }

    fn subshell(&mut self) -> Option<Statement> {
        self.take()?;
        let body = self.block(|text| text == ")")?;
        self.take()?;
        Some(Statement::Subshell(body))
    }

    fn group(&mut self, negated: bool) -> Option<Statement> {
        let head = self.take()?;
        let body = self.block(|text| word(text) == "}")?;
        Some(Statement::Group { head, negated, body, end: self.take()? })
    }
}

/// The name of the function, if `text` starts a function over several lines.
fn function(text: &str) -> Option<&str> {
    let (name, rest) = text.split_once('(')?;
    let name = name.trim().trim_start_matches("function ").trim();
    let rest = rest.trim_start().strip_prefix(')')?.trim();
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (!name.is_empty() && name.chars().all(good) && (rest.is_empty() || rest == "{")).then_some(name)
}

/// Whether `text` starts a group that runs after a list: `false` if it runs when the list is true (`&&`).
fn group(text: &str) -> Option<bool> {
    let list = text.strip_suffix('{')?.trim_end();
    if list.ends_with("||") { Some(true) } else { list.ends_with("&&").then_some(false) }
}
