//! `berth release` does not sign files that hosts refuse: files above the size limits of hosts, and a bundle without the newest release.

use crate::{
    assemble_kit::tool,
    release::refused::mend,
    release::site::{NAME, Site},
};
use std::fs;

#[test]
fn a_list_of_releases_above_the_limit_of_hosts_is_not_signed() {
    let site = Site::new();
    site.released("out");
    site.build("2", "out2");
    site.build("3", "out3");
    site.publishes(&["3500000"]);
    let talk = site.says(&site.release("out2", &[]));
    assert!(talk.contains("warning: the list of releases has 3"), "{talk}");
    assert!(talk.contains(" of the 4194304 bytes that hosts read\nhint: revoke old releases"), "{talk}");
    site.publishes(&["4300000"]);
    let before = site.state("repo/metadata");
    let talk = site.bad(&site.release("out3", &[]));
    let wanted = "error: 5.targets.json: expected at most 4194304 bytes, the limit of hosts, found 4";
    assert!(talk.contains(wanted) && talk.contains("\nhint: revoke old releases: berth repo revoke"), "{talk}");
    assert_eq!(site.state("repo/metadata"), before);
    // `berth repo revoke` makes the list shorter. The shorter list is signed even if it is still too long.
    site.good(&["repo", "revoke", "1", "--repo", "repo", "--keys", "keys"]);
}

#[test]
fn a_kernel_image_or_record_above_the_limit_of_hosts_is_not_released() {
    let site = Site::new();
    site.copy("out", "bad");
    let uki = site.path(&format!("bad/{NAME}.efi"));
    let (old, new) = (fs::metadata(&uki).unwrap().len(), (24 << 20) + 1);
    fs::File::options().write(true).open(&uki).unwrap().set_len(new).unwrap();
    let manifest = site.path(&format!("bad/{NAME}.manifest.json"));
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace(&format!("\"size\": {old}"), &format!("\"size\": {new}"))).unwrap();
    mend(&site, "efi");
    let talk = site.bad(&site.release("bad", &[]));
    let wanted =
        format!("error: bad/{NAME}.efi: expected at most 25165824 bytes, the limit of hosts, found 25165825\n");
    assert!(talk.starts_with(&wanted), "{talk}");

    site.copy("out", "bad");
    let more = r#".inputs.packages += [range(30000) | {name: "package-with-a-name-\(.)", version: "1.0"}]"#;
    let text = tool("jq", &[more, manifest.to_str().unwrap()]);
    fs::write(&manifest, text).unwrap();
    mend(&site, "efi");
    let talk = site.bad(&site.release("bad", &[]));
    let wanted = format!("error: {NAME}.release.json: expected at most 1048576 bytes, the limit of hosts, found 1");
    assert!(talk.contains(&wanted) && talk.contains("\nhint: build the image with fewer packages"), "{talk}");
    assert_eq!(
        fs::read_dir(site.path("repo/targets")).unwrap().count(),
        0,
        "the limit must be checked before targets are made, because that takes long"
    );
}

#[test]
fn a_bundle_has_the_newest_release_of_its_channel() {
    let site = Site::new();
    site.build("2", "out2");
    site.build("0.9", "out09");
    site.good(&site.release("out2", &[]));
    let before = site.state("repo");
    let talk = site.bad(&site.release("out", &["--bundle", "a.tar"]));
    let wanted =
        "error: a bundle with small 1 x86_64: expected the newest release of channel stable, which is small 2 ";
    assert!(talk.starts_with(wanted) && talk.contains("hint: also name the build of the newest release"), "{talk}");
    assert!(!site.path("a.tar").exists());
    assert_eq!(site.state("repo"), before);
    site.good(&site.release("out", &["out2", "--bundle", "a.tar"]));
    // A newer release in another channel is no obstacle: the hosts of this channel do not use it.
    site.good(&site.release("out09", &["--channel", "beta", "--bundle", "b.tar"]));
    for (bundle, target) in [("a.tar", "small_2_x86_64.efi"), ("b.tar", "small_0.9_x86_64.efi")] {
        let folder = site.path(&format!("{bundle}.unpacked"));
        fs::create_dir(&folder).unwrap();
        tool("tar", &["-xf", site.path(bundle).to_str().unwrap(), "-C", folder.to_str().unwrap()]);
        site.gets(&format!("{bundle}.unpacked"), bundle.trim_end_matches(".tar"), target);
    }
}
