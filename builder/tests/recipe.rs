//! Recipes: the meaning of valid recipes, and the messages for invalid recipes.

use berth::recipe::{OciEntry, OciSource, Recipe, RecipeFile, read};
use std::{fs, path::Path};

const BASE: &str = "\
id = 'base'
version = '1.0'
overlays = ['base']
[debian]
suite = 'trixie'
packages = ['netbase', 'base-passwd']
provided = ['debconf']
drop = ['usr/share/doc/**', 'usr/bin/*ctl']
[kernel]
package = 'linux-image-cloud-amd64'
cmdline = ['console=ttyS0', 'quiet']
[disk]
slot = '1GiB'
";

fn parse(files: &[(&str, &str)]) -> Result<Recipe, String> {
    Recipe::parse(files.iter().map(|(path, text)| RecipeFile::new(*path, *text)).collect()).map_err(|fault| match fault
        .hint()
    {
        Some(hint) => format!("{fault}\nhint: {hint}"),
        None => fault.to_string(),
    })
}

fn values<'a>(items: impl IntoIterator<Item = &'a berth::recipe::Located<String>>) -> Vec<&'a str> {
    items.into_iter().map(|item| item.value.as_str()).collect()
}

#[test]
fn the_projects_own_recipes_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("recipes");
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    assert!(names.len() >= 2, "{names:?}");
    for path in names {
        let recipe = read(&path).unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(recipe.path(), path);
    }
}

#[test]
fn an_extending_recipe_overrides_and_adds_to_its_base() {
    let child = "\
id = 'child'
extends = 'base.toml'
overlays = ['./mine', 'base']
oci = { add = [{ image = 'oci-archive:images/hello.tar', name = 'hello' }] }
[debian]
packages = { remove = ['netbase'], add = ['docker.io', 'base-passwd'] }
provided.remove = ['debconf']
archives = ['trixie-security']
keyring = 'keys/debian.gpg'
[kernel]
cmdline = ['debug']
[engine]
kind = 'docker'
[disk]
slot = 2147483648
[[container]]
name = 'hello'
image = 'hello'
memory = '64MiB'
[[device]]
path = 'dev/fuse'
type = 'char'
major = 10
minor = 229
mode = '0666'
[scripts]
docker.io = 'ignore'
";
    // In TOML a bare key with a dot makes nested tables. So a package name with a dot must be quoted.
    let fault = parse(&[("base.toml", BASE), ("r/child.toml", child)]).unwrap_err();
    assert!(fault.starts_with("r/child.toml:27:1: wrong type"), "{fault}");
    let child = child.replace("docker.io = 'ignore'", "'docker.io' = 'ignore'");
    let recipe = parse(&[("base.toml", BASE), ("r/child.toml", &child)]).unwrap();

    assert_eq!(recipe.id.value.as_str(), "child");
    assert_eq!(recipe.version.as_ref().unwrap().place.to_string(), "base.toml:2:11");
    assert_eq!(values(&recipe.debian.packages), ["base-passwd", "docker.io"]);
    assert_eq!(recipe.debian.packages[1].place.to_string(), "r/child.toml:6:43");
    assert_eq!(values(&recipe.debian.provided), [""; 0]);
    assert_eq!(recipe.debian.components, ["main"]);
    assert_eq!(recipe.debian.keyring.as_ref().unwrap().value, Path::new("r/keys/debian.gpg"));
    assert_eq!(recipe.kernel.cmdline, ["console=ttyS0", "quiet", "debug"]);
    assert_eq!((recipe.disk.slot.0, recipe.disk.esp.0, recipe.disk.var.0), (2 << 30, 256 << 20, 512 << 20));
    assert_eq!(recipe.disk.places["slot"].to_string(), "r/child.toml:15:8");
    insta::assert_debug_snapshot!((recipe.overlays, recipe.oci, recipe.devices, recipe.scripts));
    assert_eq!(recipe.containers[0].place.line(), 16);
}

#[test]
fn a_recipe_allows_all_or_some_places_of_host_toml() {
    use berth_contract::config_source::ConfigSource::{self, Esp, FwCfg};
    let sources = |more: &str| Ok::<_, String>(parse(&[("base.toml", &format!("{BASE}{more}"))])?.config_sources);
    assert_eq!(sources("").unwrap(), ConfigSource::all());
    assert_eq!(sources("[config]\nsources = ['esp', 'fw_cfg', 'esp']\n").unwrap(), [FwCfg, Esp]);
    let fault = sources("[config]\nsources = ['usb']\n").unwrap_err();
    assert!(fault.contains("fw_cfg, disk, esp") && fault.contains("\"usb\""), "{fault}");
}

#[test]
fn archives_and_pins_are_merged_by_name() {
    let base = BASE.replace(
        "[kernel]",
        "archives = ['trixie-updates', { suite = 'forky', priority = 100 }]\n\
         [debian.versions]\nrunc = '=1.1*'\n'docker.io' = '>= 26'\n[kernel]",
    );
    let child = "id = 'c'\n[debian]\narchives = { remove = ['trixie-updates'], add = [{ suite = 'forky', priority = -1 }, 'sid', 'forky'] }\n\
        [debian.versions]\nrunc = { version = '<< 2', suite = 'forky' }\n";
    let debian = parse(&[("base.toml", &base), ("child.toml", child)]).unwrap().debian;
    let archives: Vec<_> = debian.archives.iter().map(|a| (a.value.suite.as_str(), a.value.priority)).collect();
    assert_eq!(archives, [("forky", Some(-1)), ("sid", None)]);
    let pins: Vec<_> = debian.versions.iter().map(|(name, pin)| (name.as_str(), &pin.value)).collect();
    insta::assert_debug_snapshot!(pins);
}

/// A table of a child with the name of an inherited one replaces it; `remove` takes the name or the image.
#[test]
fn images_containers_and_devices_of_a_child_replace_or_remove_inherited_ones() {
    let base = format!(
        "{BASE}[engine]\nkind = 'docker'\n[[oci]]\nimage = 'oci-archive:a.tar'\nname = 'shop:1'\n[[oci]]\nimage = 'oci-archive:b.tar'\n\
         [[container]]\nname = 'web'\nimage = 'old'\n[[device]]\npath = 'dev/x'\ntype = 'fifo'\n"
    );
    let images = |child: &str| {
        let recipe = parse(&[("base.toml", &base), ("r/child.toml", &format!("extends = 'base.toml'\n{child}"))])?;
        let name = |entry: &OciEntry| match &entry.image.value {
            OciSource::Archive(path) | OciSource::Layout(path) => path.display().to_string(),
        };
        Ok::<_, String>(recipe.oci.iter().map(name).collect::<Vec<_>>())
    };
    for (child, wanted) in [
        ("[[oci]]\nimage = 'oci-archive:c.tar'\nname = 'shop:1'\n", &["r/c.tar", "b.tar"][..]),
        ("[[oci]]\nimage = 'oci-archive:b.tar'\n", &["a.tar", "b.tar", "r/b.tar"]),
        ("[oci]\nremove = ['shop:1', 'oci-archive:b.tar']\n", &[]),
        (
            "[oci]\nremove = ['oci-archive:a.tar']\n[[oci.add]]\nimage = 'oci-archive:c.tar'\n[[oci.add]]\nimage = 'oci:d'\n",
            &["b.tar", "r/c.tar", "r/d"],
        ),
    ] {
        assert_eq!(images(child).unwrap(), wanted, "{child}");
    }
    let child = "extends = 'base.toml'\n[[container]]\nname = 'web'\nimage = 'new'\n[[device]]\npath = 'dev/x'\ntype = 'fifo'\nmode = '0644'\n";
    let recipe = parse(&[("base.toml", &base), ("r/child.toml", child)]).unwrap();
    assert_eq!((recipe.containers.len(), recipe.containers[0].value.image.as_str()), (1, "new"));
    assert_eq!((recipe.devices.len(), recipe.devices[0].value.mode), (1, 0o644));
    // Twice in one file is a mistake.
    let twice =
        "extends = 'base.toml'\n[[container]]\nname = 'me'\nimage = 'x'\n[[container]]\nname = 'me'\nimage = 'y'\n";
    let fault = parse(&[("base.toml", &base), ("r/child.toml", twice)]).unwrap_err();
    assert!(fault.starts_with("r/child.toml:5:1: ") && fault.contains("\"me\""), "{fault}");
}

#[test]
fn no_message_shows_the_password_of_an_address() {
    for text in [
        "[debian]\nmirror = ['https://joe:hunter2@example.org/debian']",
        "[debian]\nmirror = ['https://joe:hun/ter2@example.org/debian']",
        "[debian]\nmirror = ['ftp://joe:hunter2@example.org/debian']",
        "[debian]\nmirorr = ['https://joe:hunter2@example.org/debian']",
        "[debian]\nmirror = 'https://joe:hunter2@example.org/debian'",
        "[debian]\nmirror = ['https://joe:hunter2@example.org/debian'",
        "[debian]\nmirror = { remove = ['https://joe:hunter2@example.org/debian'] }",
        "[update]\ntrust = 'root.json'\nsource = 'https://joe:hunter2@example.org/debian'",
        "[update]\nsource = 'https://joe:hunter2@example.org/debian'",
    ] {
        let fault = parse(&[("base.toml", BASE), ("r.toml", &format!("extends = 'base.toml'\n{text}"))]).unwrap_err();
        assert!(!fault.contains("ter2") && !fault.contains("joe"), "{fault}");
        assert!(fault.contains("example.org/debian") && fault.contains("r.toml:"), "{fault}");
    }
}

#[test]
fn a_single_star_does_not_match_across_folders() {
    let drop = parse(&[("r.toml", BASE)]).unwrap().debian.drop;
    for (path, indices) in [
        ("usr/share/doc/a", &[0][..]),
        ("usr/share/doc/a/b", &[0]),
        ("usr/share/doc", &[]),
        ("usr/share/docs/a", &[]),
        ("usr/bin/journalctl", &[1]),
        ("usr/bin/x/ctl", &[]),
    ] {
        assert_eq!(drop.matching(path.as_bytes()), indices, "{path}");
        assert_eq!(drop.matches(path.as_bytes()), !indices.is_empty(), "{path}");
    }
}

#[test]
fn extended_files_are_read_and_their_faults_have_messages() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    write("base.toml", BASE);
    let child = write("sub/child.toml", "extends = '../base.toml'\n[debian]\npackages = ['zstd']\n");
    let recipe = read(&child).unwrap();
    assert_eq!(recipe.files.len(), 2);
    assert_eq!(values(&recipe.debian.packages), ["netbase", "base-passwd", "zstd"]);

    let absolute = write(
        "far/away.toml",
        &format!("extends = '{}'\n[debian]\npackages = ['zstd']\n", dir.path().join("sub/child.toml").display()),
    );
    assert_eq!(read(&absolute).unwrap().files.len(), 3, "extends may be an absolute path");
    write("loop.toml", "extends = 'sub/../again.toml'");
    let again = write("again.toml", "\nextends = 'loop.toml'");
    let selfish = write("selfish.toml", "extends = './selfish.toml'");
    let orphan = write("orphan.toml", "id = 'x'\nextends = 'bse.toml'");
    let latin = write("latin.toml", "id = 'x'\n");
    fs::write(&latin, b"id = '\xe9'").unwrap();
    let huge = write("huge.toml", &"#".repeat((1 << 20) + 1));
    let mut said = String::new();
    for path in [&again, &selfish, &orphan, &latin, &huge, &dir.path().join("none.toml"), &dir.path().to_owned()] {
        let fault = read(path).unwrap_err();
        let cause = std::error::Error::source(&fault).map(|cause| format!("\n  {cause}")).unwrap_or_default();
        let hint = fault.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        said += &format!("{fault}{cause}{hint}\n\n");
    }
    insta::assert_snapshot!(said.replace(dir.path().to_str().unwrap(), "DIR"));
}

/// Each row has a fault in a recipe that extends a valid recipe. The snapshot has the messages that the user sees.
#[test]
fn each_fault_is_shown_at_its_position() {
    let table = [
        ("unknown key", "verison = '1.0'"),
        ("unknown key, none has a similar name", "color = 'blue'"),
        ("key of the recipe in a table", "[disk]\nslot = '1GiB'\noverlays = ['x']"),
        ("key of a table in the recipe", "packages = ['docker.io']"),
        ("unknown key in a table", "[debian]\npackges = ['docker.io']"),
        ("unknown key in a list's table", "[debian]\npackages.removed = ['netbase']"),
        ("wrong type: number", "version = 1.0"),
        ("wrong type: text for a list", "[debian]\npackages = 'docker.io'"),
        ("wrong type: number in a list", "[debian]\npackages = [\n  'docker.io',\n  7,\n]"),
        ("wrong type: text for a table", "disk = '1GiB'"),
        ("not TOML", "id = \n"),
        ("not TOML: string without end", "id = 'x\n"),
        ("key twice", "id = 'x'\nid = 'y'"),
        ("bad id", "id = 'My Host'"),
        ("bad version", "version = '1_0'"),
        ("bad architecture", "arch = 'x86-64'"),
        ("bad size", "[disk]\nslot = '1GB'"),
        ("negative size", "[disk]\nslot = -1"),
        ("size of a wrong type", "[disk]\nslot = true"),
        ("unsupported compression", "[disk]\ncompression = 'zstd'"),
        ("bad suite", "[debian]\nsuite = 'trixie sid'"),
        ("archive's unknown key", "[debian]\narchives = [{ suite = 'forky', prio = 100 }]"),
        ("archive without a suite", "[debian]\narchives = [{ priority = 100 }]"),
        ("archive that is a number", "[debian]\narchives = [13]"),
        ("archive's name", "[debian]\narchives = [{ suite = 'trixie sid' }]"),
        ("priority 0", "[debian]\narchives = [{ suite = 'forky', priority = 0 }]"),
        ("priority that is too high", "[debian]\narchives = [{ suite = 'forky', priority = 40000 }]"),
        ("priority as a text", "[debian]\narchives = [{ suite = 'forky', priority = '100' }]"),
        ("pin of a bad name", "[debian.versions]\nDocker = '=1'"),
        ("pin without quotes", "[debian.versions]\ndocker.io = '=26.1*'"),
        ("pin that is a number", "[debian.versions]\nrunc = 1.1"),
        ("pin's unknown key", "[debian.versions]\nrunc = { verison = '=1' }"),
        ("empty pin", "[debian.versions]\nrunc = {}"),
        (
            "pin to an unknown suite",
            "[debian]\narchives = ['trixie-backports']\n[debian.versions]\nrunc = { suite = 'trixie-backport' }",
        ),
        ("bad package", "[debian]\npackages = ['Docker']"),
        ("bad mirror", "[debian]\nmirror = ['ftp://example.org/debian']"),
        ("absolute glob", "[debian]\ndrop = ['/usr/share/doc/**']"),
        ("bad glob", "[debian]\ndrop = ['usr/[z-a]']"),
        ("glob without end", "[debian]\ndrop = ['usr/{a,b']"),
        ("removed but not in the list", "[debian]\npackages.remove = ['netbsae']"),
        (
            "removed from an empty list",
            "[[device]]\npath = 'dev/x'\ntype = 'fifo'\n[kernel]\nmodules.remove = ['overlay']",
        ),
        ("word with a blank", "[kernel]\ncmdline = ['a b']"),
        ("reserved word", "[kernel]\ncmdline = ['roothash=00']"),
        ("bad module", "[kernel]\nmodules = ['../x']"),
        ("unknown engine", "[engine]\nkind = 'dcoker'"),
        ("overlay as a path", "overlays = ['some/folder']"),
        ("overlay with ..", "overlays = ['..']"),
        ("image without a transport", "[[oci]]\nimage = 'images/hello.tar'"),
        ("image is missing", "[[oci]]\nname = 'hello'"),
        ("image name", "[[oci]]\nimage = 'oci:x'\nname = 'a b'"),
        ("container without an engine", "[[container]]\nname = 'web'\nimage = 'b'"),
        ("container without an image", "[engine]\nkind = 'docker'\n[[container]]\nname = 'web'"),
        ("container's unknown key", "[[container]]\nname = 'web'\nimage = 'b'\nport = ['80:80']"),
        ("container's port", "[[container]]\nname = 'web'\nimage = 'b'\nports = ['80:80', 'http:80']"),
        ("container's network", "[[container]]\nname = 'web'\nimage = 'b'\nnetwork = 'bridged'"),
        ("container's restart", "[[container]]\nname = 'web'\nimage = 'b'\nrestart = 'allways'"),
        ("container's name", "[[container]]\nname = 'w'\nimage = 'b'"),
        (
            "container with contradictory settings",
            "[[container]]\nname = 'web'\nimage = 'b'\nnetwork = 'host'\nports = ['80:80']",
        ),
        (
            "container twice",
            "engine.kind = 'docker'\n[[container]]\nname = 'web'\nimage = 'b'\n[[container]]\nname = 'web'\nimage = 'c'",
        ),
        ("remote without an authority", "[remote]\nlisten = '0.0.0.0:7443'"),
        ("remote with another text", "[remote]\nca = 'access/ca.pem'"),
        ("remote with a serial number", "[remote]\nca = '-----BEGIN CERTIFICATE-----'\nrevoked = ['0a', 'ann']"),
        ("remote with a private key", "[remote]\nkey = 'x'"),
        ("script rule", "[scripts]\nopenssl = 'run'"),
        ("device path", "[[device]]\npath = '/dev/x'\ntype = 'char'\nmajor = 1\nminor = 1"),
        ("device type", "[[device]]\npath = 'dev/x'\ntype = 'chr'"),
        ("device number missing", "[[device]]\npath = 'dev/x'\ntype = 'char'\nmajor = 1"),
        ("device number", "[[device]]\npath = 'dev/x'\ntype = 'block'\nmajor = 4096\nminor = 0"),
        ("device mode", "[[device]]\npath = 'dev/x'\ntype = 'fifo'\nmode = '888'"),
        ("device mode as a number", "[[device]]\npath = 'dev/x'\ntype = 'fifo'\nmode = 0o660"),
    ];
    let mut said = String::new();
    for (what, text) in table {
        let fault = parse(&[("base.toml", BASE), ("child.toml", text)])
            .expect_err(&format!("{what}: {text} is accepted as a valid recipe"));
        said += &format!("--- {what}\n{fault}\n\n");
    }
    insta::assert_snapshot!(said);
}

#[test]
fn missing_required_keys_are_named() {
    let mut said = String::new();
    for key in ["id = 'base'\n", "suite = 'trixie'\n", "package = 'linux-image-cloud-amd64'\n"] {
        let fault = parse(&[("r.toml", &BASE.replace(key, ""))]).unwrap_err();
        said += &format!("{fault}\n\n");
    }
    insta::assert_snapshot!(said);
}
