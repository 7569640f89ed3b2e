//! Answers of debconf: the defaults of the questions.

use std::collections::BTreeMap;

/// The answers to the questions of a package's `templates`: their defaults. Empty if `config`, the script that asks them, gives
/// other answers itself.
#[must_use]
pub fn answers(templates: &str, config: &str) -> BTreeMap<String, String> {
    let (mut answers, mut question) = (BTreeMap::new(), None);
    if config.contains("db_set") || config.contains("SET ") {
        return answers;
    }
    for line in templates.lines() {
        if let Some(name) = line.strip_prefix("Template:") {
            let name = name.trim().to_owned();
            answers.insert(name.clone(), String::new());
            question = Some(name);
        } else if let (Some(default), Some(name)) = (line.strip_prefix("Default:"), &question) {
            answers.insert(name.clone(), default.trim().to_owned());
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_answers() {
        let templates =
            "Template: a/b\nType: boolean\nDefault: true\nDescription: x\n Default: no\n\nTemplate: a/c\nType: note\n";
        let found = answers(templates, "db_input low a/b");
        assert_eq!(found, BTreeMap::from([("a/b".into(), "true".into()), ("a/c".into(), String::new())]));
        assert!(answers(templates, "db_set a/b false").is_empty());
    }
}
