//! The build on one page: each step takes values and returns a value, in the order in which things happen.

mod size;
mod why;

pub use size::{Sizes, size};
pub use why::why;

use crate::{
    assemble::{self, AssembleInput, Assembled, OwnFile, PackageInput},
    image::{
        initrd::initrd,
        manifest::{self, BuildManifest, Inputs, PackageEntry},
        measure::{RawDigest, measure_all},
        staging::Staging,
        twice::{Twice, on_one_processor},
        uki,
        write::{self, DiskParts, UkiParts},
    },
    lock::{self, Lock, LockFileError, LockInput, Locked, LockedPackage, Pin, Update, WantedSuite, Wish, lock_path},
    plan::{self, Outputs, Plan},
    recipe::{self, Diagnostic, Located, Overlay, Recipe},
    release::check_trust,
    report::Report,
    source::{
        debian::{apt_sources, date::Date, debs::fetch_debs, keyring::DEBIAN_KEYRING, mirrors::Mirrors},
        local, oci,
        programs::{self, Programs},
    },
    tree::{Node, TreePath},
};
use anyhow::{Context, Result};
use berth_contract::{
    arch::Arch,
    digest::Sha256,
    image_spec::{ImageSpec, PreloadedImage},
    paths::{IMAGES, TRUST_ROOT},
    version::OsVersion,
};
use berth_fetch::{
    fetcher::Fetcher,
    settings::{Network, Settings},
    store::{Blob, Store},
};
use berth_formats::data::Data;
use sha2::Digest;
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    thread,
};

/// Where bytes come from, for every verb that needs some.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Base URLs that replace the recipe's and the host's mirrors.
    pub mirrors: Vec<String>,
    /// Folder of the cache.
    pub cache: PathBuf,
    /// Whether the network may be used.
    pub network: Network,
    /// The host's APT configuration, `/etc/apt`.
    pub etc_apt: PathBuf,
    /// Certificate authorities for https, as `SSL_CERT_FILE` or the host has them.
    pub ca_bundle: Option<PathBuf>,
}

/// What `berth build` may be told.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// `--version`: instead of the recipe's.
    pub version: Option<OsVersion>,
    /// `-o`: the output folder.
    pub output: PathBuf,
    /// `SOURCE_DATE_EPOCH`: instead of the lock's date, in seconds since 1970.
    pub epoch: Option<u64>,
    /// `--checksum-raw`: how the raw disk is measured.
    pub raw_digest: RawDigest,
    /// Folder of init, netd, workload and hostctl.
    pub programs: PathBuf,
    /// Where bytes come from.
    pub sources: Sources,
}

/// What a build has made.
#[derive(Clone, Debug)]
pub struct Built {
    /// The output folder.
    pub folder: PathBuf,
    /// Names of the files in it.
    pub outputs: Outputs,
    /// Architecture of the image.
    pub arch: Arch,
}

/// Debian package of the boot loader and of the stub that makes a kernel an EFI program.
const BOOT_PACKAGE: &str = "systemd-boot-efi";

/// Resolves `recipe` and writes its lock file; returns the lock file's path. What `update` does not name stays as it is
/// locked, if it can. `now` is the clock, in seconds since 1970.
///
/// # Errors
/// Whatever is wrong with recipe, archives or dependencies; the lock file is then as it was.
pub fn lock(recipe: &Path, update: &Update, sources: &Sources, now: u64, report: &Report) -> Result<PathBuf> {
    let recipe = recipe::read(recipe)?;
    let input = lock_input(&recipe, sources)?;
    let path = lock_path(recipe.path());
    let previous = match Lock::load(&path) {
        Ok(lock) => Some(lock),
        Err(LockFileError::Missing { .. }) => None,
        // It is about to be replaced; but an archive older than it was then would go unnoticed.
        Err(error) => {
            report.warning(format_args!("the lock that is replaced cannot be compared with: {error}"));
            None
        }
    };
    let previous = (previous.as_ref(), update);
    let outcome = lock::lock(&input, previous, &fetcher(sources)?, Date(now), &report.fetching())?;
    for warning in &outcome.warnings {
        report.warning(warning);
    }
    lock::write(&outcome.lock, &path)?;
    for change in &outcome.changes {
        report.step(change.word(), change);
    }
    report.step("lock", format_args!("{} packages in {}", outcome.lock.packages.len(), path.display()));
    if outcome.behind > 0 {
        report.step("lock", format_args!("{} of them have newer versions: see --update", outcome.behind));
    }
    Ok(path)
}

/// Builds `recipe` from its lock file.
///
/// # Errors
/// Whatever is wrong with recipe, lock, packages or the output folder; the output folder is then as it was.
pub fn build(recipe: &Path, options: &BuildOptions, report: &Report) -> Result<Built> {
    let recipe = recipe::read(recipe)?;
    let input = lock_input(&recipe, &options.sources)?;
    let locked = Locked::load(&lock_path(recipe.path()), &input)?;
    let plan = plan::plan(&recipe, &locked, options.version.clone(), options.epoch)?;

    let fetcher = fetcher(&options.sources)?;
    let programs = programs::find(&options.programs, recipe.arch)?;
    let (root, images) = assembled((&recipe, &input, &locked, &plan), &fetcher, &programs, report)?;
    let staging = Staging::new(&options.output)?;
    // Compressing the initrd takes as long as root file system and hash tree together; neither needs the other.
    let (root_hash, initrd) = thread::scope(|scope| {
        let initrd = scope.spawn(|| {
            initrd(&root.tree, (&root.kernel.release, plan.arch), &programs.init, plan.epoch, fetcher.store().root())
        });
        let root_file = write::root(&root.tree, &plan, &staging);
        let root_hash = root_file.and_then(|file| write::hash_tree(&file, &plan, &staging));
        (root_hash, initrd.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let root_hash = root_hash?;
    let cmdline = uki::cmdline(root_hash, &recipe.kernel.cmdline);
    let parts = UkiParts {
        stub: &root.stub,
        vmlinuz: &root.kernel.vmlinuz,
        release: &root.kernel.release,
        cmdline: &cmdline,
        os_release: &root.os_release,
        initrd: initrd?,
    };
    let uki = write::uki(parts, &plan, &staging)?;
    let parts = DiskParts { root_hash, systemd_boot: &root.systemd_boot, uki, var: &root.var };
    let disk = write::disk(parts, &plan, &staging)?;
    let outputs = measure_all(&plan.outputs, &staging, options.raw_digest, || write::qcow2(&disk, &plan, &staging))?;
    report.step("image", format_args!("root hash {root_hash}"));

    let inputs = inputs(&recipe, &locked, &programs, &images)?;
    let manifest = BuildManifest::new(&recipe, &plan, &root, (root_hash, cmdline), inputs, outputs);
    manifest::write(&manifest, &plan.outputs, &staging)?;
    let folder = staging.commit(&plan.outputs.all())?;
    report.step("done", folder.display());
    Ok(Built { folder, outputs: plan.outputs, arch: plan.arch })
}

/// Builds `recipe` twice: in two folders, the second time from packages unpacked anew and on one processor. Only a build
/// that comes out the same both times is published.
///
/// # Errors
/// Those of [`build`], and two builds that differ: both are kept then.
pub fn check(recipe: &Path, options: &BuildOptions, report: &Report) -> Result<Built> {
    let twice = Twice::new(&options.output)?;
    let build_in = |output: PathBuf, cache: PathBuf| {
        let sources = Sources { cache, ..options.sources.clone() };
        build(recipe, &BuildOptions { output, sources, ..options.clone() }, report)
    };
    let cache = options.sources.cache.clone();
    let Built { outputs, arch, .. } = build_in(twice.first(), cache.clone())?;
    report.step("again", "with nothing but fetched packages, on one processor");
    let fresh = twice.fresh_cache(&cache)?;
    on_one_processor(|| build_in(twice.second(), fresh)).context("cannot choose a processor")??;
    let folder = twice.publish(&outputs)?;
    report.step("same", folder.display());
    Ok(Built { folder, outputs, arch })
}

/// Everything that a recipe decides, and its lock.
type Decided<'a> = (&'a Recipe, &'a LockInput, &'a Locked, &'a Plan);

/// The root tree, with packages fetched and preloaded images packed, and the list of those.
fn assembled(
    (recipe, input, locked, plan): Decided<'_>,
    fetcher: &Fetcher,
    programs: &Programs,
    report: &Report,
) -> Result<(Assembled, Vec<PreloadedImage>)> {
    let debs = fetch_debs(fetcher, &input.mirrors, &locked.debs(), &report.fetching())?;
    let images = preload(recipe, fetcher.store())?;
    let overlays = overlays(recipe)?;
    let root = assemble::assemble(AssembleInput {
        cache: fetcher.store().root(),
        packages: &packages(locked.lock(), &debs),
        overlays: &overlays,
        devices: &recipe.devices,
        drop: &recipe.debian.drop,
        scripts: &recipe.scripts,
        modules: &recipe.kernel.modules,
        files: &own_files(programs, images.files.into_iter().chain(trust(recipe)?).collect()),
        image: image_spec(recipe, locked, plan, images.list.clone()),
        codename: &plan.codename,
    })?;
    for warning in &root.warnings {
        report.warning(warning);
    }
    report.step("assemble", format_args!("{} files", root.tree.iter().count()));
    Ok((root, images.list))
}

fn fetcher(sources: &Sources) -> Result<Fetcher> {
    Ok(Fetcher::new(Store::open(&sources.cache)?, Settings::new(sources.network, sources.ca_bundle.clone())))
}

/// What the recipe, the command line and this machine together ask the archives for.
fn lock_input(recipe: &Recipe, sources: &Sources) -> Result<LockInput> {
    let names = |names: &[recipe::Located<String>]| names.iter().map(|name| name.value.clone()).collect::<Vec<_>>();
    let mirrors = match (sources.mirrors.as_slice(), recipe.debian.mirror.as_slice()) {
        ([], []) => Mirrors::Host(apt_sources::read(&sources.etc_apt)?),
        ([], given) => Mirrors::Given(given.iter().map(|url| url.value.clone()).collect()),
        (given, _) => Mirrors::given(given)?,
    };
    let wish = |name: &Located<String>| Wish { name: name.value.clone(), place: Some(name.place.clone()) };
    let asked = recipe.debian.packages.iter().chain([&recipe.kernel.package]);
    let mut suites = vec![WantedSuite { name: recipe.debian.suite.value.clone(), priority: None }];
    for archive in &recipe.debian.archives {
        let recipe::Archive { suite, priority } = &archive.value;
        match suites.iter_mut().find(|known| known.name == *suite) {
            Some(known) => known.priority = *priority,
            None => suites.push(WantedSuite { name: suite.clone(), priority: *priority }),
        }
    }
    Ok(LockInput {
        suites,
        components: recipe.debian.components.clone(),
        arch: recipe.arch,
        packages: asked.map(wish).chain([Wish::own(BOOT_PACKAGE)]).collect(),
        pins: recipe.debian.versions.iter().map(|(name, pin)| Pin::new(name, pin)).collect::<Result<_, _>>()?,
        provided: names(&recipe.debian.provided),
        mirrors,
        keyring: recipe.debian.keyring.as_ref().map_or_else(|| DEBIAN_KEYRING.into(), |keyring| keyring.value.clone()),
    })
}

fn packages(lock: &Lock, debs: &[Blob]) -> Vec<PackageInput> {
    let input = |(package, deb): (&LockedPackage, &Blob)| PackageInput {
        name: package.name.clone(),
        version: package.version.clone(),
        deb: deb.path.clone(),
        sha256: package.sha256,
        size: package.size,
        installed_size: package.installed_size,
    };
    lock.packages.iter().zip(debs).map(input).collect()
}

fn overlays(recipe: &Recipe) -> Result<Vec<Vec<(TreePath, Node)>>> {
    let nodes = |overlay: &Located<Overlay>| {
        let origin = format!("overlay {}", overlay_name(&overlay.value));
        Ok(local::nodes(&local::folder(overlay)?, &origin.into())?)
    };
    recipe.overlays.iter().map(nodes).collect()
}

fn overlay_name(overlay: &Overlay) -> String {
    match overlay {
        Overlay::Named(name) => name.clone(),
        Overlay::Path(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    }
}

/// Images that the host imports at its first boot.
#[derive(Debug, Default)]
struct Preloaded {
    files: Vec<OwnFile>,
    list: Vec<PreloadedImage>,
}

fn preload(recipe: &Recipe, store: &Store) -> Result<Preloaded> {
    let mut all = Preloaded::default();
    for entry in &recipe.oci {
        let image = oci::image(entry, recipe.arch)?;
        let archive = format!("{IMAGES}/{}.tar", image.name.stem());
        let data = oci::preload(&image, store)?;
        all.files.push(OwnFile { path: archive.clone(), mode: 0o644, data });
        all.list.push(PreloadedImage {
            name: image.name.full(),
            archive,
            image_id: format!("sha256:{}", image.image_id),
        });
    }
    Ok(all)
}

/// The root metadata that hosts trust releases by.
fn trust(recipe: &Recipe) -> Result<Option<OwnFile>> {
    /// More than anybody's keys need, in bytes.
    const MAX_SIZE: u64 = 1 << 20;
    let Some(Located { value: path, place }) = &recipe.update.trust else { return Ok(None) };
    let fault = |what: String| {
        let hint = "name the root.json that `berth keys new` made, see docs/keys.md";
        Diagnostic::new(place, format!("{} cannot be trusted: {what}", path.display())).hint(hint)
    };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_SIZE).read_to_end(&mut bytes));
    read.map_err(|error| fault(error.to_string()))?;
    check_trust(&bytes, path).map_err(fault)?;
    Ok(Some(OwnFile { path: TRUST_ROOT.to_owned(), mode: 0o644, data: Data::Bytes(bytes.into()) }))
}

fn own_files(programs: &Programs, images: Vec<OwnFile>) -> Vec<OwnFile> {
    let own = |(&path, data): (&&str, &Data)| OwnFile { path: path.to_owned(), mode: 0o755, data: data.clone() };
    programs.all.iter().map(own).chain(images).collect()
}

fn image_spec(recipe: &Recipe, locked: &Locked, plan: &Plan, images: Vec<PreloadedImage>) -> ImageSpec {
    ImageSpec {
        id: plan.id.clone(),
        version: plan.version.clone(),
        arch: recipe.arch,
        // Known once the packages are unpacked.
        kernel: String::new(),
        engine: plan.engine.clone(),
        modules: recipe.kernel.modules.iter().map(|module| module.value.clone()).collect(),
        images,
        containers: recipe.containers.iter().map(|container| container.value.clone()).collect(),
        packages: locked.lock().packages.iter().map(|one| (one.name.clone(), one.version.clone())).collect(),
        update: recipe.update.spec.clone(),
        health: recipe.health,
    }
}

fn inputs(recipe: &Recipe, locked: &Locked, programs: &Programs, images: &[PreloadedImage]) -> Result<Inputs> {
    let lock = locked.lock();
    let mut merged = sha2::Sha256::new();
    recipe.files.iter().for_each(|file| merged.update(file.text()));
    let package = |package: &LockedPackage| PackageEntry {
        name: package.name.clone(),
        version: package.version.clone(),
        arch: package.architecture.clone(),
        sha256: package.sha256,
    };
    Ok(Inputs {
        recipe: Sha256(merged.finalize().into()),
        lock: lock.content_digest(),
        packages: lock.packages.iter().map(package).collect(),
        provided: lock.provided.iter().map(|provided| provided.name.clone()).collect(),
        oci: images.iter().map(|image| (image.name.clone(), image.image_id.clone())).collect(),
        programs: programs.digests()?,
    })
}
