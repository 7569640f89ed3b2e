//! The error of a hostctl that init has run for a client.

use berth_contract::control::ControlError;

/// Parses the stderr of hostctl. The last line is the error as JSON ([`berth_contract::control::JSON_ERRORS`]), unless hostctl has
/// crashed. Lines before it are warnings, which become part of the message.
pub(super) fn control_error(said: &str) -> ControlError {
    let (before, last) = said.rsplit_once('\n').unwrap_or(("", said));
    match serde_json::from_str(last) {
        Ok(error) if before.is_empty() => error,
        Ok(ControlError { message, hint, code }) => {
            ControlError { message: format!("{before}\n{message}"), hint, code }
        }
        Err(_) => ControlError { message: said.to_owned(), hint: None, code: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_stderr_is_the_error_of_hostctl() {
        let json = r#"{"message":"no release","hint":"hostctl status"}"#;
        for (said, message, hint) in [
            (json, "no release", Some("hostctl status")),
            (&format!("warning: x\n{json}"), "warning: x\nno release", Some("hostctl status")),
            (r#"{"message":"no","hint":null}"#, "no", None),
            ("panicked\nhint: at y", "panicked\nhint: at y", None),
        ] {
            let expected = ControlError { message: message.to_owned(), hint: hint.map(str::to_owned), code: None };
            assert_eq!(control_error(said), expected);
        }
    }
}
