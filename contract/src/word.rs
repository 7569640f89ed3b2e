//! Enums of words that may be extended by other programs: a record of another OS version, or an engine, may use a word that this
//! program does not know.

/// Defines an enum of words. In JSON it is a string. A word that is not in the list becomes `Other`, so that it can still be shown.
macro_rules! open_words {
    ($(#[$doc:meta])* $visibility:vis enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(from = "String", into = "String")]
        $visibility enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A word that this program does not know.
            Other(String),
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "examples": [$($text),+] })
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    _ => Self::Other(text.to_owned()),
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                text.as_str().into()
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.to_string()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
                })
            }
        }
    };
}

pub(crate) use open_words;

#[cfg(test)]
mod tests {
    open_words! {
        /// Two words.
        enum Two {
            /// One.
            One = "one",
            /// Another.
            Another = "two-words",
        }
    }

    #[test]
    fn known_words_become_variants_and_unknown_words_are_kept() {
        for (text, word) in [("one", Two::One), ("two-words", Two::Another), ("3", Two::Other("3".into()))] {
            assert_eq!(serde_json::from_str::<Two>(&format!("\"{text}\"")).unwrap(), word);
            assert_eq!(serde_json::to_string(&word).unwrap(), format!("\"{text}\""));
            assert_eq!(word.to_string(), text);
        }
    }
}
