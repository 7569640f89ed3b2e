//! Here-documents of `cat`.

use super::{command::write, line::quiet, system::System, words::literals};
use crate::assemble::change::FileChange;

/// `cat <<EOF`, with the file that it writes.
pub(super) struct HereDocument {
    /// `None`: it prints the text.
    path: Option<String>,
    append: bool,
    /// `None` if the text is not known.
    text: Option<String>,
}

impl HereDocument {
    /// Whether a here-document starts in the first line of `text`.
    pub(super) fn starts(text: &str) -> bool {
        text.split_once('\n').is_some_and(|(first, _)| first.contains("<<"))
    }

    /// `None` if it is not a here-document of `cat`. `expand` replaces variables that are known.
    pub(super) fn parse(text: &str, expand: &dyn Fn(&str) -> String) -> Option<Self> {
        let (first, body) = text.split_once('\n')?;
        let (before, after) = first.split_once("<<")?;
        let tabs = after.starts_with('-');
        let after = after.trim_start_matches('-').trim_start();
        let (end, after) = after.split_at(after.find([' ', '\t', '>']).unwrap_or(after.len()));
        let literal = end.starts_with(['\'', '"', '\\']);
        let redirection = format!("{} {}", before.trim().strip_prefix("cat")?, after);
        let redirection = expand(quiet(redirection.trim()));
        let append = redirection.starts_with(">>");
        let path = match redirection.trim_start_matches('>').trim() {
            "" => None,
            path => Some(literals(path).filter(|words| words.len() == 1)?.remove(0)),
        };
        if path.is_some() != redirection.starts_with('>') {
            return None;
        }
        // The last line ends the document.
        let lines = body.lines().map(|line| if tabs { line.trim_start_matches('\t') } else { line });
        let lines: Vec<&str> = lines.collect();
        let plain: String = lines[..lines.len().saturating_sub(1)].iter().flat_map(|line| [line, "\n"]).collect();
        Some(Self { path, append, text: if literal { Some(plain) } else { expanded(&plain, expand) } })
    }

    /// The file that the document writes. The outer `None`: it is not known. The inner `None`: it prints.
    pub(super) fn change(self, system: &System<'_>) -> Option<Option<FileChange>> {
        let Some(path) = self.path else { return Some(None) };
        write(&path, self.text?, self.append, system).map(Some)
    }
}

/// The text as the shell writes it. `None` if a value is not known.
fn expanded(text: &str, expand: &dyn Fn(&str) -> String) -> Option<String> {
    // Inside double quotes, the shell expands the same.
    let quoted = expand(&format!("\"{}\"", text.replace('"', "\u{0}")));
    let (mut out, mut rest) = (String::new(), quoted.strip_prefix('"')?.strip_suffix('"')?.chars().peekable());
    while let Some(c) = rest.next() {
        match c {
            '`' => return None,
            // `$` before another character is an ordinary one.
            '$' if rest.peek().is_some_and(|next| next.is_ascii_alphanumeric() || "_{(@*#?$!-".contains(*next)) => {
                return None;
            }
            '\\' if rest.peek().is_some_and(|next| "$`\\".contains(*next)) => out.extend(rest.next()),
            '\u{0}' => out.push('"'),
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::scripts::PackageFiles;

    #[test]
    fn cat_prints_or_writes_the_text() {
        let (files, answers) = (PackageFiles::default(), std::collections::BTreeMap::new());
        let system = System::new("p", &files, &answers);
        let expand = |text: &str| text.replace("$A", "x");
        let of = |text: &str| HereDocument::parse(text, &expand)?.change(&system);
        assert_eq!(of("cat <<EOF >&2\n$B\nEOF"), Some(None));
        for (text, written, append) in [
            ("cat > /etc/f <<-'EOF'\n\t$B `c`\n\tEOF", "$B `c`\n", false),
            ("cat <<EOF > /etc/f\n\"$A\" \\$A's\nEOF", "\"x\" $A's\n", false),
            ("cat >>/etc/f << EOF\nEOF", "", true),
        ] {
            let change = FileChange::Write { path: "/etc/f".to_owned(), text: written.to_owned(), append, mode: 0o644 };
            let text = text.replace("\\$A", "\\$");
            let change = match change {
                FileChange::Write { path, text, append, mode } => {
                    FileChange::Write { path, text: text.replace("$A's", "$'s"), append, mode }
                }
                other => other,
            };
            assert_eq!(of(&text), Some(Some(change)), "{text}");
        }
        for text in ["sh <<EOF\nx\nEOF", "cat > /etc/f <<EOF\n$B\nEOF", "cat > $F <<EOF\nx\nEOF", "cat x <<EOF\nEOF"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
