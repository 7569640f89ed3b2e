//! Patterns of `case`.

/// Whether a word matches one of the patterns of an arm (`a|b*`). `None` if a pattern has a form that is not supported.
pub(super) fn matches(arm: &str, word: &str) -> Option<bool> {
    let mut known = true;
    for pattern in arm.split('|') {
        match one(pattern.trim(), word) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => known = false,
        }
    }
    known.then_some(false)
}

fn one(pattern: &str, word: &str) -> Option<bool> {
    let quoted = ['"', '\''].iter().find_map(|quote| pattern.strip_prefix(*quote)?.strip_suffix(*quote));
    if let Some(literal) = quoted.filter(|literal| !literal.contains(['"', '\'', '$', '`'])) {
        return Some(literal == word);
    }
    if pattern.contains(['?', '[', '$', '`', '\\', '"', '\'']) {
        return None;
    }
    let Some((start, rest)) = pattern.split_once('*') else { return Some(pattern == word) };
    let Some(rest_of_word) = word.strip_prefix(start) else { return Some(false) };
    if rest.is_empty() {
        return Some(true);
    }
    // The `*` takes any number of characters.
    let ends = rest_of_word.char_indices().map(|(at, _)| at).chain([rest_of_word.len()]);
    let results: Vec<_> = ends.map(|at| one(rest, &rest_of_word[at..])).collect();
    Some(results.contains(&Some(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (arm, word, result) in [
            ("configure|reconfigure", "configure", Some(true)),
            ("abort-*", "configure", Some(false)),
            ("con*", "configure", Some(true)),
            ("*fig*e", "configure", Some(true)),
            ("*", "", Some(true)),
            ("\"configure\"", "configure", Some(true)),
            ("'*'", "configure", Some(false)),
            ("[a-z]*", "configure", None),
            ("$x|configure", "configure", Some(true)),
            ("$x|install", "configure", None),
        ] {
            assert_eq!(matches(arm, word), result, "{arm}");
        }
    }
}
