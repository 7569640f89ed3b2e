//! OCI images: what is written is read back unchanged, independent programs accept it, and every fault has a message.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use berth::{
    assemble,
    recipe::{OciEntry, OciSource, Recipe, RecipeFile},
    source::oci::{self, OciImage, Packing},
};
use berth_contract::arch::Arch;
use berth_fetch::store::Store;
use serde_json::{Value, json};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// The smallest file that is accepted as a static program: an ELF header without segments.
fn program(dir: &Path) -> PathBuf {
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(64, 0);
    (elf[16], elf[18]) = (2, 62);
    let path = dir.join("program");
    fs::write(&path, elf).unwrap();
    path
}

fn packed(dir: &Path, name: &str) -> OciImage {
    let packing =
        Packing { program: program(dir), name: name.parse().unwrap(), cmd: vec!["serve".into()], epoch: 1_700_000_000 };
    oci::pack(&packing).unwrap()
}

fn tool(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}: run ci/setup"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn shown(image: &OciImage) -> String {
    let layers: Vec<_> = image.layers.iter().map(|layer| layer.digest.to_string()).collect();
    format!("{} {} {} {} {layers:?}", image.name, image.architecture, image.manifest.digest, image.image_id)
}

#[test]
fn a_packed_program_is_read_back_and_accepted_by_skopeo_and_tar() {
    let dir = TempDir::new().unwrap();
    let image = packed(dir.path(), "hello");
    let path = dir.path().join("hello.tar");
    oci::publish(&image, &path).unwrap();
    let read = |name: Option<&str>| {
        let name = name.map(|name| name.parse().unwrap());
        oci::read(&OciSource::Archive(path.clone()), Arch::DEFAULT, name).unwrap()
    };
    assert_eq!(shown(&read(None)), shown(&image));
    assert_eq!(read(Some("example.org/other:2")).name.to_string(), "example.org/other:2");

    let file = path.to_str().unwrap();
    let config: Value =
        serde_json::from_str(&tool("skopeo", &["inspect", "--config", &format!("oci-archive:{file}")])).unwrap();
    assert_eq!(config["created"], "2023-11-14T22:13:20Z");
    assert_eq!(config["config"], json!({"Entrypoint": ["/hello"], "Cmd": ["serve"]}));
    for transport in ["oci-archive", "docker-archive"] {
        // To copy an image, skopeo unpacks every layer and compares it with the configuration.
        let to = dir.path().join(transport);
        tool(
            "skopeo",
            &["--insecure-policy", "copy", &format!("{transport}:{file}"), &format!("dir:{}", to.display())],
        );
        let inspected: Value =
            serde_json::from_str(&tool("skopeo", &["inspect", &format!("dir:{}", to.display())])).unwrap();
        assert_eq!((&inspected["Architecture"], &inspected["Os"]), (&json!("amd64"), &json!("linux")), "{transport}");
    }
    let tags = tool("sh", &["-c", &format!("tar -xOf {file} manifest.json | jq -er '.[0].RepoTags[0], .[0].Config'")]);
    assert_eq!(tags, format!("hello:latest\nblobs/sha256/{}\n", image.image_id));
    let listing = tool("tar", &["--utc", "--full-time", "-tvf", file]);
    assert!(listing.lines().all(|line| line.contains("0/0") && line.contains("1970-01-01 00:00:00")), "{listing}");
    let layer = format!("tar -xOf {file} blobs/sha256/{} | tar --utc --full-time -tvf -", image.layers[0].digest);
    let layer = tool("sh", &["-c", &layer]);
    assert_eq!(layer, "-rwxr-xr-x 0/0              64 2023-11-14 22:13:20 hello\n");
}

#[test]
fn the_preloaded_archive_does_not_depend_on_the_form_of_the_source() {
    let dir = TempDir::new().unwrap();
    let image = packed(dir.path(), "hello");
    let path = dir.path().join("hello.tar");
    oci::publish(&image, &path).unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    let bytes = |image: &OciImage| oci::preload(image, &store).unwrap().to_bytes().unwrap();
    assert_eq!(*bytes(&image), *fs::read(&path).unwrap());

    let folder = dir.path().join("layout");
    fs::create_dir(&folder).unwrap();
    tool("tar", &["-xf", path.to_str().unwrap(), "-C", folder.to_str().unwrap()]);
    let from_folder = oci::read(&OciSource::Layout(folder), Arch::DEFAULT, None).unwrap();
    assert_eq!(bytes(&from_folder), bytes(&image));
    // The same image with another name gives another archive.
    let renamed = OciImage { name: "other:1".parse().unwrap(), ..image.clone() };
    assert_ne!(bytes(&renamed), bytes(&image));
    let mut text = String::new();
    oci::preload(&renamed, &store).unwrap().reader().unwrap().take(4096).read_to_string(&mut text).unwrap_or_default();
    assert!(text.contains("docker.io/library/other:1"), "{text}");
}

#[test]
fn an_image_that_skopeo_wrote_is_read() {
    let dir = TempDir::new().unwrap();
    let image = packed(dir.path(), "hello");
    let path = dir.path().join("hello.tar");
    oci::publish(&image, &path).unwrap();
    let foreign = dir.path().join("foreign.tar");
    let to = format!("oci-archive:{}:registry.example.org/hello:3", foreign.display());
    tool("skopeo", &["--insecure-policy", "copy", &format!("oci-archive:{}", path.display()), &to]);
    let read = oci::read(&OciSource::Archive(foreign), Arch::DEFAULT, None).unwrap();
    assert_eq!(read.name.to_string(), "registry.example.org/hello:3");
    // skopeo compresses the layers that it copies.
    assert_eq!(read.layers[0].media_type, "application/vnd.oci.image.layer.v1.tar+gzip");
    let store = Store::open(&dir.path().join("cache")).unwrap();
    let oci::OciImage { name, .. } = &read;
    let data = oci::preload(&read, &store).unwrap();
    let again = dir.path().join("again.tar");
    fs::write(&again, data.to_bytes().unwrap()).unwrap();
    let config = tool("skopeo", &["inspect", "--config", &format!("docker-archive:{}:{name}", again.display())]);
    assert!(config.contains("/hello"), "{config}");
}

#[test]
fn dynamically_linked_programs_are_refused() {
    let dir = TempDir::new().unwrap();
    let pack = |program: &str| {
        let packing = Packing { program: program.into(), name: "x".parse().unwrap(), cmd: vec![], epoch: 0 };
        oci::pack(&packing).unwrap_err()
    };
    let dynamic = pack("/bin/sh");
    assert!(dynamic.to_string().contains("/bin/sh: a program that needs a dynamic loader"), "{dynamic}");
    assert!(dynamic.hint().unwrap().starts_with("link the program statically"));
    assert!(pack(dir.path().join("none").to_str().unwrap()).to_string().starts_with("cannot read "));
}

/// An OCI layout in a folder. Tests damage it.
struct Spoilt {
    dir: TempDir,
}

impl Spoilt {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let image = packed(dir.path(), "hello");
        let tar = dir.path().join("hello.tar");
        oci::publish(&image, &tar).unwrap();
        fs::create_dir(dir.path().join("layout")).unwrap();
        tool("tar", &["-xf", tar.to_str().unwrap(), "-C", dir.path().join("layout").to_str().unwrap()]);
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("layout").join(name)
    }

    fn index(&self, change: impl FnOnce(&mut Value)) {
        let path = self.path("index.json");
        let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut index);
        fs::write(path, index.to_string()).unwrap();
    }

    /// Writes a blob and returns its descriptor.
    fn blob(&self, media_type: &str, text: &str) -> Value {
        let scratch = self.path("scratch");
        fs::write(&scratch, text).unwrap();
        let digest = tool("sha256sum", &[scratch.to_str().unwrap()]);
        let digest = digest.split(' ').next().unwrap();
        fs::rename(scratch, self.path("blobs/sha256").join(digest)).unwrap();
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": text.len()})
    }

    /// Changes the first manifest, and its descriptor in the index.
    fn manifest(&self, change: impl FnOnce(&mut Value)) {
        let index: Value = serde_json::from_slice(&fs::read(self.path("index.json")).unwrap()).unwrap();
        let first = &index["manifests"][0];
        let digest = first["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let mut manifest = serde_json::from_slice(&fs::read(self.path("blobs/sha256").join(digest)).unwrap()).unwrap();
        change(&mut manifest);
        let new = self.blob(first["mediaType"].as_str().unwrap(), &manifest.to_string());
        self.index(|index| index["manifests"][0] = new);
    }

    fn config(&self, change: impl FnOnce(&mut Value)) {
        let mut changed = Value::Null;
        self.manifest(|manifest| {
            let digest = manifest["config"]["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            changed = serde_json::from_slice(&fs::read(self.path("blobs/sha256").join(digest)).unwrap()).unwrap();
            change(&mut changed);
            manifest["config"] = self.blob(manifest["config"]["mediaType"].as_str().unwrap(), &changed.to_string());
        });
    }

    fn layer(&self) -> PathBuf {
        let blobs = fs::read_dir(self.path("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
        blobs.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
    }
}

/// The message about a recipe with this image.
fn said(dir: &Path, image: &str, name: Option<&str>) -> String {
    let name = name.map(|name| format!("\nname = '{name}'")).unwrap_or_default();
    let text = format!(
        "id = 'a'\ndebian.suite = 's'\nkernel.package = 'kk'\nengine.kind = 'docker'\n[[oci]]\nimage = '{image}'{name}\n"
    );
    let recipe = Recipe::parse(vec![RecipeFile::new(dir.join("r.toml"), text)]).unwrap();
    let entry: &OciEntry = &recipe.oci[0];
    match oci::image(entry, recipe.arch) {
        Ok(image) => format!("good: {}", image.name),
        Err(fault) => {
            let hint = fault.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            format!("{fault}{hint}").replace(dir.to_str().unwrap(), "DIR")
        }
    }
}

#[test]
fn each_fault_of_an_image_has_a_message() {
    type Spoil = fn(&Spoilt);
    let table: &[(&str, Spoil)] = &[
        ("nothing", |_| {}),
        ("no layout file", |l| fs::remove_file(l.path("oci-layout")).unwrap()),
        ("old docker save", |l| {
            fs::remove_file(l.path("oci-layout")).unwrap();
            fs::write(l.path("manifest.json"), "[]").unwrap();
        }),
        ("layout of another version", |l| {
            fs::write(l.path("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap()
        }),
        ("no index", |l| fs::remove_file(l.path("index.json")).unwrap()),
        ("an index that is not JSON", |l| fs::write(l.path("index.json"), "<html>").unwrap()),
        ("huge index", |l| fs::write(l.path("index.json"), vec![b' '; (4 << 20) + 1]).unwrap()),
        ("empty index", |l| l.index(|index| index["manifests"] = json!([]))),
        ("layer is missing", |l| fs::remove_file(l.layer()).unwrap()),
        ("layer is short", |l| fs::write(l.layer(), "x").unwrap()),
        ("layer is damaged", |l| {
            let mut bytes = fs::read(l.layer()).unwrap();
            bytes[600] ^= 1;
            fs::write(l.layer(), bytes).unwrap();
        }),
        ("digest of another kind", |l| l.index(|index| index["manifests"][0]["digest"] = json!("sha512:00"))),
        ("digest with ..", |l| l.index(|index| index["manifests"][0]["digest"] = json!("sha256:../../index.json"))),
        ("another architecture", |l| {
            l.index(|index| index["manifests"][0]["platform"] = json!({"os": "linux", "architecture": "arm64"}));
        }),
        ("another architecture, only in the configuration", |l| {
            l.config(|config| config["architecture"] = json!("riscv64"))
        }),
        ("an attestation instead of an image", |l| {
            l.index(|index| index["manifests"][0]["mediaType"] = json!("application/vnd.in-toto+json"));
            l.index(|index| index["manifests"][0].as_object_mut().unwrap().retain(|key, _| key != "platform"));
        }),
        ("an artifact that is not an image", |l| {
            l.manifest(|manifest| manifest["config"]["mediaType"] = json!("application/vnd.example.chart+json"));
        }),
        ("a layer that is not a tar", |l| {
            l.manifest(|manifest| manifest["layers"][0]["mediaType"] = json!("application/vnd.example.wasm"));
        }),
        ("more layers than in the configuration", |l| {
            l.manifest(|manifest| {
                let layer = manifest["layers"][0].clone();
                manifest["layers"].as_array_mut().unwrap().push(layer);
            });
        }),
        ("indices nested too deeply", |l| {
            let mut inner = l.blob("application/vnd.oci.image.index.v1+json", r#"{"schemaVersion":2,"manifests":[]}"#);
            for _ in 0..6 {
                let text = json!({"schemaVersion": 2, "manifests": [inner]}).to_string();
                inner = l.blob("application/vnd.oci.image.index.v1+json", &text);
            }
            l.index(|index| index["manifests"] = json!([inner]));
        }),
        ("an index in the index", |l| {
            let mut text = String::new();
            l.index(|index| text = json!({"schemaVersion": 2, "manifests": index["manifests"]}).to_string());
            let inner = l.blob("application/vnd.oci.image.index.v1+json", &text);
            l.index(|index| index["manifests"] = json!([inner]));
        }),
        ("no name, so the folder's name is used", |l| {
            l.index(|index| index["manifests"][0]["annotations"] = json!({}))
        }),
        ("only a tag, so the folder's name is used", |l| {
            l.index(|index| {
                index["manifests"][0]["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
            });
        }),
    ];
    let mut text = String::new();
    for (what, spoil) in table {
        let layout = Spoilt::new();
        spoil(&layout);
        text += &format!("--- {what}\n{}\n\n", said(layout.dir.path(), "oci:layout", None));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn one_of_several_images_is_chosen_by_its_name() {
    let layout = Spoilt::new();
    layout.config(|config| config["created"] = json!("2001-01-01T00:00:00Z"));
    layout.index(|index| {
        index["manifests"][0]["annotations"] = json!({"org.opencontainers.image.ref.name": "hello:2"});
        let mut foreign = index["manifests"][0].clone();
        foreign["platform"] = json!({"os": "linux", "architecture": "arm64"});
        let mut alias = index["manifests"][0].clone();
        alias["annotations"] = json!({"io.containerd.image.name": "docker.io/library/alias:1"});
        *index["manifests"].as_array_mut().unwrap() = vec![foreign, index["manifests"][0].clone(), alias];
    });
    let dir = layout.dir.path();
    // The index has two names for the same image. Each name selects it.
    assert_eq!(said(dir, "oci:layout", None), "good: hello:2");
    assert_eq!(said(dir, "oci:layout", Some("alias:1")), "good: alias:1");
    let other = layout.blob("application/vnd.oci.image.manifest.v1+json", "{}");
    layout.index(|index| index["manifests"].as_array_mut().unwrap().push(other));
    assert_eq!(said(dir, "oci:layout", Some("hello:2")), "good: hello:2");
    insta::assert_snapshot!(said(dir, "oci:layout", Some("unknown")));
}

#[test]
fn files_that_are_not_oci_archives_have_different_messages() {
    let dir = TempDir::new().unwrap();
    let image = packed(dir.path(), "hello");
    let path = |name: &str| dir.path().join(name);
    oci::publish(&image, &path("hello.tar")).unwrap();
    tool("gzip", &["-k", path("hello.tar").to_str().unwrap()]);
    fs::write(path("page.tar"), "<html>".repeat(200)).unwrap();
    let whole = fs::read(path("hello.tar")).unwrap();
    fs::write(path("short.tar"), &whole[..whole.len() - 2048]).unwrap();
    fs::write(path("empty.tar"), "").unwrap();
    let mut text = String::new();
    for (image, name) in [
        ("oci-archive:hello.tar.gz", None),
        ("oci-archive:page.tar", None),
        ("oci-archive:short.tar", None),
        ("oci-archive:empty.tar", None),
        ("oci-archive:none.tar", None),
        ("oci:none", None),
        ("oci:hello.tar", None),
        ("oci-archive:hello.tar", Some("UPPER")),
    ] {
        text += &format!("--- {image}\n{}\n\n", said(dir.path(), image, name));
    }
    insta::assert_snapshot!(text);
}

/// Names that end alike are different images. The same name twice is an error that names both lines.
#[test]
fn images_whose_names_end_alike_are_all_preloaded() {
    let dir = TempDir::new().unwrap();
    let names = ["a.example.org/team/app:1", "a.example.org/team/app:2", "b.example.org/app:1", "app:1"];
    let mut text =
        "id = 'x'\n[debian]\nsuite = 'trixie'\n[kernel]\npackage = 'linux'\n[engine]\nkind = 'docker'\n".to_owned();
    for (at, name) in names.iter().enumerate() {
        oci::publish(&packed(dir.path(), name), &dir.path().join(format!("{at}.tar"))).unwrap();
        text += &format!("[[oci]]\nimage = 'oci-archive:{at}.tar'\n");
    }
    let store = Store::open(&dir.path().join("cache")).unwrap();
    let preload = |text: &str| {
        let recipe = Recipe::parse(vec![RecipeFile::new(dir.path().join("r.toml"), text)]).unwrap();
        assemble::preload(&recipe, &store)
    };
    let all = preload(&text).unwrap();
    let files: std::collections::BTreeSet<_> = all.files.iter().map(|file| &file.path).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for (image, file) in all.list.iter().zip(&all.files) {
        assert_eq!(image.archive, file.path);
        let mut tar = tar::Archive::new(file.data.reader().unwrap());
        let mut entries = tar.entries().unwrap().map(Result::unwrap);
        let mut manifest = entries.find(|entry| entry.path().unwrap().as_os_str() == "manifest.json").unwrap();
        let mut said = String::new();
        manifest.read_to_string(&mut said).unwrap();
        let short = image.name.trim_start_matches("docker.io/library/");
        assert!(said.contains(&format!("\"{short}\"")), "{short}: {said}");
    }
    let again = preload(&(text + "name = 'a.example.org/team/app:2'\n")).unwrap_err().to_string();
    assert!(again.contains("r.toml:15:9: image a.example.org/team/app:2 is preloaded twice"), "{again}");
    assert!(again.contains("the same name at") && again.contains("r.toml:11:9"), "{again}");
}
