//! Merges a recipe with the files that it extends. Tables are merged, scalars replace earlier values, arrays are appended,
//! tables in arrays replace those of earlier files that have the same name, and `remove` removes items of earlier files.

use super::{
    diagnostic::Diagnostic,
    place::{Located, RecipeFile},
    raw::{RawArchive, RawDevice, RawList, RawOci, RawPin, RawRecipe, locate},
    spanned::Spanned,
};
use berth_contract::container::{ByteSize, ContainerSpec};
use std::{collections::BTreeMap, sync::Arc};

/// The merged values of all files of a chain, each with its place.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) id: Option<Located<String>>,
    pub(super) version: Option<Located<String>>,
    pub(super) arch: Option<Located<String>>,
    pub(super) suite: Option<Located<String>>,
    pub(super) archives: Vec<Located<RawArchive>>,
    pub(super) components: Vec<Located<String>>,
    pub(super) mirror: Vec<Located<String>>,
    pub(super) keyring: Option<Located<String>>,
    pub(super) valid_until: Option<Located<String>>,
    pub(super) packages: Vec<Located<String>>,
    pub(super) provided: Vec<Located<String>>,
    pub(super) versions: BTreeMap<String, (Located<()>, Located<RawPin>)>,
    pub(super) drop: Vec<Located<String>>,
    pub(super) unpack_limit: Option<Located<ByteSize>>,
    pub(super) kernel: Option<Located<String>>,
    pub(super) cmdline: Vec<Located<String>>,
    pub(super) modules: Vec<Located<String>>,
    pub(super) engine: Option<Located<String>>,
    pub(super) esp: Option<Located<ByteSize>>,
    pub(super) slot: Option<Located<ByteSize>>,
    pub(super) var: Option<Located<ByteSize>>,
    pub(super) compression: Option<Located<String>>,
    pub(super) listen: Option<Located<String>>,
    pub(super) clients: Option<Located<String>>,
    pub(super) crl: Option<Located<String>>,
    pub(super) revoked: Vec<Located<String>>,
    pub(super) trust: Option<Located<String>>,
    pub(super) source: Option<Located<String>>,
    pub(super) channel: Option<Located<String>>,
    pub(super) ca: Option<Located<String>>,
    pub(super) limit: Option<Located<u32>>,
    pub(super) sources: Vec<Located<String>>,
    pub(super) allow: Vec<Located<String>>,
    pub(super) overlays: Vec<Located<String>>,
    pub(super) oci: Vec<Located<RawOci>>,
    pub(super) containers: Vec<Located<ContainerSpec>>,
    pub(super) devices: Vec<Located<RawDevice>>,
    pub(super) scripts: BTreeMap<String, (Located<()>, Located<String>)>,
}

/// An item of a list.
trait Named {
    /// The name of the item in messages.
    fn name(&self) -> &str;

    /// Whether `remove` means this item by `name`.
    fn is_called(&self, name: &str) -> bool {
        self.name() == name
    }

    /// Whether this item replaces an inherited one.
    fn replaces(&self, _: &Self) -> bool {
        false
    }
}

impl Named for String {
    fn name(&self) -> &str {
        self
    }
}

impl Named for RawArchive {
    fn name(&self) -> &str {
        self.0.name.as_ref().map_or(&self.0.suite, |name| name.as_ref())
    }
}

impl Named for RawOci {
    fn name(&self) -> &str {
        self.name.as_ref().unwrap_or(&self.image).as_ref()
    }

    fn is_called(&self, name: &str) -> bool {
        self.name() == name || self.image.as_ref() == name
    }

    /// Only by a name that both recipes give: the path of the image is relative to its file.
    fn replaces(&self, inherited: &Self) -> bool {
        self.name.is_some() && inherited.name.as_ref().map(Spanned::as_ref) == self.name.as_ref().map(Spanned::as_ref)
    }
}

impl Named for ContainerSpec {
    fn name(&self) -> &str {
        &self.name
    }

    fn replaces(&self, inherited: &Self) -> bool {
        self.name == inherited.name
    }
}

impl Named for RawDevice {
    fn name(&self) -> &str {
        self.path.as_ref()
    }

    fn replaces(&self, inherited: &Self) -> bool {
        self.name() == inherited.name()
    }
}

impl Merged {
    /// Merges the next file of the chain, `raw` as parsed from `source`, into the values of the files before it.
    pub(super) fn lay(&mut self, source: &Arc<RecipeFile>, raw: RawRecipe) -> Result<(), Diagnostic> {
        let RawRecipe { debian, kernel, engine, disk, update, remote, health, config, check, .. } = raw;
        for (into, value) in [
            (&mut self.id, raw.id),
            (&mut self.version, raw.version),
            (&mut self.arch, raw.arch),
            (&mut self.suite, debian.suite),
            (&mut self.keyring, debian.keyring),
            (&mut self.valid_until, debian.valid_until),
            (&mut self.kernel, kernel.package),
            (&mut self.engine, engine.kind),
            (&mut self.compression, disk.compression),
            (&mut self.trust, update.trust),
            (&mut self.source, update.source),
            (&mut self.channel, update.channel),
            (&mut self.ca, update.ca),
            (&mut self.listen, remote.listen),
            (&mut self.clients, remote.ca),
            (&mut self.crl, remote.crl),
        ] {
            scalar(into, source, value);
        }
        for (into, value) in [
            (&mut self.esp, disk.esp),
            (&mut self.slot, disk.slot),
            (&mut self.var, disk.var),
            (&mut self.unpack_limit, debian.unpack_limit),
        ] {
            scalar(into, source, value);
        }
        scalar(&mut self.limit, source, health.limit);
        for (into, key, change) in [
            (&mut self.components, "debian.components", debian.components),
            (&mut self.mirror, "debian.mirror", debian.mirror),
            (&mut self.packages, "debian.packages", debian.packages),
            (&mut self.provided, "debian.provided", debian.provided),
            (&mut self.drop, "debian.drop", debian.drop),
            (&mut self.cmdline, "kernel.cmdline", kernel.cmdline),
            (&mut self.modules, "kernel.modules", kernel.modules),
            (&mut self.overlays, "overlays", raw.overlays),
            (&mut self.revoked, "remote.revoked", remote.revoked),
            (&mut self.sources, "config.sources", config.sources),
            (&mut self.allow, "check.allow", check.allow),
        ] {
            list(into, source, key, change)?;
        }
        list(&mut self.archives, source, "debian.archives", debian.archives)?;
        list(&mut self.oci, source, "oci", raw.oci)?;
        list(&mut self.containers, source, "container", raw.container)?;
        list(&mut self.devices, source, "device", raw.device)?;
        table(&mut self.versions, source, debian.versions);
        table(&mut self.scripts, source, raw.scripts);
        Ok(())
    }
}

/// Merges a table whose keys the author chooses. The value of a later file replaces the value of an earlier file.
fn table<T>(
    into: &mut BTreeMap<String, (Located<()>, Located<T>)>,
    source: &Arc<RecipeFile>,
    values: BTreeMap<Spanned<String>, Spanned<T>>,
) {
    for (name, value) in values {
        let name = locate(source, name);
        into.insert(name.value.clone(), (name.map(|_| ()), locate(source, value)));
    }
}

fn scalar<T>(into: &mut Option<Located<T>>, source: &Arc<RecipeFile>, value: Option<Spanned<T>>) {
    if let Some(value) = value {
        *into = Some(locate(source, value));
    }
}

fn list<T: Named>(
    into: &mut Vec<Located<T>>,
    source: &Arc<RecipeFile>,
    key: &str,
    change: RawList<T>,
) -> Result<(), Diagnostic> {
    for gone in change.remove {
        let gone = locate(source, gone);
        let before = into.len();
        let names: Vec<String> = into.iter().map(|item| item.value.name().to_owned()).collect();
        into.retain(|item| !item.value.is_called(&gone.value));
        if into.len() == before {
            return Err(Diagnostic::new(&gone.place, format!("{key} has no {:?} to remove", gone.value))
                .wanted(if names.is_empty() {
                    format!("an item of {key} in a file that this recipe extends; there are no items")
                } else {
                    format!("one of {}", names.join(", "))
                })
                .nearest(&gone.value, names.iter().map(String::as_str)));
        }
    }
    let inherited = into.len();
    for item in change.add {
        let item = locate(source, item);
        match into[..inherited].iter_mut().find(|old| item.value.replaces(&old.value)) {
            Some(old) => *old = item,
            None => into.push(item),
        }
    }
    Ok(())
}
