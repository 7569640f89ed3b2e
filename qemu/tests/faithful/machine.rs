//! Runs the guest's part of the test in a machine with a kernel from Debian.

use crate::{
    common::{LIMIT, machine, tool},
    guest,
};
use berth_formats::{
    cpio,
    data::Data,
    kmod::{self, Index, Modinfo, Texts},
    node::{Kind, Node},
    packing::Packing,
};
use berth_qemu::machine::Kernel;
use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
};

/// Modules that the guest needs. A kernel may have some of them built in.
const WANTED: [&str; 4] = ["virtio_pci", "virtio_blk", "erofs", "ext4"];

/// Folder with programs and kernels of other Debian releases. The script `ci/judges` downloads them.
pub(crate) fn judges() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/judges");
    tool(script, &[]).unwrap().lines().last().unwrap().into()
}

/// Runs the guest with the kernel of the Debian suite `suite` and two disks. Returns the parts of the guest's report.
pub(crate) fn report(suite: &str, erofs: &Path, ext4: &Path) -> Vec<String> {
    let scratch = tempfile::tempdir().unwrap();
    let (initrd, report) = (scratch.path().join("initrd"), scratch.path().join("report"));
    let kernel = judges().join("kernel").join(suite);
    write_initrd(&kernel.join("lib/modules"), &initrd);
    File::create(&report).unwrap().set_len(256 << 20).unwrap();
    let mut description = machine(&format!("faithful-{suite}"), None);
    description.disks = vec![erofs.to_owned(), ext4.to_owned(), report.clone()];
    // The words after `--` are arguments of the test program. It runs only the guest's part and prints errors.
    let cmdline = "console=ttyS0 panic=-1 quiet -- --exact guest_program --nocapture --test-threads=1".to_owned();
    description.kernel = Some(Kernel { image: kernel.join("vmlinuz"), initrd, cmdline });
    let mut machine = description.start().unwrap();
    machine.wait_for_end(LIMIT).unwrap();
    let text = fs::read_to_string(&report).unwrap();
    let text = text.trim_end_matches('\0');
    let parts: Vec<_> = text.split(guest::RULE).map(str::to_owned).collect();
    assert!(parts.last().is_some_and(|last| last == guest::END), "{}", machine.console().tail());
    parts
}

fn write_initrd(modules: &Path, path: &Path) {
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
    let missing: Vec<_> = WANTED.iter().filter(|name| !index.is_module(name)).collect();
    assert!(missing.is_empty(), "the kernel has no modules {missing:?}");
    let modules = index.load_order(WANTED);
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
    nodes.insert(guest::MODULES[1..].to_owned(), file(list.into_bytes()));
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
