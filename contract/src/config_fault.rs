//! A wrong value of host.toml: the key, the expected and the found value, and a hint.
//!
//! The checks of the types know the key, but not the text. The program that has read the text adds line and column.

use std::fmt;

/// A step from a table or list to a value in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The key of a table.
    Key(String),
    /// The position in a list, counted from 0.
    Index(usize),
}

/// A value that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// Where the value is, from the outermost table on. Empty: the file itself.
    pub path: Vec<Step>,
    /// The expected value.
    pub expected: String,
    /// The value found. Never a secret.
    pub found: String,
    /// The next step for the user.
    pub hint: Option<String>,
}

impl ConfigFault {
    /// A fault of the value itself. The callers add its place with [`ConfigFault::within`] and [`ConfigFault::item`].
    #[must_use]
    pub fn new(expected: impl Into<String>, found: impl fmt::Display) -> Self {
        Self { path: Vec::new(), expected: expected.into(), found: found.to_string(), hint: None }
    }

    /// A fault of the value of a key.
    #[must_use]
    pub fn of(key: &str, expected: impl Into<String>, found: impl fmt::Display) -> Self {
        Self::new(expected, found).within(key)
    }

    /// Adds the key of the table that contains the value.
    #[must_use]
    pub fn within(mut self, key: &str) -> Self {
        self.path.insert(0, Step::Key(key.to_owned()));
        self
    }

    /// Adds the position in the list of this key.
    #[must_use]
    pub fn item(mut self, key: &str, index: usize) -> Self {
        self.path.insert(0, Step::Index(index));
        self.within(key)
    }

    /// Adds a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The place as text: `container[0].ports`.
    #[must_use]
    pub fn key(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if text.is_empty() => text.push_str(key),
                Step::Key(key) => text.extend([".", key]),
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.key())?;
        }
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

impl std::error::Error for ConfigFault {}

/// Checks each item of a list, and adds its place to the first fault.
///
/// # Errors
/// The fault of the first item that has one.
pub fn check_items<T>(
    key: &str,
    items: &[T],
    check: impl Fn(&T) -> Result<(), ConfigFault>,
) -> Result<(), ConfigFault> {
    items.iter().enumerate().try_for_each(|(index, item)| check(item).map_err(|fault| fault.item(key, index)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_the_place_of_its_value() {
        let odd = |number: &u32| {
            (number % 2 == 1).then_some(()).ok_or_else(|| ConfigFault::of("size", "an odd number", number))
        };
        let fault = check_items("disk", &[1, 4], odd).unwrap_err().within("store");
        assert_eq!(fault.to_string(), "store.disk[1].size: expected an odd number, found 4");
        assert_eq!(check_items("disk", &[1, 3], odd), Ok(()));
        assert_eq!(ConfigFault::new("a", "b").to_string(), "expected a, found b");
    }
}
