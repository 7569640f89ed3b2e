//! Splits Rust source into tokens, without comments, literals and tests.

/// A token: a word, `::`, or a single other character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    /// `::`
    Path,
    Other(char),
}

impl Token {
    pub(crate) fn is(&self, other: char) -> bool {
        *self == Self::Other(other)
    }

    pub(crate) fn word(&self) -> Option<&str> {
        if let Self::Word(word) = self { Some(word) } else { None }
    }
}

/// The tokens of a file. Items with `#[cfg(test)]` are left out, because unit tests may import anything.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    without_tests(&scan(text))
}

fn scan(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while let Some(&c) = chars.get(at) {
        let rest = &chars[at..];
        at += match c {
            '/' if rest.get(1) == Some(&'/') => line_length(rest),
            '/' if rest.get(1) == Some(&'*') => comment_length(rest),
            '"' => string_length(rest),
            '\'' => quote_length(rest),
            ':' if rest.get(1) == Some(&':') => {
                tokens.push(Token::Path);
                2
            }
            c if is_word(c) => {
                let word: String = rest.iter().take_while(|c| is_word(**c)).collect();
                let end = word.chars().count();
                match raw_string_length(&word, &rest[end..]) {
                    Some(length) => end + length,
                    None => {
                        tokens.push(Token::Word(word));
                        end
                    }
                }
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(Token::Other(c));
                }
                1
            }
        };
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_length(rest: &[char]) -> usize {
    rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())
}

/// Block comments may be nested.
fn comment_length(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        match rest.get(at..at + 2) {
            Some(['/', '*']) => (depth, at) = (depth + 1, at + 2),
            Some(['*', '/']) if depth == 1 => return at + 2,
            Some(['*', '/']) => (depth, at) = (depth - 1, at + 2),
            Some(_) => at += 1,
            None => return rest.len(),
        }
    }
}

fn string_length(rest: &[char]) -> usize {
    let mut at = 1;
    while let Some(c) = rest.get(at) {
        match c {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a raw string after its prefix: `#"..."#`. `None` if it is not a raw string.
fn raw_string_length(prefix: &str, rest: &[char]) -> Option<usize> {
    if !["r", "br", "cr"].contains(&prefix) {
        return None;
    }
    let hashes = rest.iter().take_while(|c| **c == '#').count();
    if rest.get(hashes) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = &rest[hashes + 1..];
    let found = body.windows(end.len()).position(|window| window == end);
    Some(hashes + 1 + found.map_or(body.len(), |at| at + end.len()))
}

/// The length of a character literal, or of the quote of a lifetime.
fn quote_length(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', _, tail @ ..] => 3 + tail.iter().position(|c| *c == '\'').map_or(tail.len(), |at| at + 1),
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let test: Vec<Token> = scan("#[cfg(test)]");
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if tokens[at..].starts_with(&test) {
            at += test.len();
            at += item_length(&tokens[at..]);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// The length of an item in tokens. An item ends with its closing brace or its semicolon. Braces inside parentheses or brackets do not end
/// it.
fn item_length(tokens: &[Token]) -> usize {
    let (mut braces, mut others) = (0, 0);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Other('(' | '[') => others += 1,
            Token::Other(')' | ']') => others -= 1,
            Token::Other('{') => braces += 1,
            Token::Other('}') => {
                braces -= 1;
                if braces == 0 && others == 0 {
                    return at + 1;
                }
            }
            Token::Other(';') if braces == 0 && others == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        tokens(text).iter().filter_map(|token| token.word().map(str::to_owned)).collect()
    }

    #[test]
    fn comments_and_literals_are_left_out() {
        let text = r##"a /* b /* c */ d */ "e \" f" 'g' '\'' '"' b"h" br#"i " j"# 'k: l // m
            n"##;
        assert_eq!(words(text), ["a", "b", "k", "l", "n"]);
    }

    #[test]
    fn tests_are_left_out() {
        let text = "a; #[cfg(test)] #[path = \"x.rs\"] mod b; c; #[cfg(test)] fn d(e: [u8; 2]) { { f } } g";
        assert_eq!(words(text), ["a", "c", "g"]);
    }
}
