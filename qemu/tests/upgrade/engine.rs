//! A new version whose engine never answers, and one whose engine keeps its data in another way.

use crate::{
    host::Host,
    rollback::{rolls_back, with_bad},
    workshop::Version,
};

#[test]
fn a_version_whose_engine_never_answers() {
    // Something listens, elsewhere.
    let service = "exec = [\"/usr/bin/containerd\", \"--address\", \"/run/other.sock\", \"--root\", \"/run/other\", \"--state\", \"/run/other-state\"]\n\
        ready = { socket = \"/run/docker.sock\" }\nneeds = [\"containerd\"]\nstart_timeout = 20\n";
    let bad = Version {
        number: "2",
        recipe: "recipes/docker.toml",
        lines: "[health]\nlimit = 90",
        files: vec![("usr/lib/berth/services/dockerd.toml", 0o644, service.into())],
        ..Version::default()
    };
    let (_shop, server, mut description) = with_bad("engine", &bad);
    description.disk_size = Some(4 << 30);
    let why = rolls_back(Host::start(&description), &server);
    assert!(why.contains("dockerd"), "{why}");
}
