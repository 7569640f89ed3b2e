//! Lists, commands and words of a line of a shell script.

/// The quotes or brackets around a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Single,
    Double,
    /// `$(`, or `(` inside another one.
    Substitution,
    /// `(`
    Group,
    /// `${`
    Parameter,
    Backquote,
}

/// A position in the text of a line, as far as quotes and groups are concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Scan {
    open: Vec<Inside>,
    escaped: bool,
}

impl Scan {
    /// Whether the next character is outside quotes, groups and substitutions.
    fn is_top(&self) -> bool {
        self.open.is_empty() && !self.escaped
    }

    fn step(&mut self, c: char, previous: char) {
        use Inside::{Backquote, Double, Group, Parameter, Single, Substitution};
        if std::mem::take(&mut self.escaped) {
            return;
        }
        let inside = self.open.last().copied();
        match (c, inside) {
            ('\'', Some(Single)) | ('"', Some(Double)) | ('`', Some(Backquote)) | ('}', Some(Parameter)) => {
                self.open.pop();
            }
            (_, Some(Single)) => {}
            (')', Some(Substitution | Group)) => _ = self.open.pop(),
            ('\\', _) => self.escaped = true,
            ('(', _) if previous == '$' => self.open.push(Substitution),
            ('{', _) if previous == '$' => self.open.push(Parameter),
            // `"${x:-'}"`: a quote in a parameter in double quotes is an ordinary character.
            ('\'', Some(Double)) => {}
            ('\'', Some(Parameter)) if self.open.contains(&Double) => {}
            ('(', Some(Substitution | Group | Backquote) | None) => {
                self.open.push(if inside.is_none() { Group } else { Substitution });
            }
            ('\'', _) => self.open.push(Single),
            ('"', _) => self.open.push(Double),
            ('`', _) => self.open.push(Backquote),
            _ => {}
        }
    }
}

/// Whether `text` ends inside quotes or a substitution.
pub(super) fn is_open(text: &str) -> bool {
    let (mut scan, mut previous) = (Scan::default(), ' ');
    for c in text.chars() {
        scan.step(c, previous);
        previous = c;
    }
    scan.open.iter().any(|inside| *inside != Inside::Group)
}

/// The text before a comment. A `#` starts a comment if it is outside quotes and a blank is before it.
pub(super) fn without_comment(text: &str) -> &str {
    let (mut scan, mut previous) = (Scan::default(), ' ');
    for (at, c) in text.char_indices() {
        if c == '#' && scan.is_top() && (previous.is_whitespace() || previous == ';') {
            return text[..at].trim_end();
        }
        scan.step(c, previous);
        previous = c;
    }
    text
}

/// Splits at each top-level operator of `operators`. Returns each part with the operator after it. The operators must be ordered so
/// that a longer one comes before its start.
pub(super) fn split<'a>(text: &'a str, operators: &[&'static str]) -> Vec<(&'a str, &'static str)> {
    let (mut found, mut start, mut skip) = (Vec::new(), 0, 0);
    let (mut scan, mut previous) = (Scan::default(), ' ');
    for (at, c) in text.char_indices() {
        if at < skip {
            continue;
        }
        let here = operators.iter().find(|operator| scan.is_top() && text[at..].starts_with(**operator));
        // `>&2` and `2>&1` have an `&`, `>|` has a `|`: they are redirections.
        if let Some(operator) = here.filter(|operator| operator.len() > 1 || !previous_redirects(previous)) {
            found.push((text[start..at].trim(), *operator));
            start = at + operator.len();
            skip = start;
        } else {
            scan.step(c, previous);
        }
        previous = c;
    }
    found.push((text[start..].trim(), ""));
    found
}

fn previous_redirects(previous: char) -> bool {
    previous == '>' || previous == '<'
}

/// The parts of a list: each with the operator `&&` or `||` after it.
pub(super) fn list(text: &str) -> Vec<(&str, &'static str)> {
    let parts = split(text, &["&&", "||"]);
    // `{ a && b; }` is one part.
    let is_group = |text: &str| text.trim_start_matches("! ").starts_with("{ ");
    let Some(first) = parts.iter().position(|(part, _)| is_group(part)) else { return parts };
    let Some(last) = parts[first..].iter().position(|(part, _)| part.ends_with('}')) else { return parts };
    let start = offset(text, parts[first].0);
    let end = offset(text, parts[first + last].0) + parts[first + last].0.len();
    let group = (&text[start..end], parts[first + last].1);
    [&parts[..first], &[group], &parts[first + last + 1..]].concat()
}

/// The place of `part` in `text`, which contains it.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}

/// The commands of a pipeline.
pub(super) fn pipeline(text: &str) -> Vec<&str> {
    split(text, &["||", "&&", "|"]).into_iter().map(|(part, _)| part).collect()
}

/// Whether the text is one command, without pipe, list, group, command substitution and redirection.
pub(super) fn is_simple(text: &str) -> bool {
    let (mut single, mut double, mut escaped) = (false, false, false);
    let mut previous = ' ';
    for c in text.chars() {
        let literal = std::mem::take(&mut escaped);
        match c {
            _ if literal => {}
            '\\' if !single => escaped = true,
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            '`' if !single => return false,
            '(' if !single && (!double || previous == '$') => return false,
            '|' | '&' | ';' | '<' | '>' | ')' | '\n' if !single && !double => return false,
            _ => {}
        }
        previous = c;
    }
    !single && !double && !escaped
}

/// A word of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Its text, without quotes.
    Literal(String),
    /// A pattern with `*` or `?` outside quotes, and no other special character.
    Pattern(String),
    /// It depends on a value that is not known.
    Unknown,
}

/// The words of a simple command. `None` if the text is not a simple command.
pub(super) fn words(text: &str) -> Option<Vec<Word>> {
    if !is_simple(text) {
        return None;
    }
    let (mut words, mut word, mut quote) = (Vec::new(), None::<(String, bool, bool)>, None);
    let mut chars = text.chars().peekable();
    let finish = |word: (String, bool, bool)| match word {
        (_, _, true) => Word::Unknown,
        (text, true, _) => Word::Pattern(text),
        (text, ..) => Word::Literal(text),
    };
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('$', None | Some('"')) => word.get_or_insert_default().2 = true,
            ('*' | '?', None) => {
                let word = word.get_or_insert_default();
                word.1 = true;
                word.0.push(c);
            }
            // `[` alone is a command.
            ('[', None) if word.is_none() && chars.peek().is_none_or(|next| next.is_whitespace()) => {
                word.get_or_insert_default().0.push(c);
            }
            ('~', None) if word.is_some() => word.get_or_insert_default().0.push(c),
            ('[' | '~' | '{', None) => word.get_or_insert_default().2 = true,
            ('\\', None | Some('"')) => word.get_or_insert_default().0.push(chars.next()?),
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take().map(finish)),
            (c, _) => word.get_or_insert_default().0.push(c),
        }
    }
    words.extend(word.map(finish));
    Some(words)
}

/// The words of a simple command, if all of them are literal.
pub(super) fn literals(text: &str) -> Option<Vec<String>> {
    let literal = |word| if let Word::Literal(text) = word { Some(text) } else { None };
    words(text)?.into_iter().map(literal).collect()
}

/// Name and value, if the text is an assignment without a command after it.
pub(super) fn assignment(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(good) {
        return None;
    }
    let (mut scan, mut previous) = (Scan::default(), ' ');
    for c in value.chars() {
        if scan.is_top() && (c.is_whitespace() || "|&;<>".contains(c)) {
            return None;
        }
        scan.step(c, previous);
        previous = c;
    }
    Some((name, value))
}

/// Replaces each command substitution by `x`. Returns the text and the commands.
pub(super) fn without_substitutions(text: &str) -> (String, Vec<String>) {
    let (mut out, mut commands, mut rest) = (String::new(), Vec::new(), text);
    let mut single = false;
    while let Some(c) = rest.chars().next() {
        if !single && let Some((command, after)) = substitution(rest) {
            commands.push(command.to_owned());
            out.push('x');
            rest = after;
            continue;
        }
        if c == '\'' {
            single = !single;
        }
        if c == '\\' && !single {
            let two: String = rest.chars().take(2).collect();
            out.push_str(&two);
            rest = &rest[two.len()..];
            continue;
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    (out, commands)
}

/// The command of a substitution at the start of `text`, and the text after it. Arithmetic is not a substitution.
pub(super) fn substitution(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('`') {
        return rest.split_once('`');
    }
    let rest = text.strip_prefix("$(").filter(|rest| !rest.starts_with('('))?;
    let (mut scan, mut previous) = (Scan::default(), ' ');
    for (at, c) in rest.char_indices() {
        if c == ')' && scan.is_top() {
            return Some((&rest[..at], &rest[at + 1..]));
        }
        scan.step(c, previous);
        previous = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_outside_quotes_and_groups() {
        assert_eq!(
            list("[ -x \"$(a && b)\" ] && c '||' >&2 || d"),
            [("[ -x \"$(a && b)\" ]", "&&"), ("c '||' >&2", "||"), ("d", "")]
        );
        assert_eq!(pipeline("a 2>&1 | b \"|\""), ["a 2>&1", "b \"|\""]);
        assert_eq!(split("a; b 'c;d'; `e;f`", &[";"]).len(), 3);
        assert!(is_open("a 'b") && is_open("\"$(a") && !is_open("a \"it's\" \\'"));
        assert!(is_open("x=\"$(a 'b' \"c\" | d \"\\'e' { f; }") && !is_open("x=\"$(a 'b' \"c\")\""));
        assert_eq!(without_comment("a '#b' ${x#y} $# #c"), "a '#b' ${x#y} $#");
    }

    #[test]
    fn a_word_is_literal_a_pattern_or_unknown() {
        assert_eq!(literals("a 'b c' \"d e\" f\\ g ''").unwrap(), ["a", "b c", "d e", "f g", ""]);
        assert_eq!(literals("a 1.0~").unwrap(), ["a", "1.0~"]);
        assert_eq!(words("[ /x*y \"*\" ]").unwrap()[1..3], [Word::Pattern("/x*y".into()), Word::Literal("*".into())]);
        for text in ["a $b", "a *", "a | b", "a; b", "a > b", "a \"$b\"", "a `b`", "a $(b)", "a 'b", "~/x", "(a)"] {
            assert_eq!(literals(text), None, "{text}");
        }
        assert!(is_simple("a \"$b\" -- \"$@\"") && !is_simple("a \"$(b)\"") && !is_simple("a && b"));
    }

    #[test]
    fn an_assignment_has_no_command() {
        for (text, value) in [
            ("A=b", Some("b")),
            ("A=\"b c\"", Some("\"b c\"")),
            ("A=$(b c)", Some("$(b c)")),
            ("A=`b c`", Some("`b c`")),
            ("A=b c", None),
            ("a-b=c", None),
            ("A='b' c", None),
            ("A=b;c", None),
        ] {
            assert_eq!(assignment(text).map(|(_, value)| value), value, "{text}");
        }
        let (text, commands) = without_substitutions("a \"$(b `c`)\" '$(d)' `e`");
        assert_eq!((text.as_str(), &commands[..]), ("a \"x\" '$(d)' x", &["b `c`".to_owned(), "e".to_owned()][..]));
    }
}
