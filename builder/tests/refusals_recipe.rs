//! Messages of the command: faulty recipes and lock files. Single faults inside a recipe are tested in `recipe.rs`.

use crate::refusal_kit::{Deb, Desk};
use std::fs;

#[test]
fn recipes_that_cannot_be_used() {
    let desk = Desk::new(vec![]);
    let good = desk.text("r.toml");
    let mut said = String::new();
    let mut refused = |what: &str, text: &str| {
        desk.write("r.toml", text);
        for verb in ["lock", "build"] {
            let refusal = desk.berth(&desk.archive.url(), &[verb, "r.toml"]).refusal();
            match verb {
                "lock" => said += &format!("--- {what}\n{refusal}\n"),
                _ => assert!(
                    said.ends_with(&format!("--- {what}\n{refusal}\n")),
                    "`berth build` must print the same message as `berth lock`"
                ),
            }
        }
    };
    refused("unknown key, one has a similar name", &good.replace("suite", "siute"));
    refused("unknown key, none has a similar name", &format!("colour = 1\n{good}"));
    refused("wrong type: number", &good.replace("version = \"1\"", "version = 1.0"));
    refused("wrong type: text for a list", &good.replace("packages = []", "packages = \"curl\""));
    refused("wrong type: text for a table", &format!("disk = \"1GiB\"\n{good}"));
    refused("bad version", &good.replace("version = \"1\"", "version = \"1_0\""));
    refused("not TOML", "id = \n");
    refused("extends a missing file, no other recipe exists", &format!("extends = \"bsae.toml\"\n{good}"));
    desk.write("base.toml", "extends = \"r.toml\"\n");
    refused("extends a missing file, one has a similar name", &format!("extends = \"bsae.toml\"\n{good}"));
    refused("extends a missing file, none has a similar name", &format!("extends = \"far/else.toml\"\n{good}"));
    refused("extends in a circle", &format!("extends = \"base.toml\"\n{good}"));
    refused("extends a missing file in a missing folder", &format!("extends = \"bad/deep.toml\"\n{good}"));
    desk.write("bad.toml", "[disk]\nslot = \"1GB\"\n");
    refused("extends a faulty file", &format!("extends = \"bad.toml\"\n{good}"));
    for (what, path) in [("a missing file", "none.toml"), ("a folder", "bin"), ("not a text file", "bin/init")] {
        said += &format!("--- {what}\n{}\n", desk.berth(&desk.archive.url(), &["lock", path]).refusal());
    }
    insta::assert_snapshot!(said);
}

#[test]
fn invalid_lock_files() {
    let desk = Desk::new(vec![Deb::new("curl")]);
    let mut said = format!("--- missing\n{}\n", desk.build().refusal());
    desk.recipe("\"curl\"");
    desk.lock().success();
    let lock = desk.text("r.lock");
    let mut refused = |what: &str, text: &str| {
        assert!(text != lock || what.contains("recipe"), "{what}");
        desk.write("r.lock", text);
        said += &format!("--- {what}\n{}\n", desk.build().refusal());
        assert_eq!(desk.text("r.lock"), text, "a build must not change the lock file");
    };
    refused("edited by hand", &lock.replacen("version = \"1.0\"", "version = \"1.1\"", 1));
    refused("a path that leaves the archive", &lock.replace("pool/curl.deb", "../curl.deb"));
    refused("a newer format", &lock.replacen("format = 2", "format = 9", 1));
    refused("an older format", &lock.replacen("format = 2", "format = 1", 1));
    refused("no format", "text = 1\n");
    refused("a git merge conflict", &lock.replacen("date =", "<<<<<<< ours\ndate =", 1));
    refused("an unknown key", &lock.replacen("date =", "colour = 1\ndate =", 1));
    desk.recipe("");
    refused("a changed recipe", &lock);
    fs::remove_file(desk.path("r.lock")).unwrap();
    fs::create_dir(desk.path("r.lock")).unwrap();
    said += &format!("--- a folder\n{}\n", desk.build().refusal());
    insta::assert_snapshot!(said);
}

#[test]
fn missing_versions_and_faulty_programs() {
    let desk = Desk::new(vec![]);
    desk.lock().success();
    let (mut said, recipe) = (String::new(), desk.text("r.toml"));
    let mut refused = |what: &str, said_by: String| said += &format!("--- {what}\n{said_by}\n");
    desk.write("r.toml", recipe.replace("version = \"1\"\n", ""));
    refused("no version", desk.build().refusal());
    desk.write("r.toml", &recipe);
    fs::write(desk.path("bin/netd"), "#!/bin/sh\n").unwrap();
    refused("a program that is a script", desk.build().refusal());
    fs::remove_file(desk.path("bin/netd")).unwrap();
    refused("a missing program", desk.build().refusal());
    let usage = desk.berth("file:/x", &["build", "r.toml", "--version", "1_0"]);
    assert_eq!(usage.code, Some(2));
    refused("a bad version", usage.text);
    insta::assert_snapshot!(said);
}
