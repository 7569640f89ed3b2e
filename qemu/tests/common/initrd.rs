//! An initial root with kernel modules, for machines with a kernel from Debian that run the test program itself.

use super::tool;
use berth_formats::{
    cpio,
    data::Data,
    kmod::{self, Index, Modinfo, Texts},
    node::{Kind, Node},
    packing::Packing,
};
use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
};

/// File in the initial root. It lists the modules in the order of loading.
pub(crate) const MODULES: &str = "/modules.list";

/// Folder with programs and kernels of other Debian releases. The script `ci/judges` downloads them.
pub(crate) fn judges() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/judges");
    tool(script, &[]).unwrap().lines().last().unwrap().into()
}

/// Writes an initial root whose `/init` is this test program. `wanted` are the modules that the guest loads, with those that they need: the
/// file [`MODULES`] lists them in the order of loading. `more` are further files.
pub(crate) fn write_initrd(modules: &Path, wanted: &[&str], more: BTreeMap<String, Node>, path: &Path) {
    let release = fs::read_dir(modules).unwrap().next().unwrap().unwrap().path();
    let mut files = BTreeMap::new();
    collect(&release, &release.join("kernel"), &mut files);
    let unpacked = |path: &str| {
        let bytes = fs::read(release.join(path)).unwrap();
        let packing = Packing::split(path).map(|(_, packing)| packing);
        packing.map_or(bytes.clone(), |packing| kmod::unpack(&bytes, packing, 64 << 20).unwrap())
    };
    let infos = files.keys().map(|path: &String| (path.clone(), Modinfo::parse(&unpacked(path)).unwrap())).collect();
    let texts = kmod::index(&infos);
    let builtin = fs::read_to_string(release.join("modules.builtin")).unwrap();
    let index =
        Index::parse(Texts { dep: &texts.dep, alias: &texts.alias, softdep: &texts.softdep, builtin: &builtin });
    let missing: Vec<_> = wanted.iter().filter(|name| !index.is_module(name)).collect();
    assert!(missing.is_empty(), "the kernel has no modules {missing:?}");
    let modules = index.load_order(wanted.iter().copied());
    let order: Vec<&str> = modules.iter().filter_map(|name| index.file(name)).map(|file| file.path.as_str()).collect();

    let node = |kind| Node::root(0o755, kind);
    let file = |bytes: Vec<u8>| node(Kind::File(Data::from(bytes)));
    let mut nodes = BTreeMap::from([
        ("dev".to_owned(), node(Kind::Directory)),
        ("dev/console".to_owned(), node(Kind::CharDevice { major: 5, minor: 1 })),
        ("mnt".to_owned(), node(Kind::Directory)),
        ("init".to_owned(), file(fs::read(env::current_exe().unwrap()).unwrap())),
    ]);
    let mut list = String::new();
    for (number, path) in order.iter().enumerate() {
        nodes.insert(format!("{number}.ko"), file(unpacked(path)));
        list += &format!("/{number}.ko\n");
    }
    nodes.insert(MODULES[1..].to_owned(), file(list.into_bytes()));
    nodes.extend(more);
    cpio::write(&mut BufWriter::new(File::create(path).unwrap()), 0, &nodes).unwrap();
}

fn collect(release: &Path, folder: &Path, into: &mut BTreeMap<String, ()>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(release, &path, into);
        } else if path.to_string_lossy().contains(".ko") {
            into.insert(path.strip_prefix(release).unwrap().to_str().unwrap().to_owned(), ());
        }
    }
}
