//! Copyright files of packages stay in the image, even if the recipe drops documentation.

use crate::assemble_kit::{Bench, Deb, text, tool};
use std::fs;

#[test]
fn copyright_files_are_kept_compressed_when_documentation_is_dropped() {
    let mut bench = Bench::new();
    bench
        .add(Deb::new("tool").file("usr/share/doc/tool/copyright", "free").file("usr/share/doc/tool/README", "long"))
        .add(Deb::new("libtool").link("usr/share/doc/libtool", "tool"))
        .add(Deb::new("tool-data").link("usr/share/doc/tool-data/copyright", "../tool/copyright"));
    bench.drop = "'usr/share/doc/**'";
    let assembled = bench.assemble().unwrap();
    assert!(assembled.warnings.is_empty(), "{:?}", assembled.warnings);
    let tree = &assembled.tree;
    assert!(tree.get(b"usr/share/doc/tool/README").is_none() && tree.get(b"usr/share/doc/tool/copyright").is_none());
    for package in ["tool", "libtool", "tool-data"] {
        let path = format!("usr/share/doc/{package}/copyright.gz");
        let (node, file) = (tree.get(path.as_bytes()).unwrap(), bench.dir.path().join("copyright.gz"));
        assert_eq!(&*node.origin, format!("package {package}"));
        fs::write(&file, tree.data(path.as_bytes()).unwrap().to_bytes().unwrap()).unwrap();
        assert_eq!(tool("gzip", &["-dc", file.to_str().unwrap()]), "free", "{package}");
    }
}

#[test]
fn copyright_files_that_are_not_dropped_are_not_compressed() {
    let mut bench = Bench::new();
    bench.add(Deb::new("tool").file("usr/share/doc/tool/copyright", "free"));
    let tree = bench.assemble().unwrap().tree;
    assert_eq!(text(&tree, "usr/share/doc/tool/copyright"), "free");
    assert!(tree.get(b"usr/share/doc/tool/copyright.gz").is_none());
}

#[test]
fn packages_without_a_copyright_file_are_named_in_one_warning() {
    let mut bench = Bench::new();
    bench.add(Deb::new("one")).add(Deb::new("two").link("usr/share/doc/two", "absent"));
    let warnings = bench.assemble().unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("for: one, two; add one in an overlay"), "{warnings:?}");
}
