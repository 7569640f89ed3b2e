//! Indexes that packages make on other systems at installation: the result is compared with the result of the program that makes them
//! there.

use crate::assemble_kit::{Bench, Deb, RELEASE, link, text, tool, unfold};
use std::{collections::BTreeMap, fs, path::Path};

/// depmod makes the same index from the unpacked modules.
#[test]
fn modules_are_unpacked_and_indexed() {
    let bench = Bench::new();
    let tree = bench.assemble().unwrap().tree;
    let out = tempfile::tempdir().unwrap();
    unfold(&tree, out.path());
    let folder = out.path().join("usr/lib/modules").join(RELEASE);
    let aliases = || {
        let text = fs::read_to_string(folder.join("modules.alias")).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    let ours = aliases();
    let dep = text(&tree, &format!("usr/lib/modules/{RELEASE}/modules.dep"));
    assert_eq!(dep, "kernel/fs/inner.ko:\nkernel/outer-one.ko: kernel/fs/inner.ko\n");
    tool("depmod", &["-b", out.path().to_str().unwrap(), RELEASE]);
    assert_eq!(ours, aliases());
    assert_eq!(ours, ["alias pci:v1d2* outer_one"]);
}

/// ldconfig finds the same libraries and makes no link.
#[test]
fn the_library_cache_and_links_are_those_of_ldconfig() {
    let work = tempfile::tempdir().unwrap();
    let library = |name: &str, soname: Option<&str>| {
        let (source, output) = (work.path().join("x.c"), work.path().join(name));
        fs::write(&source, format!("int {}(void) {{ return 1; }}\n", name.replace(['.', '-'], "_"))).unwrap();
        let soname = soname.map(|soname| format!("-Wl,-soname,{soname}"));
        let mut args = vec!["-shared", "-nostdlib", "-o", output.to_str().unwrap(), source.to_str().unwrap()];
        args.extend(soname.as_deref());
        tool("gcc", &args);
        fs::read(output).unwrap()
    };
    let multiarch = "usr/lib/x86_64-linux-gnu";
    let mut bench = Bench::new();
    bench.add(
        Deb::new("libs")
            .file(&format!("{multiarch}/libone.so.1.2"), library("libone.so.1.2", Some("libone.so.1")))
            .file(&format!("{multiarch}/libone.so.1.10"), library("libone.so.1.10", Some("libone.so.1")))
            .link(&format!("{multiarch}/libone.so.1"), "libone.so.1.10")
            .file(&format!("{multiarch}/libtwo.so.2.0.0"), library("libtwo.so.2.0.0", Some("libtwo.so.2")))
            .file(&format!("{multiarch}/libtext.so"), "INPUT(-lone)\n")
            .file("opt/own/libthree.so.3", library("libthree.so.3", Some("libthree.so.3")))
            .file("etc/ld.so.conf", "include ld.so.conf.d/*.conf\n# /nowhere\n")
            .file("etc/ld.so.conf.d/own.conf", "/opt/own\n"),
    );
    let tree = bench.assemble().unwrap().tree;
    assert_eq!(link(&tree, &format!("{multiarch}/libtwo.so.2")), "libtwo.so.2.0.0");
    assert_eq!(
        link(&tree, &format!("{multiarch}/libone.so.1")),
        "libone.so.1.10",
        "the link of a package must not change"
    );
    let out = tempfile::tempdir().unwrap();
    unfold(&tree, out.path());
    let cache = out.path().join("etc/ld.so.cache");
    let listed = || -> BTreeMap<String, String> {
        let text = tool("ldconfig", &["-p", "-C", cache.to_str().unwrap()]);
        let lines = text.lines().filter_map(|line| line.trim().split_once(" => "));
        // /lib and /usr/lib are the same folder.
        lines.map(|(name, path)| (name.to_owned(), path.trim_start_matches("/usr").to_owned())).collect()
    };
    let ours = listed();
    assert_eq!(ours.len(), 3, "{ours:?}");
    let before = paths_on_disk(out.path());
    tool("ldconfig", &["-r", out.path().to_str().unwrap()]);
    assert_eq!(ours, listed());
    let after: Vec<_> = paths_on_disk(out.path()).into_iter().filter(|path| !path.contains("var/cache")).collect();
    assert_eq!(before, after, "ldconfig made no link");
}

fn paths_on_disk(root: &Path) -> Vec<String> {
    let text = tool("find", &[root.to_str().unwrap()]);
    let mut paths: Vec<String> = text.lines().map(str::to_owned).collect();
    paths.sort();
    paths
}

/// update-ca-certificates writes the same bundle, byte for byte.
#[test]
fn the_certificate_bundle_is_that_of_update_ca_certificates() {
    let certificate = |name: &str| format!("-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----");
    let names = ["mozilla/B_(two).crt", "mozilla/a.crt", "mozilla/A.crt", "other, one/C.crt"];
    let mut deb = Deb::new("ca-certificates");
    for name in names {
        deb = deb.file(&format!("usr/share/ca-certificates/{name}"), certificate(name));
    }
    let mut bench = Bench::new();
    bench.add(deb).overlay("own", &[("usr/local/share/ca-certificates/own.crt", "own\n")]);
    let tree = bench.assemble().unwrap().tree;
    assert_eq!(link(&tree, "etc/ssl/certs/B_=two=.pem"), "/usr/share/ca-certificates/mozilla/B_(two).crt");
    assert_eq!(text(&tree, "usr/lib/ssl/cert.pem"), text(&tree, "etc/ssl/certs/ca-certificates.crt"));

    let out = tempfile::tempdir().unwrap();
    unfold(&tree, out.path());
    let mut sorted = names;
    sorted.sort_unstable();
    fs::write(out.path().join("etc/ca-certificates.conf"), sorted.join("\n") + "\n").unwrap();
    let certs = out.path().join("etc/ssl/certs");
    let listed = || {
        let mut names: Vec<_> = fs::read_dir(&certs).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        // The builder does not make links with hashes as names, see certificates.rs.
        names.retain(|name| name.to_str().unwrap().contains(".pem"));
        names.sort();
        names
    };
    let (ours, links) = (fs::read(certs.join("ca-certificates.crt")).unwrap(), listed());
    fs::remove_dir_all(&certs).unwrap();
    fs::create_dir(&certs).unwrap();
    let there = |path: &str| out.path().join(path).to_str().unwrap().to_owned();
    tool(
        "update-ca-certificates",
        &[
            "--certsconf",
            &there("etc/ca-certificates.conf"),
            "--certsdir",
            &there("usr/share/ca-certificates"),
            "--localcertsdir",
            &there("usr/local/share/ca-certificates"),
            "--etccertsdir",
            &there("etc/ssl/certs"),
            "--hooksdir",
            "",
        ],
    );
    assert_eq!(String::from_utf8(ours).unwrap(), fs::read_to_string(certs.join("ca-certificates.crt")).unwrap());
    assert_eq!(links, listed());
}
