//! The effect of `[update]` and `[health]` of a recipe on the image.

use crate::{
    assemble_kit::tool,
    build_kit::done,
    release::site::{NAME, Site},
};
use std::{fs, path::Path};

/// Path of a program from a newer Debian release.
fn newer(program: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    format!("{}/bin/{program}", tool(root.join("ci/judges").to_str().unwrap(), &[]).trim())
}

#[test]
fn the_image_has_the_update_and_health_settings_of_the_recipe() {
    let site = Site::new();
    let recipe = site.path("recipe/small.toml");
    let plain = fs::read_to_string(&recipe).unwrap();
    let with = |more: &str| fs::write(&recipe, format!("{plain}{more}")).unwrap();
    fs::copy(site.path("keys/root.json"), site.path("recipe/root.json")).unwrap();
    with("[update]\ntrust = 'root.json'\nsource = 'https://example.org/os'\nchannel = 'beta'\n[health]\nlimit = 120\n");
    // The lock file depends only on the packages, so it is still valid.
    done(&mut site.small.build("out", "cache"));
    let image = site.path(&format!("out/{NAME}.root.erofs"));
    let cat = |path: &str| tool(&newer("dump.erofs"), &["--cat", &format!("--path={path}"), image.to_str().unwrap()]);
    assert_eq!(cat("/usr/lib/berth/root.json"), fs::read_to_string(site.path("keys/root.json")).unwrap());
    let spec: serde_json::Value = serde_json::from_str(&cat("/usr/lib/berth/image.json")).unwrap();
    assert_eq!(spec["update"], serde_json::json!({"source": "https://example.org/os", "channel": "beta"}));
    assert_eq!(spec["health"], serde_json::json!({"limit": 120}));
    assert_eq!(spec["packages"]["docker.io"], "1.0");

    for source in ["disk:STICK/os/repo", "disk:STICK", "/data/os.tar"] {
        with(&format!("[update]\ntrust = 'root.json'\nsource = '{source}'\n"));
        done(&mut site.small.build("out", "cache"));
        let spec: serde_json::Value = serde_json::from_str(&cat("/usr/lib/berth/image.json")).unwrap();
        assert_eq!(spec["update"]["source"], source);
    }

    let faults = [
        ("[update]\ntrust = 'no.json'\n", "cannot be used as root of trust: No such file"),
        ("[update]\ntrust = 'small.toml'\n", "cannot be used as root of trust: expected metadata of TUF"),
        ("[update]\ntrust = 'damaged.json'\n", "cannot be used as root of trust: expected valid signatures: "),
        ("[update]\nsource = 'https://example.org'\n", "hosts cannot verify releases from this source"),
        ("[update]\ntrust = 'root.json'\nsource = 'releases'\n", "source is not valid"),
        ("[update]\ntrust = 'root.json'\nsource = 'disk:/os'\n", "source is not valid"),
        ("[update]\ntrust = 'root.json'\nsource = 'disk:'\n", "source is not valid"),
        ("[update]\ntrust = 'root.json'\nchannel = 'A'\n", "name of a channel is not valid"),
        ("[update]\ntrust = 'root.json'\nca = 'x'\n", "ca is not valid"),
        ("[health]\nlimit = 5\n", "limit is not valid"),
        ("[update]\nlimit = 300\n", "`limit` is a key of [health]"),
    ];
    let text = fs::read_to_string(site.path("keys/root.json")).unwrap();
    fs::write(site.path("recipe/damaged.json"), text.replace("\"threshold\": 2", "\"threshold\": 1")).unwrap();
    for (more, wanted) in faults {
        with(more);
        let output = site.small.build("out", "cache").output().unwrap();
        let talk = crate::build_kit::talk(&output);
        assert!(!output.status.success() && talk.contains(wanted), "{more}: {talk}");
        assert!(talk.starts_with("error: recipe/small.toml:"), "{talk}");
    }
}
