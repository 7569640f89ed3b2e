//! Checks every output of a build with independent programs for the same formats.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{berth, build, output, partition, root, tool};

#[test]
fn independent_programs_accept_every_output() {
    let folder = build();
    let text = |ending: &str| output(&folder, ending).to_str().unwrap().to_owned();
    let (raw, qcow2, root, verity) = (text(".raw"), text(".qcow2"), text(".root.erofs"), text(".root.verity"));
    let scratch = tempfile::tempdir().unwrap();
    let part = |number| {
        let path = scratch.path().join(format!("part{number}"));
        partition(raw.as_ref(), number, &path).unwrap();
        path.to_str().unwrap().to_owned()
    };

    tool("sh", &["-c", &format!("cd {} && sha256sum --quiet -c SHA256SUMS", folder.display())]).unwrap();
    let raw_digest = tool("jq", &["-r", ".outputs[] | .fsverity // empty", &text(".manifest.json")]).unwrap();
    assert_eq!(tool("fsverity", &["digest", "--compact", &raw]).unwrap(), raw_digest);
    let table = tool("sgdisk", &["-v", &raw]).unwrap();
    assert!(table.contains("No problems found"), "{table}");
    tool("sfdisk", &["--verify", &raw]).unwrap();
    tool("fsck.fat", &["-n", &part(1)]).unwrap();
    tool("fsck.erofs", &[&root]).unwrap();
    tool("e2fsck", &["-fn", &part(6)]).unwrap();
    tool("qemu-img", &["check", &qcow2]).unwrap();
    tool("qemu-img", &["compare", &raw, &qcow2]).unwrap();

    // The separate root file system and slot A of the disk both match the root hash in the kernel's command line.
    let manifest = text(".manifest.json");
    let root_hash = tool("jq", &["-r", ".root_hash", &manifest]).unwrap().trim().to_owned();
    tool("veritysetup", &["verify", &root, &verity, &root_hash]).unwrap();
    tool("veritysetup", &["verify", &part(2), &part(3), &root_hash]).unwrap();
    let uki = text(".efi");
    let cmdline = scratch.path().join("cmdline").to_str().unwrap().to_owned();
    tool("objcopy", &["-O", "binary", "--only-section=.cmdline", &uki, &cmdline]).unwrap();
    let words = std::fs::read_to_string(&cmdline).unwrap();
    assert!(words.contains(&format!("roothash={root_hash}")), "{words}");
    // Discoverable Partitions Specification: slot A's UUIDs are the halves of the root hash.
    for (number, half) in [("2", &root_hash[..32]), ("3", &root_hash[32..])] {
        let info = tool("sgdisk", &["-i", number, &raw]).unwrap().replace('-', "").to_lowercase();
        assert!(info.contains(&format!("unique guid: {half}")), "{info}");
    }
}

#[test]
fn with_checksum_raw_the_raw_disk_is_in_sha256sums() {
    let folder = tempfile::tempdir_in(root().join("target")).unwrap();
    let out = folder.path().join("out");
    let words = ["-q", "build", "recipes/docker.toml", "--checksum-raw", "-o", out.to_str().unwrap()];
    tool("sh", &["-c", &format!("cd {} && {} {}", root().display(), berth().display(), words.join(" "))]).unwrap();
    let listed = tool("sh", &["-c", &format!("cd {} && sha256sum -c SHA256SUMS", out.display())]).unwrap();
    assert!(listed.lines().any(|line| line.ends_with(".raw: OK")), "{listed}");
    assert_eq!(listed.lines().count(), 6, "{listed}");
}

#[test]
fn berth_size_adds_up_to_the_size_of_the_root_file_system() {
    let folder = build();
    let text =
        tool("sh", &["-c", &format!("cd {} && {} -q size recipes/docker.toml", root().display(), berth().display())]);
    let text = text.unwrap();
    let number = |line: &str| line.split_whitespace().next().unwrap().parse::<u64>().unwrap();
    let [parts @ .., all, root_size] = &text.lines().skip(1).collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert_eq!(parts.iter().map(|line| number(line)).sum::<u64>(), number(all), "{text}");
    assert_eq!(number(root_size), output(&folder, ".root.erofs").metadata().unwrap().len(), "{text}");
    assert!(parts.iter().any(|line| line.ends_with("  package docker.io")), "{text}");
    // The list of files in the manifest gives the same size for a package.
    let manifest = output(&folder, ".manifest.json");
    let query = r#"[.files[] | select(.kind == "file" and .origin == "package docker.io") | .size] | add"#;
    let counted: u64 = tool("jq", &[query, manifest.to_str().unwrap()]).unwrap().trim().parse().unwrap();
    assert!(
        parts.iter().any(|line| number(line) == counted && line.ends_with("  package docker.io")),
        "{counted}: {text}"
    );
}

#[test]
fn the_usual_files_exist_and_the_engine_has_time_to_stop_its_containers() {
    let overlay = |path: &str| root().join("overlays").join(path).to_str().unwrap().to_owned();
    let zone = tool("zdump", &[&overlay("base/etc/localtime")]).unwrap();
    assert!(zone.trim_end().ends_with("UTC"), "{zone}");
    let query =
        r#"[.files[] | select(.path | IN("/etc/localtime", "/etc/timezone", "/etc/hosts")) | .kind] | join(" ")"#;
    let kinds = tool("jq", &["-r", query, output(&build(), ".manifest.json").to_str().unwrap()]).unwrap();
    assert_eq!(kinds.trim(), "file file file", "regular files, which a container can mount");
    // dockerd ends by itself when its containers have ended, or their time is over.
    let text = std::fs::read_to_string(overlay("docker/usr/lib/berth/services/dockerd.toml")).unwrap();
    let service: berth_contract::service::ServiceSpec = toml::from_str(&text).unwrap();
    assert!(service.stop_timeout >= 600, "{}", service.stop_timeout);
}
