//! The page docs/packages.md.

use std::{path::Path, process::Command};

/// `ci/packages` writes the page: nobody has edited it, and it has each package of the script's list.
#[test]
fn the_page_of_packages_is_what_its_script_writes() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ci/packages");
    let output = Command::new("python3").arg(script).arg("--check").output().expect("run ci/setup");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
