//! Splits a shell script into lines.

use super::words::{is_open, split, without_comment};

/// A command with its continuations and here-documents.
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
        let mut text = without_comment(first.trim()).to_owned();
        if text.is_empty() {
            continue;
        }
        loop {
            if is_open(&text) {
                let Some((_, next)) = rest.next() else { break };
                text = without_comment(&format!("{text}\n{next}")).trim_end().to_owned();
            } else if text.ends_with('\\') && !text.ends_with("\\\\") {
                text.pop();
                let Some((_, next)) = rest.next() else { break };
                text = format!("{} {}", text.trim_end(), without_comment(next.trim()));
            } else if text.ends_with("&&") || text.ends_with("||") || (text.ends_with('|') && !text.ends_with(">|")) {
                let Some((_, next)) = rest.next() else { break };
                text = format!("{text} {}", without_comment(next.trim())).trim_end().to_owned();
            } else {
                break;
            }
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
        for text in commands(&text) {
            match (text.as_str(), found.last_mut()) {
                ("then" | "do", Some(head)) => {
                    head.text = format!("{}; {text}", head.text.trim_end_matches(';').trim_end());
                }
                ("{", Some(head)) if head.text.ends_with(')') => head.text.push_str(" {"),
                _ => found.push(Line { number: index + 1, text }),
            }
        }
    }
    found
}

/// Splits `if x; then y; fi`, `a) y ;;`, `a; b` and `x || { y; z; }` into one text for each part.
fn commands(text: &str) -> Vec<String> {
    if text.contains('\n') {
        return vec![text.to_owned()];
    }
    let mut found: Vec<String> = Vec::new();
    for (part, operator) in split(text, &[";;", ";"]) {
        let mut part = part;
        // A group in a condition stays in its head: `if a || { b; }; then`.
        if let Some(head) = found.last_mut().filter(|head| is_head(head) && head.contains("{ ") && !head.ends_with('}'))
        {
            *head = format!("{head}; {part}");
            continue;
        }
        loop {
            let (keyword, after) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
            let group = [" && {", " || {"]
                .iter()
                .filter(|_| !is_head(part))
                .find_map(|open| Some(part.find(open)? + open.len()));
            match (keyword, group) {
                ("then" | "do" | "else" | "{", _) if !after.is_empty() => {
                    found.push(keyword.to_owned());
                    part = after.trim();
                }
                (_, Some(end)) if part[end..].starts_with(char::is_whitespace) => {
                    found.push(part[..end].to_owned());
                    part = part[end..].trim();
                }
                _ => break,
            }
        }
        found.extend(Some(part).filter(|part| !part.is_empty()).map(str::to_owned));
        found.extend(Some(operator).filter(|operator| *operator == ";;").map(str::to_owned));
    }
    found
}

/// Whether the text starts a statement with a condition.
fn is_head(text: &str) -> bool {
    ["if ", "elif ", "while ", "until "].iter().any(|word| text.starts_with(word))
}

/// The word that ends the here-document, if one starts in `text`.
fn here_document(text: &str) -> Option<String> {
    let first = text.lines().next().unwrap_or_default();
    let at = first.find("<<").filter(|at| !first[at + 2..].starts_with('<'))?;
    let word = first[at + 2..].trim_start_matches('-').trim_start();
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
        assert_eq!(texts("a 'b\n# c' # d\ne &&  # f\n  g"), ["a 'b\n# c'", "e && g"]);
        assert_eq!(texts("x || { y; z; }\nf()\n{\n  a; b\n}"), ["x || {", "y", "z", "}", "f() {", "a", "b", "}"]);
        assert_eq!(texts("if a || { b; }; then c; fi"), ["if a || { b; }; then", "c", "fi"]);
        assert_eq!(texts("for x in a; do b; done"), ["for x in a; do", "b", "done"]);
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
}
