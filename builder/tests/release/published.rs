//! The files that a release puts into a repository.

use crate::{
    assemble_kit::tool,
    build_kit::done,
    release::site::{NAME, Site},
};
use berth_formats::delta::patch::Delta;
use std::{fs, process::Command};

#[test]
fn the_reference_client_fetches_every_target_and_the_targets_match_the_build() {
    let site = Site::new();
    assert_eq!(site.good(&site.release("out", &[])), "small 1 x86_64\n");
    let path = |name: &str| site.path(name).to_str().unwrap().to_owned();
    let built = |ending: &str| path(&format!("out/{NAME}.{ending}"));
    let got = |ending: &str| {
        let said = site.gets("repo", "state", &format!("{NAME}.{ending}"));
        let kept = format!("{ending}.got");
        fs::rename(site.path("target"), site.path(&kept)).unwrap();
        (said, path(&kept))
    };
    let (_, uki) = got("efi");
    tool("cmp", &[&uki, &built("efi")]);
    let (_, tree) = got("root.verity");
    let (_, stream) = got("root.zst");
    // A host may use 32 MiB of memory for decompression.
    done(Command::new("zstd").args(["-q", "-d", "--memory=32MB", &stream, "-o", &path("root.got")]));
    tool("cmp", &[&path("root.got"), &built("root.erofs")]);
    let root_hash = tool("jq", &["-j", ".root_hash", &built("manifest.json")]);
    tool("veritysetup", &["verify", &path("root.got"), &tree, &root_hash]);
    got("root.index");
    got("root.chunks");

    let (said, record) = got("release.json");
    let custom = serde_json::json!({"id": "small", "version": "1", "arch": "x86_64", "channel": "stable"});
    assert_eq!(said["custom"], custom);
    let record: serde_json::Value = serde_json::from_slice(&fs::read(record).unwrap()).unwrap();
    let size = |path: &str| fs::metadata(path).unwrap().len();
    assert_eq!(record["root"]["root_hash"], *root_hash);
    assert_eq!(record["root"]["size"], size(&built("root.erofs")));
    assert_eq!(record["root"]["verity_size"], size(&tree));
    assert!(tool("veritysetup", &["dump", &tree]).contains(record["root"]["verity_uuid"].as_str().unwrap()));
    assert_eq!(
        record["engine"],
        serde_json::json!({"kind": "docker", "version": "1.0", "store": "docker-graphdriver"})
    );
    assert_eq!(record["packages"]["docker.io"], "1.0");
    // The parts of the kernel image follow each other without a gap, and have the digests in the record.
    let bytes = fs::read(&uki).unwrap();
    let mut at = 0;
    for part in record["uki"]["parts"].as_array().unwrap() {
        let (offset, size) = (part["offset"].as_u64().unwrap(), part["size"].as_u64().unwrap());
        assert_eq!(offset, at);
        at += size;
        let part_bytes = &bytes[usize::try_from(offset).unwrap()..usize::try_from(at).unwrap()];
        fs::write(site.path("part"), part_bytes).unwrap();
        assert_eq!(tool("sha256sum", &[&path("part")])[..64], *part["sha256"].as_str().unwrap());
    }
    assert_eq!(at, bytes.len() as u64);
}

#[test]
fn releasing_the_same_build_again_changes_nothing_and_another_build_of_the_version_is_refused() {
    let site = Site::new();
    site.released("out");
    let before = site.state("repo");
    assert_eq!(site.good(&site.release("out", &[])), "small 1 x86_64\n");
    assert_eq!(site.state("repo"), before);
    done(site.small.build("other", "cache").env("SOURCE_DATE_EPOCH", "1"));
    let talk = site.bad(&site.release("other", &[]));
    assert!(talk.starts_with("error: small 1 x86_64 is already released with another root hash: "), "{talk}");
    assert!(talk.contains("hint: give the build another version"), "{talk}");
    let talk = site.bad(&site.release("out", &["--channel", "beta"]));
    assert!(
        talk.starts_with("error: small 1 x86_64 is already released with another channel: stable, not beta"),
        "{talk}"
    );
    assert_eq!(site.state("repo"), before);
}

#[test]
fn a_bundle_is_a_tar_of_a_repository_with_the_metadata_first() {
    let site = Site::new();
    site.released("out");
    site.build("2", "out2");
    for bundle in ["a.tar", "b.tar"] {
        site.good(&site.release("out2", &["--bundle", bundle]));
    }
    let path = |name: &str| site.path(name).to_str().unwrap().to_owned();
    tool("cmp", &[&path("a.tar"), &path("b.tar")]);
    let listed = tool("tar", &["-tf", &path("a.tar")]);
    let names: Vec<_> = listed.lines().map(|name| name.split_once('/').unwrap()).collect();
    let metadata = names.iter().take_while(|(folder, _)| *folder == "metadata").map(|(_, name)| *name);
    assert_eq!(metadata.collect::<Vec<_>>(), ["1.root.json", "2.targets.json", "2.snapshot.json", "timestamp.json"]);
    let targets: Vec<_> =
        names.iter().filter(|(folder, _)| *folder == "targets").map(|(_, name)| &name[65..]).collect();
    let wanted = ["release.json", "efi", "from_1.delta", "root.verity", "root.xz"]
        .map(|ending| format!("small_2_x86_64.{ending}"));
    assert_eq!(targets, wanted);
    fs::create_dir(site.path("unpacked")).unwrap();
    tool("tar", &["-xf", &path("a.tar"), "-C", &path("unpacked")]);
    site.gets("unpacked", "state", "small_2_x86_64.root.xz");
}

#[test]
fn deltas_are_made_from_the_last_releases_of_the_same_channel() {
    let site = Site::new();
    for version in ["0.9", "0.8", "2"] {
        site.build(version, &format!("out{version}"));
    }
    site.good(&site.release("out0.8", &["out0.9", "out"]));
    site.build("1.1", "out1.1");
    site.good(&site.release("out1.1", &["--channel", "beta"]));
    site.good(&site.release("out2", &["--deltas", "2"]));
    site.gets("repo", "state", "small_2_x86_64.release.json");
    let record: serde_json::Value = serde_json::from_slice(&fs::read(site.path("target")).unwrap()).unwrap();
    let deltas = record["deltas"].as_array().unwrap();
    let from: Vec<_> = deltas.iter().map(|delta| delta["from"].as_str().unwrap()).collect();
    assert_eq!(from, ["1", "0.9"]);
    let path = |name: &str| site.path(name).to_str().unwrap().to_owned();
    for (delta, (folder, version)) in deltas.iter().zip([("out", "1"), ("out0.9", "0.9")]) {
        let old = |ending: &str| format!("{folder}/small_{version}_x86_64.{ending}");
        let name = format!("small_2_x86_64.from_{version}.delta");
        assert_eq!(delta["target"], *name);
        let paths = serde_json::json!({ "changed": ["/usr/lib/berth/image.json", "/usr/lib/os-release"], "added": [], "removed": [], "left_out": 0 });
        assert_eq!(delta["paths"], paths, "no package differs");
        assert_eq!(delta["from_root_hash"], *tool("jq", &["-j", ".root_hash", &path(&old("manifest.json"))]));
        assert_eq!(delta["from_uki"], tool("sha256sum", &[&path(&old("efi"))])[..64]);
        site.gets("repo", "state", &name);
        let (root, uki) =
            (fs::File::open(path(&old("root.erofs"))).unwrap(), fs::File::open(path(&old("efi"))).unwrap());
        let delta = Delta::open(fs::File::open(site.path("target")).unwrap()).unwrap();
        let kernel = delta.root(&root, &mut fs::File::create(site.path("root.made")).unwrap()).unwrap();
        kernel.uki(&uki, &mut fs::File::create(site.path("uki.made")).unwrap()).unwrap();
        tool("cmp", &[&path("root.made"), &path("out2/small_2_x86_64.root.erofs")]);
        tool("cmp", &[&path("uki.made"), &path("out2/small_2_x86_64.efi")]);
    }
    // After a version is revoked, deltas from it stay, because some hosts still run it.
    site.good(&["repo", "revoke", "1", "--repo", "repo", "--keys", "keys"]);
    site.gets("repo", "state", "small_2_x86_64.from_1.delta");
}

#[test]
fn several_builds_become_releases_in_one_step() {
    let site = Site::new();
    site.build("1.5", "out15");
    let listed = site.good(&site.release("out15", &["out", "--channel", "beta"]));
    assert_eq!(listed, "small 1 x86_64\nsmall 1.5 x86_64\n");
    let listed = site.good(&["repo", "list", "--repo", "repo", "--keys", "keys"]);
    let lines: Vec<_> = listed.lines().map(|line| line.rsplit_once(' ').unwrap().0).collect();
    assert_eq!(lines, ["small 1 x86_64 beta", "small 1.5 x86_64 beta"]);
    assert_eq!(fs::read_dir(site.path("repo/metadata")).unwrap().count(), 4, "one version of each role");
}
