//! Checks the merged files and makes a valid [`Recipe`].

use super::{
    Debian, Device, DeviceKind, Disk, Drops, Kernel, Located, OciEntry, OciSource, Overlay, Recipe, ScriptRule,
    ValidUntil, archives,
    diagnostic::Diagnostic,
    merge::Merged,
    place::{Place, RecipeFile},
    raw::{RawDevice, RawOci},
    remote,
    spanned::Spanned,
    update,
    value::{Checked, components, mirror, one_of, package, path, set, spelled, suite},
    words::{COMPRESSIONS, DEVICE_KINDS, SCRIPT_RULES, VALID_UNTIL},
};
use berth_contract::{
    arch::Arch,
    cmdline::ROOTHASH,
    config_source::ConfigSource,
    container::{ByteSize, ContainerSpec},
    engine::EngineKind,
    version::BadName,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    sync::Arc,
};

/// Checks each value by itself, and the combinations of values that do not depend on packages.
pub(super) fn recipe(files: Vec<Arc<RecipeFile>>, merged: Merged) -> Checked<Recipe> {
    // A missing key is reported at the start of the recipe file itself.
    let top = files.last().map(|file| Place::new(file, 0..0));
    let Some(top) = top else { unreachable!("a chain of recipes has at least one file") };
    let needed = |value: Option<Located<String>>, key: &str, example: &str| {
        value.ok_or_else(|| {
            Diagnostic::new(&top, format!("key `{key}` is missing")).with_hint(format!("add {key} = {example:?}"))
        })
    };
    let id = named(needed(merged.id, "id", "my-host")?)?;
    let main = suite(needed(merged.suite, "debian.suite", "trixie")?)?;
    let archives = archives::archives(merged.archives, &main)?;
    let versions = archives::versions(merged.versions, &main, &archives)?;
    let known: Vec<_> = Arch::all().map(|arch| (arch.name, arch)).collect();
    let arch = merged.arch.map_or(Ok(Arch::DEFAULT), |arch| one_of(&arch, &known))?;
    let recipe = Recipe {
        id,
        version: merged.version.map(named).transpose()?,
        arch,
        debian: Debian {
            suite: main,
            archives,
            components: components(merged.components)?,
            mirror: set(merged.mirror, mirror)?,
            keyring: merged.keyring.map(path),
            valid_until: merged.valid_until.map_or(Ok(ValidUntil::Check), |word| one_of(&word, &VALID_UNTIL))?,
            packages: set(merged.packages, package)?,
            provided: set(merged.provided, package)?,
            versions,
            drop: drops(merged.drop)?,
            unpack_limit: merged.unpack_limit.map(|limit| limit.value),
        },
        kernel: Kernel {
            package: package(needed(merged.kernel, "kernel.package", &format!("linux-image-cloud-{}", arch.debian))?)?,
            cmdline: merged.cmdline.into_iter().map(word).collect::<Checked<_>>()?,
            modules: set(merged.modules, module)?,
        },
        engine: merged.engine.map(engine).transpose()?,
        disk: disk([("esp", merged.esp, 256 << 20), ("slot", merged.slot, 1 << 30), ("var", merged.var, 512 << 20)]),
        update: update::update([merged.trust, merged.source, merged.channel, merged.ca])?,
        remote: remote::remote([merged.listen, merged.clients, merged.crl], merged.revoked)?,
        health: update::health(merged.limit)?,
        config_sources: config_sources(&merged.sources)?,
        allow: drops(merged.allow)?,
        overlays: set(merged.overlays, Ok)?.into_iter().map(overlay).collect::<Checked<_>>()?,
        oci: merged.oci.into_iter().map(oci).collect::<Checked<_>>()?,
        containers: merged.containers.into_iter().map(container).collect::<Checked<_>>()?,
        devices: merged.devices.into_iter().map(device).collect::<Checked<_>>()?,
        scripts: scripts(merged.scripts)?,
        files,
    };
    if let Some(compression) = merged.compression {
        one_of(&compression, &COMPRESSIONS)
            .map_err(|fault| fault.with_hint("the root file system is never compressed on disk; releases are"))?;
    }
    unique(&recipe.containers, "container", |container| &container.name)?;
    unique(&recipe.devices, "device", |device| &device.path)?;
    let workload = recipe.containers.first().map(|c| &c.place).or(recipe.oci.first().map(|oci| &oci.image.place));
    match (workload, &recipe.engine) {
        (Some(place), None) => Err(Diagnostic::new(place, "the recipe has no container engine to run this")
            .with_hint(format!("add the table [engine] with kind = {}", engine_names(" or ")))),
        _ => Ok(recipe),
    }
}

fn named<T: FromStr<Err = BadName>>(text: Located<String>) -> Checked<Located<T>> {
    match text.value.parse() {
        Ok(value) => Ok(Located { value, place: text.place }),
        Err(bad) => Err(Diagnostic::new(&text.place, format!("{} is not valid", bad.what))
            .wanted(bad.wanted)
            .found(format!("{:?}", bad.found))),
    }
}

fn config_sources(items: &[Located<String>]) -> Checked<Vec<ConfigSource>> {
    let known = ConfigSource::ALL.map(|source| (source.name(), source));
    let named: BTreeSet<ConfigSource> = items.iter().map(|text| one_of(text, &known)).collect::<Checked<_>>()?;
    Ok(if named.is_empty() { ConfigSource::all() } else { named.into_iter().collect() })
}

fn module(text: Located<String>) -> Checked<Located<String>> {
    spelled(text, "name of a kernel module", "_-", "br_netfilter")
}

/// Checks one word of the kernel command line. The kernel allows spaces only between double quotes.
fn word(text: Located<String>) -> Checked<String> {
    let mut quoted = false;
    let printable = text.value.chars().all(|c| {
        quoted ^= c == '"';
        c.is_ascii_graphic() || (c == ' ' && quoted)
    });
    if text.value.is_empty() || !printable || quoted {
        return Err(Diagnostic::new(&text.place, "word of the kernel command line is not valid")
            .wanted("one word of printable ASCII, spaces only between double quotes")
            .found(format!("{:?}", text.value)));
    }
    if text.value.split('=').next() == Some(ROOTHASH) {
        return Err(Diagnostic::new(&text.place, format!("{ROOTHASH}= is set by the build")));
    }
    Ok(text.value)
}

fn drops(globs: Vec<Located<String>>) -> Checked<Drops> {
    let globs = set(globs, |glob| match glob.value.strip_prefix('/') {
        Some(rest) => Err(Diagnostic::new(&glob.place, "paths of the image are relative to its root")
            .with_hint(format!("write {rest:?}"))),
        None if glob.value.is_empty() => Err(Diagnostic::new(&glob.place, "glob is empty")),
        None => Ok(glob),
    })?;
    Drops::new(globs).map_err(|(glob, why)| {
        Diagnostic::new(&glob.place, format!("glob is not valid: {why}")).found(format!("{:?}", glob.value))
    })
}

fn engine(kind: Located<String>) -> Checked<Located<EngineKind>> {
    let known = EngineKind::ALL.map(|kind| (kind.row().name, kind));
    Ok(Located { value: one_of(&kind, &known)?, place: kind.place })
}

fn engine_names(separator: &str) -> String {
    EngineKind::ALL.map(|kind| format!("{:?}", kind.row().name)).join(separator)
}

fn disk(sizes: [(&'static str, Option<Located<ByteSize>>, u64); 3]) -> Disk {
    let mut places = BTreeMap::new();
    let [esp, slot, var] = sizes.map(|(key, size, default)| match size {
        Some(size) => {
            places.insert(key, size.place);
            size.value
        }
        None => ByteSize(default),
    });
    Disk { esp, slot, var, places }
}

fn overlay(text: Located<String>) -> Checked<Located<Overlay>> {
    if text.value.starts_with("./") || text.value.starts_with("../") {
        return Ok(path(text).map(Overlay::Path));
    }
    if text.value.contains('/') {
        return Err(Diagnostic::new(&text.place, "overlay is neither a name nor a relative path")
            .wanted("\"NAME\" for overlays/NAME, or \"./PATH\" for a folder beside this file")
            .found(format!("{:?}", text.value)));
    }
    Ok(spelled(text, "name of an overlay", "-._", "base")?.map(Overlay::Named))
}

fn oci(entry: Located<RawOci>) -> Checked<OciEntry> {
    let RawOci { image, name } = entry.value;
    let image = entry.place.locate(image);
    let source = match image.value.split_once(':') {
        Some(("oci-archive", path)) if !path.is_empty() => OciSource::Archive(image.place.folder().join(path)),
        Some(("oci", path)) if !path.is_empty() => OciSource::Layout(image.place.folder().join(path)),
        _ => {
            return Err(Diagnostic::new(&image.place, "image is not valid")
                .wanted("oci-archive:FILE.tar or oci:FOLDER")
                .found(format!("{:?}", image.value)));
        }
    };
    let name = name.map(|name| spelled(entry.place.locate(name), "name of an image", "-._/:@", "hello:1.0"));
    Ok(OciEntry { image: Located { value: source, place: image.place }, name: name.transpose()? })
}

fn container(container: Located<ContainerSpec>) -> Checked<Located<ContainerSpec>> {
    match container.value.check() {
        Ok(()) => Ok(container),
        Err(fault) => {
            let message = format!("container {}: `{}` is not valid", container.value.name, fault.key);
            Err(Diagnostic::new(&container.place, message).wanted(fault.expected).found(fault.found))
        }
    }
}

fn device(entry: Located<RawDevice>) -> Checked<Located<Device>> {
    let at = |value| entry.place.locate(value);
    let RawDevice { path, kind, major, minor, mode } = entry.value;
    let path = at(path);
    if path.value.split('/').any(|part| ["", ".", ".."].contains(&part)) {
        return Err(Diagnostic::new(&path.place, "path of a device is not valid")
            .wanted("path relative to the image's root, without . and .., e.g. \"dev/fuse\"")
            .found(format!("{:?}", path.value)));
    }
    let number = |value: Option<Spanned<u32>>, key: &str, limit: u32| match value {
        None => Err(Diagnostic::new(&entry.place, format!("key `{key}` is missing"))),
        Some(number) if *number.as_ref() >= limit => {
            let place = entry.place.within(number.span());
            Err(Diagnostic::new(&place, format!("{key} is too large"))
                .wanted(format!("0 to {}", limit - 1))
                .found(number.as_ref().to_string()))
        }
        Some(number) => Ok(number.into_inner()),
    };
    let kind = at(kind);
    // Linux stores a device number in 32 bits: 12 bits for the major number, 20 bits for the minor number.
    let numbers = || Ok::<_, Diagnostic>((number(major, "major", 1 << 12)?, number(minor, "minor", 1 << 20)?));
    let kind = match one_of(&kind, &DEVICE_KINDS)? {
        'p' => DeviceKind::Fifo,
        letter => {
            let (major, minor) = numbers()?;
            if letter == 'c' { DeviceKind::Char { major, minor } } else { DeviceKind::Block { major, minor } }
        }
    };
    let mode = match mode.map(at) {
        None => 0o600,
        Some(mode) => match u16::from_str_radix(&mode.value, 8) {
            Ok(bits) if bits <= 0o7777 && !mode.value.starts_with('+') => bits,
            _ => {
                return Err(Diagnostic::new(&mode.place, "mode is not valid")
                    .wanted("octal digits up to 7777, e.g. \"0660\"")
                    .found(format!("{:?}", mode.value)));
            }
        },
    };
    Ok(Located { value: Device { path: path.value, kind, mode }, place: entry.place })
}

fn scripts(rules: BTreeMap<String, (Located<()>, Located<String>)>) -> Checked<BTreeMap<String, Located<ScriptRule>>> {
    let rules = rules.into_iter().map(|(name, (key, rule))| {
        let name = package(Located { value: name, place: key.place })?;
        let value = one_of(&rule, &SCRIPT_RULES)?;
        Ok((name.value, Located { value, place: name.place }))
    });
    rules.collect()
}

fn unique<T>(items: &[Located<T>], what: &str, name: impl Fn(&T) -> &str) -> Checked<()> {
    let mut seen = BTreeMap::new();
    for item in items {
        if let Some(first) = seen.insert(name(&item.value), &item.place) {
            return Err(Diagnostic::new(&item.place, format!("{what} {:?} is declared twice", name(&item.value)))
                .found(format!("the first declaration at {first}"))
                .with_hint(format!("remove one of the two; a {what} replaces an inherited one of the same name")));
        }
    }
    Ok(())
}
