//! Splits a shell script into lines, and answers questions about a single line.

/// A line with its continuations and here-documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Number of its first line in the file, from 1.
    pub(super) number: usize,
    /// The text without blanks around it. Continuation lines are joined. A here-document follows after a newline.
    pub(super) text: String,
}

/// Splits a script into lines. Removes comments, blank lines and the interpreter line. Moves a `then` or `do` on its own line to
/// the end of the line before.
pub(super) fn lines(script: &str) -> Vec<Line> {
    let mut found: Vec<Line> = Vec::new();
    let mut rest = script.lines().enumerate();
    while let Some((index, first)) = rest.next() {
        let mut text = first.trim().to_owned();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        while text.ends_with('\\') && !text.ends_with("\\\\") {
            text.pop();
            let Some((_, next)) = rest.next() else { break };
            text = format!("{} {}", text.trim_end(), next.trim());
        }
        if let Some(end) = here_document(&text) {
            for (_, next) in rest.by_ref() {
                text.push('\n');
                text.push_str(next);
                if next.trim_start_matches('\t') == end {
                    break;
                }
            }
        }
        match (text.as_str(), found.last_mut()) {
            ("then" | "do", Some(head)) => {
                head.text = format!("{}; {text}", head.text.trim_end_matches(';').trim_end())
            }
            _ => found.extend(split(&text).into_iter().map(|text| Line { number: index + 1, text })),
        }
    }
    found
}

/// Splits `if x; then y; fi` and `a) y ;;` into one line for each part. A more complicated line stays as it is.
fn split(text: &str) -> Vec<String> {
    if text.contains('\n') {
        return vec![text.to_owned()];
    }
    if let Some(rest) = text.strip_suffix(";;").map(str::trim_end).filter(|rest| !rest.is_empty()) {
        return split(rest).into_iter().chain([";;".to_owned()]).collect();
    }
    if let (true, Some(at)) = (text.starts_with("if "), text.find("; then ")) {
        let (head, rest) = text.split_at(at + "; then".len());
        let (body, end) = match rest.trim_end_matches(';').trim_end().strip_suffix("fi") {
            Some(body) if body.trim_end().ends_with(';') => (body.trim_end().trim_end_matches(';'), Some("fi")),
            _ => (rest, None),
        };
        if !body.contains("; ") {
            return [Some(head), Some(body.trim()), end].into_iter().flatten().map(str::to_owned).collect();
        }
    }
    vec![text.to_owned()]
}

/// The word that ends the here-document, if one starts in `text`.
fn here_document(text: &str) -> Option<String> {
    let at = text.find("<<").filter(|at| !text[at + 2..].starts_with('<'))?;
    let word = text[at + 2..].trim_start_matches('-').trim_start();
    let word: String = word.chars().take_while(|c| !c.is_whitespace() && !"|;&)>".contains(*c)).collect();
    let word = word.trim_matches(['"', '\'', '\\']);
    // `$((1 << 2))` is arithmetic.
    (!word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit())).then(|| word.to_owned())
}

/// Removes the parts at the end that only hide output or errors: redirections to /dev/null or stderr, `|| true`.
pub(super) fn quiet(text: &str) -> &str {
    let mut text = text.trim();
    loop {
        let before = text;
        for end in [
            "||true",
            "|| true",
            "||:",
            "|| :",
            "2>&1",
            ">&2",
            "1>&2",
            ">/dev/null",
            "> /dev/null",
            "2>/dev/null",
            "2> /dev/null",
            ";",
        ] {
            text = text.strip_suffix(end).unwrap_or(text).trim_end();
        }
        // When `>/dev/null` is removed from `2>/dev/null`, the `2` is left.
        if let Some(rest) = text.strip_suffix(" 2").or(text.strip_suffix(" 1")).filter(|_| before.len() > text.len()) {
            text = rest.trim_end();
        }
        if text == before {
            return text;
        }
    }
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

/// The words of a simple command. `None` if a word is not literal.
pub(super) fn words(text: &str) -> Option<Vec<String>> {
    if !is_simple(text) {
        return None;
    }
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('$', None | Some('"')) => return None,
            ('*' | '?' | '[' | '~' | '{', None) => return None,
            ('\\', None | Some('"')) => word.get_or_insert_default().push(chars.next()?),
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

/// Whether the line only assigns a value to a variable, without running a command.
pub(super) fn is_assignment(text: &str) -> bool {
    let Some((name, _)) = text.split_once('=') else { return false };
    let name_like = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let one_word = || {
        let value = &text[name.len() + 1..];
        let quoted = value.len() > 1 && (value.starts_with('"') || value.starts_with('\''));
        quoted && value[1..].find(&value[..1]) == Some(value.len() - 2) || !value.contains(char::is_whitespace)
    };
    !name.is_empty() && name.chars().all(name_like) && is_simple(text) && one_word()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str) -> Vec<String> {
        lines(script).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn scripts_are_split_like_a_shell_does() {
        let script = "#!/bin/sh\n# a\nset -e\nif x\nthen\n  a \\\n    b\nfi\ncat <<-'EOF' > f\n\tone\n# two\n\tEOF\n\nwhile y;\ndo\ndone\n";
        assert_eq!(
            texts(script),
            ["set -e", "if x; then", "a b", "fi", "cat <<-'EOF' > f\n\tone\n# two\n\tEOF", "while y; do", "done"]
        );
        assert_eq!(lines(script)[2].number, 6);
        assert_eq!(texts("x=$((1 << 2))\ny <<< z\nw"), ["x=$((1 << 2))", "y <<< z", "w"]);
        assert_eq!(texts("if [ -x a ]; then b; fi"), ["if [ -x a ]; then", "b", "fi"]);
        assert_eq!(texts("*) x ;;\n;;"), ["*) x", ";;", ";;"]);
        assert_eq!(texts("cat <<EOF\nnever ends"), ["cat <<EOF\nnever ends"]);
    }

    #[test]
    fn redirections_that_hide_output_are_removed() {
        for text in
            ["a b", "a b || true", "a b >/dev/null 2>&1", "a b > /dev/null || :", "a b >&2", "a b 2>/dev/null ||true;"]
        {
            assert_eq!(quiet(text), "a b", "{text}");
        }
        assert_eq!(quiet("a > b"), "a > b");
    }

    #[test]
    fn a_command_with_a_word_that_is_not_literal_has_no_words() {
        assert_eq!(words("a 'b c' \"d e\" f\\ g ''").unwrap(), ["a", "b c", "d e", "f g", ""]);
        for text in ["a $b", "a *", "a | b", "a; b", "a > b", "a \"$b\"", "a `b`", "a $(b)", "a 'b", "~/x", "(a)"] {
            assert_eq!(words(text), None, "{text}");
        }
        assert!(is_simple("a \"$b\" -- \"$@\"") && !is_simple("a \"$(b)\"") && !is_simple("a && b"));
        for (text, is) in [
            ("A=b", true),
            ("A=\"b c\"", true),
            ("A=b c", false),
            ("A=$(b)", false),
            ("a-b=c", false),
            ("A='b' c", false),
        ] {
            assert_eq!(is_assignment(text), is, "{text}");
        }
    }
}
