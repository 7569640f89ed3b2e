//! Makes packages for a test, and a recipe that assembles them.

use berth::{
    assemble::{AssembleError, AssembleInput, Assembled, OwnFile, PackageInput, assemble},
    recipe::{Recipe, RecipeFile},
    tree::{Kind, Node, Tree, TreePath},
};
use berth_contract::{digest::Sha256, image_spec::ImageSpec};
use sha2::Digest;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use tempfile::TempDir;

/// Runs a tool that ci/setup installs. Returns its stdout.
pub(crate) fn tool(program: &str, args: &[&str]) -> String {
    let output =
        Command::new(program).args(args).output().unwrap_or_else(|_| panic!("{program} is missing: run ci/setup"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {}{}", said(&output.stdout), said(&output.stderr));
    said(&output.stdout)
}

/// A package that a test makes.
pub(crate) struct Deb {
    root: TempDir,
    name: String,
    fields: String,
    /// Path and `USER:UID:GROUP:GID`.
    owners: Vec<(String, String)>,
}

impl Deb {
    pub(crate) fn new(name: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("DEBIAN")).unwrap();
        Self { root, name: name.to_owned(), fields: String::new(), owners: Vec::new() }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(crate) fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        fs::write(self.path(path), text).unwrap();
        self
    }

    pub(crate) fn mode(self, path: &str, mode: u32) -> Self {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    pub(crate) fn dir(self, path: &str) -> Self {
        fs::create_dir_all(self.path(path)).unwrap();
        self
    }

    pub(crate) fn link(self, path: &str, target: &str) -> Self {
        symlink(target, self.path(path)).unwrap();
        self
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        fs::hard_link(self.path(target), self.path(path)).unwrap();
        self
    }

    /// The file that every package must have (Debian Policy, section 12.5).
    pub(crate) fn copyright(self) -> Self {
        let path = format!("usr/share/doc/{}/copyright", self.name);
        self.file(&path, "free")
    }

    pub(crate) fn script(self, name: &str, text: &str) -> Self {
        let path = format!("DEBIAN/{name}");
        self.file(&path, format!("#!/bin/sh\n{text}\n")).mode(&path, 0o755)
    }

    /// Names and numbers of the owner: `USER:UID:GROUP:GID`.
    pub(crate) fn owner(mut self, path: &str, owner: &str) -> Self {
        self.owners.push((path.to_owned(), owner.to_owned()));
        self
    }

    pub(crate) fn field(mut self, line: &str) -> Self {
        self.fields += line;
        self.fields.push('\n');
        self
    }

    /// Makes the package with dpkg-deb, in the folder `store`.
    pub(crate) fn build(self, store: &Path) -> PackageInput {
        let name = &self.name;
        let control = format!(
            "Package: {name}\nVersion: 1.0\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\n{}Description: test\n",
            self.fields
        );
        fs::write(self.path("DEBIAN/control"), control).unwrap();
        let deb = store.join(format!("{name}.deb"));
        let root = self.root.path().to_str().unwrap();
        let compression = if self.owners.is_empty() { "-Zxz" } else { "-Znone" };
        tool("dpkg-deb", &["--root-owner-group", compression, "--build", root, deb.to_str().unwrap()]);
        if !self.owners.is_empty() {
            fs::write(&deb, owned(fs::read(&deb).unwrap(), &self.owners)).unwrap();
        }
        package(name, &deb)
    }
}

/// Changes the owners of paths in the uncompressed data.tar of a package.
fn owned(mut deb: Vec<u8>, owners: &[(String, String)]) -> Vec<u8> {
    for (path, owner) in owners {
        let name = format!("./{path}\0");
        let at = deb.windows(name.len()).rposition(|window| window == name.as_bytes()).unwrap();
        let header = tar::Header::from_byte_slice(&deb[at..at + 512]);
        let mut header = header.clone();
        let [user, uid, group, gid] = owner.split(':').collect::<Vec<_>>().try_into().unwrap();
        header.set_username(user).unwrap();
        header.set_uid(uid.parse().unwrap());
        header.set_groupname(group).unwrap();
        header.set_gid(gid.parse().unwrap());
        header.set_cksum();
        deb[at..at + 512].copy_from_slice(header.as_bytes());
    }
    deb
}

/// The assembler's input for an existing .deb.
pub(crate) fn package(name: &str, deb: &Path) -> PackageInput {
    let bytes = fs::read(deb).unwrap();
    PackageInput {
        name: name.to_owned(),
        version: "1.0".to_owned(),
        deb: deb.to_owned(),
        sha256: Sha256(sha2::Sha256::digest(&bytes).into()),
        size: bytes.len() as u64,
        installed_size: None,
    }
}

/// An object file with the `.modinfo` section of a kernel module.
pub(crate) fn module(dir: &Path, name: &str, info: &[&str]) -> Vec<u8> {
    let (modinfo, empty, object) = (dir.join("modinfo"), dir.join("empty.s"), dir.join(format!("{name}.ko")));
    fs::write(&modinfo, info.iter().map(|line| format!("{line}\0")).collect::<String>()).unwrap();
    fs::write(&empty, "").unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    tool("as", &[&text(&empty), "-o", &text(&object)]);
    tool("objcopy", &["--add-section", &format!(".modinfo={}", text(&modinfo)), &text(&object)]);
    fs::read(object).unwrap()
}

/// Compresses bytes with `xz` as Debian compresses modules.
pub(crate) fn xz(dir: &Path, bytes: &[u8]) -> Vec<u8> {
    packed(dir, bytes, "xz", &["-k", "-f", "--check=crc32"])
}

/// Compresses bytes with a program that appends `.SUFFIX` to the name of a file.
pub(crate) fn packed(dir: &Path, bytes: &[u8], suffix: &str, command: &[&str]) -> Vec<u8> {
    let plain = dir.join("plain");
    fs::write(&plain, bytes).unwrap();
    let program = match suffix {
        "xz" => "xz",
        "gz" => "gzip",
        "zst" => "zstd",
        other => panic!("{other} is not known"),
    };
    tool(program, &[command, &[plain.to_str().unwrap()]].concat());
    fs::read(dir.join(format!("plain.{suffix}"))).unwrap()
}

pub(crate) const RELEASE: &str = "6.12.1-test";

/// The kernel and the boot loader, which every image needs.
pub(crate) fn essentials(store: &Path) -> Vec<PackageInput> {
    let work = tempfile::tempdir().unwrap();
    let folder = format!("usr/lib/modules/{RELEASE}");
    let inner = module(work.path(), "inner", &["name=inner", "depends="]);
    let outer = module(work.path(), "outer_one", &["name=outer_one", "depends=inner", "alias=pci:v1d2*"]);
    let kernel = Deb::new("linux-image-test")
        .file(&format!("boot/vmlinuz-{RELEASE}"), "the kernel")
        .file(&format!("boot/System.map-{RELEASE}"), "symbols")
        .file(&format!("{folder}/kernel/fs/inner.ko.xz"), xz(work.path(), &inner))
        .file(&format!("{folder}/kernel/outer-one.ko.xz"), xz(work.path(), &outer))
        .file(&format!("{folder}/modules.builtin"), "kernel/fs/ext4/ext4.ko\n")
        .copyright()
        .build(store);
    let efi = "usr/lib/systemd/boot/efi";
    let boot = Deb::new("systemd-boot-efi")
        .file(&format!("{efi}/linuxx64.efi.stub"), "the stub")
        .file(&format!("{efi}/systemd-bootx64.efi"), "the boot loader")
        .copyright()
        .build(store);
    vec![kernel, boot]
}

/// The assembler's inputs. A test changes some of them.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) packages: Vec<PackageInput>,
    pub(crate) overlays: Vec<Vec<(TreePath, Node)>>,
    pub(crate) files: Vec<OwnFile>,
    /// The entries of `debian.drop`.
    pub(crate) drop: &'static str,
    /// More lines of the recipe's `[debian]`.
    pub(crate) debian: &'static str,
    /// The recipe's text after its required lines, from `[kernel]` on.
    pub(crate) recipe: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let packages = essentials(dir.path());
        Self { dir, packages, overlays: Vec::new(), files: Vec::new(), drop: "", debian: "", recipe: String::new() }
    }

    pub(crate) fn add(&mut self, deb: Deb) -> &mut Self {
        let package = deb.build(self.dir.path());
        self.packages.push(package);
        self
    }

    pub(crate) fn overlay(&mut self, name: &str, files: &[(&str, &str)]) -> &mut Self {
        let origin: Arc<str> = format!("overlay {name}").into();
        let nodes =
            files.iter().map(|(path, text)| (path.as_bytes().to_vec(), Node::file(0o644, (*text).to_owned(), &origin)));
        self.overlays.push(nodes.collect());
        self
    }

    pub(crate) fn recipe(&self) -> Recipe {
        let text = format!(
            "id = 'test'\nversion = '1.2'\n[debian]\nsuite = 'trixie'\npackages = []\ndrop = [{}]\n{}\n[kernel]\npackage = 'linux-image-test'\n{}",
            self.drop, self.debian, self.recipe
        );
        Recipe::parse(vec![RecipeFile::new("test.toml", text)]).unwrap_or_else(|fault| panic!("{fault}"))
    }

    pub(crate) fn assemble(&self) -> Result<Assembled, AssembleError> {
        let recipe = self.recipe();
        let image: ImageSpec = serde_json::from_str(
            r#"{"id":"test","version":"1.2","arch":"x86_64","kernel":"","engine":null,"modules":[],"images":[],"containers":[]}"#,
        )
        .unwrap();
        assemble(AssembleInput {
            cache: &self.dir.path().join("cache"),
            packages: &self.packages,
            overlays: &self.overlays,
            devices: &recipe.devices,
            drop: &recipe.debian.drop,
            unpack_limit: recipe.debian.unpack_limit,
            scripts: &recipe.scripts,
            modules: &recipe.kernel.modules,
            files: &self.files,
            image,
            codename: "trixie",
        })
    }

    /// The error, its causes and its hint, each on its own line.
    pub(crate) fn fault(&self) -> String {
        let error = match self.assemble() {
            Ok(_) => panic!("expected an error"),
            Err(error) => error,
        };
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            text += &format!("\n{next}");
            cause = next.source();
        }
        if let Some(hint) = error.hint() {
            text += &format!("\nhint: {hint}");
        }
        text
    }
}

/// The text of a file in the tree. Links are followed.
pub(crate) fn text(tree: &Tree, path: &str) -> String {
    let data = tree.data(path.as_bytes()).unwrap_or_else(|| panic!("no file /{path}"));
    String::from_utf8(data.to_bytes().unwrap().to_vec()).unwrap()
}

/// All paths of the tree.
pub(crate) fn paths(tree: &Tree) -> Vec<String> {
    tree.iter().map(|(path, _)| String::from_utf8(path.clone()).unwrap()).collect()
}

/// Writes the tree to the folder `to`, so that other programs can read it. Owners are not set.
pub(crate) fn unfold(tree: &Tree, to: &Path) {
    use berth::tree::Kind;
    use std::os::unix::ffi::OsStrExt;
    let there = |path: &[u8]| to.join(std::ffi::OsStr::from_bytes(path));
    for (path, node) in tree.iter() {
        match &node.kind {
            Kind::Directory => fs::create_dir_all(there(path)).unwrap(),
            Kind::File(data) => fs::write(there(path), data.to_bytes().unwrap()).unwrap(),
            Kind::Symlink(target) => symlink(std::ffi::OsStr::from_bytes(target), there(path)).unwrap(),
            other => panic!("{other:?} is not needed in these tests"),
        }
    }
}

/// The id of a user, from /etc/passwd.
pub(crate) fn id(tree: &Tree, name: &str) -> u32 {
    let passwd = text(tree, "etc/passwd");
    let line = passwd.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
    line.split(':').nth(2).unwrap().parse().unwrap()
}

pub(crate) fn kind<'a>(tree: &'a Tree, path: &str) -> &'a Kind {
    &tree.get(path.as_bytes()).unwrap_or_else(|| panic!("nothing at /{path}")).kind
}

pub(crate) fn link(tree: &Tree, path: &str) -> String {
    match kind(tree, path) {
        Kind::Symlink(target) => String::from_utf8(target.clone()).unwrap(),
        other => panic!("/{path} is {other:?}"),
    }
}
