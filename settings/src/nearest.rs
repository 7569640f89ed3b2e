//! Names that users have mistyped.

/// The most similar of `names`, if at most a third of the letters differ.
#[must_use]
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 3).max(1);
    names
        .into_iter()
        .map(|known| (strsim::osa_distance(name, known), known))
        .filter(|(distance, known)| *distance <= most && !known.is_empty())
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_typing_error_finds_the_nearest_name() {
        let names = ["packages", "provided", "drop", "suite"];
        assert_eq!(nearest("packges", names), Some("packages"));
        assert_eq!(nearest("siute", names), Some("suite"));
        assert_eq!(nearest("drops", names), Some("drop"));
        assert_eq!(nearest("kernel", names), None);
    }
}
