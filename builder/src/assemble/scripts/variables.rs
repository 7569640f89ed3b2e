//! Variables of a script, as far as their values are known.

use super::words::substitution;
use std::collections::BTreeMap;

/// The variables and arguments at a place of the script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Variables {
    /// `None`: the variable has a value that is not known.
    values: BTreeMap<String, Option<String>>,
    /// `$1`, `$2` and so on. `None` if they are not known.
    arguments: Option<Vec<String>>,
}

impl Variables {
    /// The variables at the start of a script that dpkg runs with `arguments`. dpkg sets `environment`.
    pub(super) fn new(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let values = environment.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect();
        Self { values, arguments: Some(arguments.iter().map(|argument| (*argument).to_owned()).collect()) }
    }

    pub(super) fn set(&mut self, name: &str, value: Option<String>) {
        self.values.insert(name.to_owned(), value);
    }

    pub(super) fn arguments(&self) -> Option<&[String]> {
        self.arguments.as_deref()
    }

    pub(super) fn set_arguments(&mut self, arguments: Option<Vec<String>>) {
        self.arguments = arguments;
    }

    /// Forgets each value that differs in `other`: the state after a branch that may have run.
    pub(super) fn merge(&mut self, other: &Self) {
        for (name, value) in &other.values {
            if self.values.get(name) != Some(value) {
                self.values.insert(name.clone(), None);
            }
        }
        if self.arguments != other.arguments {
            self.arguments = None;
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        if let Ok(number) = name.parse::<usize>() {
            let arguments = self.arguments.as_ref()?;
            // An argument that is not given is empty.
            return number.checked_sub(1).map(|at| arguments.get(at).map_or("", String::as_str));
        }
        match name {
            "@" | "*" | "#" => None,
            _ => self.values.get(name)?.as_deref(),
        }
    }

    /// Replaces variables and substitutions whose values are known. The others stay in the text. `run` gives the output of a
    /// command.
    pub(super) fn expand(&self, text: &str, run: &dyn Fn(&str) -> Option<String>) -> String {
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        let (mut single, mut double) = (false, false);
        while let Some(c) = rest.chars().next() {
            if !single && let Some((value, after)) = self.value(rest, double, run) {
                out.push_str(&value);
                rest = after;
                continue;
            }
            match c {
                '\\' if !single => {
                    let two: String = rest.chars().take(2).collect();
                    out.push_str(&two);
                    rest = &rest[two.len()..];
                    continue;
                }
                '\'' if !double => single = !single,
                '"' if !single => double = !double,
                _ => {}
            }
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
        out
    }

    /// The value of what starts `text`, as text of a script, and the rest of the text. `None` if nothing known starts there.
    fn value<'a>(
        &self,
        text: &'a str,
        quoted: bool,
        run: &dyn Fn(&str) -> Option<String>,
    ) -> Option<(String, &'a str)> {
        if let Some(rest) = text.strip_prefix("\"$@\"").filter(|_| !quoted) {
            let arguments = self.arguments.as_ref()?.iter().map(|argument| in_script(argument, true));
            let arguments: Option<Vec<String>> = arguments.map(|one| Some(format!("\"{}\"", one?))).collect();
            return Some((arguments?.join(" "), rest));
        }
        if let Some((command, rest)) = substitution(text) {
            let output = run(self.expand(command, run).trim())?;
            return Some((in_script(&output, quoted)?, rest));
        }
        let after = text.strip_prefix('$')?;
        if let Some(inner) = after.strip_prefix('{') {
            let (inner, rest) = inner.split_once('}')?;
            return Some((in_script(&self.parameter(inner)?, quoted)?, rest));
        }
        let len = match after.chars().next()? {
            c if c.is_ascii_digit() => 1,
            _ => after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len()),
        };
        let value = self.get(&after[..len]).filter(|_| len > 0)?;
        Some((in_script(value, quoted)?, &after[len..]))
    }

    /// `NAME`, `NAME:-WORD`, `NAME-WORD`, `NAME:+WORD`.
    fn parameter(&self, text: &str) -> Option<String> {
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
        let (name, operator) = text.split_at(end);
        let value = self.get(name)?;
        let plain = |word: &str| (!word.contains(['$', '`', '"', '\'', '{'])).then(|| word.to_owned());
        match operator {
            "" => Some(value.to_owned()),
            _ => {
                if let Some(word) = operator.strip_prefix(":-") {
                    return if value.is_empty() { plain(word) } else { Some(value.to_owned()) };
                }
                if let Some(word) = operator.strip_prefix(":+") {
                    return if value.is_empty() { Some(String::new()) } else { plain(word) };
                }
                operator.strip_prefix('-').map(|_| value.to_owned())
            }
        }
    }
}

/// A value as text of a script. `None` if it has characters that the shell would read differently.
fn in_script(value: &str, quoted: bool) -> Option<String> {
    let good = |c: char| match c {
        '"' | '$' | '`' | '\\' | '\n' => false,
        _ if quoted => true,
        c => c.is_ascii_alphanumeric() || " /._-+:@%,=~^*?".contains(c),
    };
    value.chars().all(good).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_are_replaced_and_others_stay() {
        let mut variables = Variables::new(&["configure", ""], &[("DPKG_ROOT", ""), ("A", "b"), ("two", "c d")]);
        variables.set("RET", None);
        let run = |command: &str| command.strip_prefix("dirname ").map(|_| "/etc".to_owned());
        for (text, expanded) in [
            ("[ \"$1\" = x ] $2", "[ \"configure\" = x ] "),
            ("${A}c $A/$B \"$A\" '$A' \\$A", "bc b/$B \"b\" '$A' \\$A"),
            ("$RET $two", "$RET c d"),
            ("${3:-x} ${2:-y} ${1:-z} ${DPKG_ROOT:+--root=\"$DPKG_ROOT\"}", "x y configure "),
            ("f \"$@\"", "f \"configure\" \"\""),
            ("$(dirname \"$A\") `dirname x` $(id)", "/etc /etc $(id)"),
            ("${A%x} ${A#*y}", "${A%x} ${A#*y}"),
        ] {
            assert_eq!(variables.expand(text, &run), expanded, "{text}");
        }
        let mut other = variables.clone();
        other.set("A", Some("c".into()));
        other.set("new", Some("d".into()));
        variables.merge(&other);
        assert_eq!(variables.expand("$A $new $two", &run), "$A $new c d");
    }
}
