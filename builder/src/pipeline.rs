//! The build on one page: the steps in their order. Each step takes values and returns a value.

mod options;
mod size;
mod why;

pub use options::{BuildOptions, Built, Supply};
pub use size::{Sizes, size};
pub use why::why;

use crate::{
    assemble::{self, AssembleInput, Assembled, PackageInput},
    check,
    date::Date,
    image::{
        initrd::initrd,
        manifest::{self, BuildManifest, Inputs},
        measure::measure_all,
        outputs,
        staging::Staging,
        twice::{Twice, on_one_processor},
        uki,
        write::{self, DiskParts, UkiParts},
    },
    lock::{self, Lock, LockInput, Locked, Update, lock_path},
    plan::{self, Plan},
    recipe::{self, Recipe},
    release,
    report::Report,
    source::{
        debian::debs::fetch_debs,
        local,
        programs::{self, Programs},
    },
};
use anyhow::{Context, Result};
use berth_contract::image_spec::PreloadedImage;
use berth_fetch::fetcher::Fetcher;
use std::{
    path::{Path, PathBuf},
    thread,
};

/// Resolves `recipe` and writes its lock file. Returns the path of the lock file. Packages that `update` does not name keep
/// their locked version if possible. `now` is the current time, in seconds since 1970.
///
/// # Errors
/// Faults of the recipe, the archives or the dependencies. The lock file is not changed then.
pub fn lock(recipe: &Path, update: &Update, supply: &Supply, now: u64, report: &Report) -> Result<PathBuf> {
    let recipe = recipe::read(recipe)?;
    let input = LockInput::new(&recipe, &supply.mirrors, &supply.etc_apt)?;
    let path = lock_path(recipe.path());
    let (previous, damage) = Lock::previous(&path);
    if let Some(error) = damage {
        report.warning(format_args!("the old lock file cannot be used for comparison: {error}"));
    }
    let previous = (previous.as_ref(), update);
    let made = lock::lock(&input, previous, &supply.fetcher()?, Date(now), &report.fetching())?;
    for warning in &made.warnings {
        report.warning(warning);
    }
    plan::engine(&recipe, &made.lock)?;
    lock::write(&made.lock, &path)?;
    for change in &made.changes {
        report.step(change.word(), change);
    }
    report.step("lock", format_args!("{} packages in {}", made.lock.packages.len(), path.display()));
    if made.behind > 0 {
        report.step("lock", format_args!("{} of them have newer versions: --update installs them", made.behind));
    }
    Ok(path)
}

/// Builds `recipe` from its lock file.
///
/// # Errors
/// Faults of the recipe, the lock, the packages or the output folder. The output folder is not changed then.
pub fn build(recipe: &Path, options: &BuildOptions, report: &Report) -> Result<Built> {
    let recipe = recipe::read(recipe)?;
    let input = LockInput::new(&recipe, &options.supply.mirrors, &options.supply.etc_apt)?;
    let locked = Locked::load(&lock_path(recipe.path()), &input)?;
    let plan = plan::plan(&recipe, &locked, options.version.clone(), options.epoch)?;

    let fetcher = options.supply.fetcher()?;
    let programs = programs::find(&options.programs, recipe.arch)?;
    let (root, images) = assembled((&recipe, &input, &locked, &plan), &fetcher, &programs, report)?;
    for warning in check::check(&recipe, &root.tree, &images)? {
        report.warning(warning);
    }
    let staging = Staging::new(&options.output)?;
    // In parallel: compressing the initrd takes as long as writing the root file system and its hash tree.
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
    let copy = || outputs::write_copies(&disk, &plan.outputs, &staging);
    let measured = measure_all(&plan.outputs, &staging, options.raw_digest, copy)?;
    report.step("image", format_args!("root hash {root_hash}"));

    let inputs = Inputs::new(&recipe, &locked, &programs, &images)?;
    let manifest = BuildManifest::new(&recipe, &plan, &root, (root_hash, cmdline), inputs, measured);
    manifest::write(&manifest, &plan.outputs, &staging)?;
    let folder = staging.commit(&outputs::all(&plan.outputs))?;
    report.step("done", folder.display());
    Ok(Built { folder, outputs: plan.outputs, arch: plan.arch })
}

/// Builds `recipe` twice, in two folders. The second build unpacks the packages again and uses one processor. The build is
/// published only if both results are identical.
///
/// # Errors
/// Those of [`build`]; the two builds differ: both are kept then.
pub fn check(recipe: &Path, options: &BuildOptions, report: &Report) -> Result<Built> {
    let twice = Twice::new(&options.output)?;
    let build_in = |output: PathBuf, cache: PathBuf| {
        let supply = Supply { cache, ..options.supply.clone() };
        build(recipe, &BuildOptions { output, supply, ..options.clone() }, report)
    };
    let cache = options.supply.cache.clone();
    let Built { outputs, arch, .. } = build_in(twice.first(), cache.clone())?;
    report.step("again", "second build on one processor; only downloads are reused");
    let fresh = twice.fresh_cache(&cache)?;
    on_one_processor(|| build_in(twice.second(), fresh)).context("cannot choose a processor")??;
    let folder = twice.publish(&outputs)?;
    report.step("same", folder.display());
    Ok(Built { folder, outputs, arch })
}

/// A recipe with its lock and its plan.
type Decided<'a> = (&'a Recipe, &'a LockInput, &'a Locked, &'a Plan);

/// Fetches the packages, packs the images to preload, and assembles the root tree. Returns the tree and the list of images.
fn assembled(
    (recipe, input, locked, plan): Decided<'_>,
    fetcher: &Fetcher,
    programs: &Programs,
    report: &Report,
) -> Result<(Assembled, Vec<PreloadedImage>)> {
    let debs = fetch_debs(fetcher, &|suite| input.mirrors_of(suite), &locked.debs(), &report.fetching())?;
    let images = assemble::preload(recipe, fetcher.store())?;
    let root = assemble::assemble(AssembleInput {
        cache: fetcher.store().root(),
        packages: &PackageInput::all(locked.lock(), &debs),
        overlays: &local::overlays(recipe)?,
        devices: &recipe.devices,
        drop: &recipe.debian.drop,
        unpack_limit: recipe.debian.unpack_limit,
        scripts: &recipe.scripts,
        modules: &recipe.kernel.modules,
        files: &assemble::own_files(programs, images.files, release::trust_file(recipe)?),
        image: assemble::image_spec(recipe, locked, plan, images.list.clone()),
        codename: &plan.codename,
    })?;
    for warning in &root.warnings {
        report.warning(warning);
    }
    report.step("assemble", format_args!("{} files", root.tree.iter().count()));
    Ok((root, images.list))
}
