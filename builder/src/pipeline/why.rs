//! Why a package or a file is in an image.

use super::{Supply, assembled};
use crate::{
    lock::{BOOT_PACKAGE, Lock, LockInput, Locked, lock_path},
    plan,
    recipe::{self, Located, Place, Recipe, nearest},
    report::{Advised, Report},
    source::programs,
    tree::{self, IMPLIED, Kind, Node, Show, Tree, TreePath},
};
use anyhow::{Result, anyhow};
use std::path::Path;

/// Explains why `what` is in the image of `recipe`, one sentence per line. A text with a slash is a path, all other texts are
/// packages. For a path, the root tree is assembled. Writes only to the cache.
///
/// # Errors
/// Faults of recipe or lock; `what` is not in the image, with the most similar name as a hint.
pub fn why(recipe: &Path, what: &str, programs: &Path, supply: &Supply, report: &Report) -> Result<Vec<String>> {
    let recipe = recipe::read(recipe)?;
    let input = LockInput::new(&recipe, &supply.mirrors, &supply.etc_apt)?;
    let path = lock_path(recipe.path());
    let locked = Locked::load(&path, &input)?;
    if !what.contains('/') {
        return of_package(&recipe, locked.lock(), what);
    }
    let version = recipe.version.is_none().then(|| "0".parse()).transpose()?;
    let plan = plan::plan(&recipe, &locked, version, None)?;
    let programs = programs::find(programs, recipe.arch)?;
    let (root, _) = assembled((&recipe, &input, &locked, &plan), &supply.fetcher()?, &programs, report)?;
    of_path(&recipe, locked.lock(), (&root.tree, &root.var), what)
}

fn of_package(recipe: &Recipe, lock: &Lock, name: &str) -> Result<Vec<String>> {
    let provided = recipe.debian.provided.iter().find(|provided| provided.value == name);
    let locked = lock.packages.iter().find(|package| package.name == name);
    let Some(chain) = lock.why(name) else {
        if let Some(Located { place, .. }) = provided {
            return Ok(vec![format!(
                "{name} is not in the image: {place} lists it as provided, and no package depends on it"
            )]);
        }
        let packages = lock.packages.iter().map(|package| package.name.as_str());
        let known: Vec<&str> = packages.chain(lock.provided.iter().map(|provided| provided.name.as_str())).collect();
        let begins = || known.iter().copied().filter(|known| known.starts_with(name)).take(3).collect::<Vec<_>>();
        let near = nearest(name, known.iter().copied()).map_or_else(begins, |near| vec![near]);
        return Err(missing(recipe, name, (!near.is_empty()).then(|| near.join(" or "))));
    };
    let mut lines = vec![match wished(recipe, chain.wish) {
        Some(place) => format!("{place} requests {}", chain.wish),
        None => format!("every image needs {}", chain.wish),
    }];
    let version = |name: &str| lock.packages.iter().find(|package| package.name == name).map(|p| p.version.as_str());
    for (by, words) in &chain.links {
        lines.push(format!("{by} {} depends on {words}", version(by).unwrap_or_default()));
    }
    lines.push(match (locked, provided) {
        (Some(package), _) => format!("{name} {} is in the image, from {}", package.version, package.suite),
        (None, Some(Located { place, .. })) => format!("{name} is not in the image: {place} lists it as provided"),
        (None, None) => format!("{name} is not in the image: it is provided"),
    });
    if !chain.others.is_empty() {
        lines.push(format!("{name} is also needed by {}", chain.others.join(", ")));
    }
    Ok(lines)
}

/// The place in the recipe that requests a package.
fn wished<'a>(recipe: &'a Recipe, name: &str) -> Option<&'a Place> {
    let mut asked = recipe.debian.packages.iter().chain([&recipe.kernel.package]);
    let found = asked.find(|asked| asked.value == name).map(|asked| &asked.place);
    debug_assert!(found.is_some() || name == BOOT_PACKAGE, "{name}");
    found
}

fn of_path(recipe: &Recipe, lock: &Lock, (root, var): (&Tree, &Tree), what: &str) -> Result<Vec<String>> {
    let wanted = tree::clean(what.trim_start_matches('/').as_bytes()).map_err(|fault| anyhow!("{what}: {fault}"))?;
    // /var is a separate tree.
    let found = match wanted.strip_prefix(b"var/") {
        Some(below) => find(var, below).map(|(path, node)| ([b"var/", path.as_slice()].concat(), node)),
        None => find(root, &wanted),
    };
    let Some((path, node)) = found else { return Err(no_path(recipe, root, &wanted)) };
    let (shown, kind) = (Show(&path).to_string(), node.kind.word());
    let leads = match &node.kind {
        Kind::Symlink(target) => format!(" to {}", String::from_utf8_lossy(target)),
        _ => String::new(),
    };
    let mut lines = Vec::new();
    if path != wanted {
        lines.push(format!("{} is {shown}", Show(&wanted)));
    }
    let origin = &*node.origin;
    if let Some(package) = origin.strip_prefix("package ") {
        lines.push(format!("{shown} is a {kind}{leads} of package {package}"));
        lines.extend(of_package(recipe, lock, package)?);
    } else if let Some(name) = origin.strip_prefix("overlay ") {
        let place = recipe.overlays.iter().rev().find(|overlay| overlay.value.origin() == origin);
        let place = place.map(|overlay| format!(", {}", overlay.place)).unwrap_or_default();
        lines.push(format!("{shown} is a {kind}{leads} of overlay {name}{place}"));
    } else if origin == IMPLIED {
        lines.push(format!("{shown} is a {kind} that berth creates for the files in it"));
    } else if let Some(device) = recipe.devices.iter().find(|device| device.value.path.as_bytes() == path) {
        lines.push(format!("{shown} is a {kind}, {}", device.place));
    } else {
        lines.push(format!("{shown} is a {kind}{leads} that berth creates"));
    }
    Ok(lines)
}

/// Finds a file. Symbolic links in the folders of the path are followed, but not a link at the end of the path.
fn find<'t>(tree: &'t Tree, wanted: &[u8]) -> Option<(TreePath, &'t Node)> {
    let real = tree.place(wanted, &IMPLIED.into()).ok()?;
    tree.get(&real).map(|node| (real, node))
}

fn missing(recipe: &Recipe, what: &str, near: Option<String>) -> anyhow::Error {
    let none =
        || "`berth why` knows the packages of the lock; an argument with a slash is a path in the image".to_owned();
    let hint = Some(near.map_or_else(none, |near| format!("did you mean {near}?")));
    Advised::new(format!("{what} is not in the image of {}", recipe.path().display()), hint).into()
}

fn no_path(recipe: &Recipe, tree: &Tree, wanted: &[u8]) -> anyhow::Error {
    let shown = Show(wanted).to_string();
    let drop = &recipe.debian.drop;
    if let Some(glob) = drop.matching(wanted).first().and_then(|at| drop.globs().get(*at)) {
        return anyhow!("{shown} is not in the image: {} drops {:?}", glob.place, glob.value);
    }
    let (dir, name) = tree::split(wanted).unwrap_or((b"", wanted));
    // Suggest a file with the same name in another folder, or a similar name in the same folder.
    let same = |path: &&TreePath| tree::split(path).is_some_and(|(_, base)| base == name);
    let beside: Vec<String> =
        tree.children(dir).map(|(name, _, _)| String::from_utf8_lossy(name).into_owned()).collect();
    let like = || {
        let near = nearest(std::str::from_utf8(name).ok()?, beside.iter().map(String::as_str))?;
        let gap: &[u8] = if dir.is_empty() { b"" } else { b"/" };
        Some([dir, gap, near.as_bytes()].concat())
    };
    let near = tree.iter().map(|(path, _)| path).find(same).cloned().or_else(like);
    missing(recipe, &shown, near.map(|path| Show(&path).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lock::Update,
        report::{Manner, Verbosity},
        source::debian::fixture::{Fixture, GOOD, NOW, TestKey, paragraph},
        tree::Verdict,
    };
    use berth_fetch::settings::Network;
    use std::fs;

    const RECIPE: &str = "\
id = 'r'
overlays = ['base']
[debian]
suite = 'trixie'
keyring = 'keys.gpg'
packages = ['docker.io']
provided = ['debconf', 'idle']
drop = ['usr/share/doc/**']
[kernel]
package = 'linux'
[[device]]
path = 'dev/fuse'
type = 'fifo'
";

    /// Makes a recipe and locks it with an archive on disk.
    fn locked() -> (Fixture, Supply, Report) {
        let (fixture, key) = (Fixture::new(), TestKey::new(GOOD));
        fixture.write("keys.gpg", key.binary());
        fixture.write("r.toml", RECIPE);
        let packages = [
            paragraph("docker.io 26", &["Depends: containerd (>= 1.4~), debconf (>= 0.5) | debconf-2.0"]),
            paragraph("containerd 1.7", &["Depends: runc"]),
            paragraph("runc 1.1", &[]),
            paragraph("linux 6.12", &["Depends: runc (>= 1)"]),
            paragraph("systemd-boot-efi 257", &[]),
        ];
        fixture.suite(&key, "trixie", "", &packages.concat());
        let supply = Supply {
            mirrors: vec![fixture.url()],
            cache: fixture.path().join("cache"),
            network: Network::Offline,
            etc_apt: fixture.path().join("none"),
            ca_bundle: None,
        };
        let manner = Manner { verbosity: Verbosity::Quiet, bars: false, colour: false };
        let report = Report::new(Box::new(Vec::new()), Box::new(Vec::new()), manner);
        let recipe = fixture.path().join("r.toml");
        super::super::lock(&recipe, &Update::Needed, &supply, NOW.0, &report).unwrap();
        (fixture, supply, report)
    }

    fn shown(told: Result<Vec<String>>, fixture: &Fixture) -> String {
        let failed = |error: anyhow::Error| {
            let hint = error.downcast_ref().and_then(Advised::hint);
            format!("error: {error}{}", hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default())
        };
        let text = told.map_or_else(failed, |lines| lines.join("\n"));
        text.replace(fixture.path().to_str().unwrap(), "DIR")
    }

    #[test]
    fn why_traces_a_package_to_the_line_of_the_recipe() {
        let (fixture, supply, report) = locked();
        // The archive is no longer needed.
        fs::remove_dir_all(fixture.path().join("debian")).unwrap();
        let mut said = String::new();
        for what in ["runc", "docker.io", "systemd-boot-efi", "debconf", "idle", "rucn", "docker", "zzz"] {
            let told = why(&fixture.path().join("r.toml"), what, Path::new("none"), &supply, &report);
            said += &format!("--- {what}\n{}\n", shown(told, &fixture));
        }
        insta::assert_snapshot!(said);
        fixture.write("r.toml", RECIPE.replace("'docker.io'", "'runc'"));
        let stale = why(&fixture.path().join("r.toml"), "runc", Path::new("none"), &supply, &report).unwrap_err();
        assert!(stale.to_string().ends_with("r.lock: older than its recipe"), "{stale}");
    }

    #[test]
    fn why_traces_a_path_to_its_origin() {
        let (fixture, _, _) = locked();
        let recipe = recipe::read(&fixture.path().join("r.toml")).unwrap();
        let lock = Lock::load(&fixture.path().join("r.lock")).unwrap();
        let (mut root, mut var) = (Tree::default(), Tree::default());
        let put = |tree: &mut Tree, path: &str, node: Node| {
            tree.insert(path.as_bytes(), node, |_, _| Verdict::Refuse).unwrap();
        };
        let (runc, base, own) = ("package runc".into(), "overlay base".into(), "berth".into());
        put(&mut root, "bin", Node::symlink("usr/bin", &own));
        put(&mut root, "usr/sbin/runc", Node::file(0o755, "x".to_owned(), &runc));
        put(&mut root, "usr/bin/runc", Node::symlink("../sbin/runc", &runc));
        put(&mut root, "etc/motd", Node::file(0o644, "x".to_owned(), &base));
        put(&mut root, "dev/fuse", Node { kind: Kind::Fifo, ..Node::dir(0o600, &own) });
        put(&mut var, "lib/runc", Node::dir(0o755, &runc));
        let mut said = String::new();
        for what in [
            "/usr/sbin/runc",
            "bin/runc",
            "/etc/motd",
            "/bin",
            "/etc",
            "/dev/fuse",
            "/var/lib/runc/",
            "/usr/share/doc/runc/x",
            "/usr/libexec/runc",
            "/etc/modt",
            "/../x",
        ] {
            let told = of_path(&recipe, &lock, (&root, &var), what);
            said += &format!("--- {what}\n{}\n", shown(told, &fixture));
        }
        insta::assert_snapshot!(said);
    }
}
