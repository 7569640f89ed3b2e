//! The reference implementation of The Update Framework, python-tuf, as a judge.

#![expect(clippy::unwrap_used, reason = "only tests call this module")]

use std::{path::Path, process::Command};

/// A command that runs a script with python-tuf, in an empty environment. The script can import the modules of `judge/python`.
///
/// # Panics
/// If python-tuf is not there and `ci/tuf` cannot install it.
#[must_use]
pub fn python(script: &Path) -> Command {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = Command::new(here.join("../ci/tuf")).output().unwrap();
    assert!(found.status.success(), "{}; run ci/setup", String::from_utf8_lossy(&found.stderr));
    let mut command = Command::new(String::from_utf8(found.stdout).unwrap().trim());
    command.env_clear().env("PYTHONPATH", here.join("python")).env("PYTHONDONTWRITEBYTECODE", "1").arg(script);
    command
}
