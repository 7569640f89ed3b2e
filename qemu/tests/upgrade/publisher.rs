//! Builds versions of a host and signs releases with the `berth` program under test. Equal builds and releases are made once and shared by
//! all tests.

use crate::common::{berth, build_inputs, output, root, shared};
use berth_qemu::{
    error::VmError,
    once::{name_of, once, stamp},
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// The default recipe of a version.
const SMALL: &str = "qemu/tests/recipes/small.toml";

/// Builds and signs. Each publisher has its own folder `target/update/NAME` for files that are not shared with other tests.
pub(crate) struct Publisher {
    folder: PathBuf,
    keys: PathBuf,
}

/// A version: a recipe and the changes to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Version<'a> {
    pub(crate) number: &'a str,
    /// Path of the recipe that is extended, relative to the root of the source tree. Empty means [`SMALL`].
    pub(crate) recipe: &'a str,
    /// More lines for the recipe.
    pub(crate) lines: &'a str,
    /// Files of the overlay: path, permissions, content.
    pub(crate) files: Vec<(&'a str, u32, Vec<u8>)>,
    /// A program that replaces init.
    pub(crate) init: Option<&'a Path>,
}

/// Version `number` of the small host, without other changes.
pub(crate) fn plain(number: &str) -> Version<'_> {
    Version { number, ..Version::default() }
}

impl Publisher {
    /// A publisher with the signing keys that all tests share.
    pub(crate) fn new(name: &str) -> Self {
        let name_of_keys = name_of("keys", &[stamp(&berth()).unwrap()]);
        let keys = once(&shared("keys"), &name_of_keys, |folder| {
            run(&berth(), folder, &["keys", "new", "keys"]);
            Ok::<_, VmError>(())
        });
        Self { folder: empty_folder(name), keys: keys.unwrap().join("keys") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder of the keys, as an argument for `berth`.
    pub(crate) fn keys(&self) -> &str {
        self.keys.to_str().unwrap()
    }

    /// Runs `berth` in this test's folder. It must succeed.
    pub(crate) fn berth(&self, arguments: &[&str]) {
        run(&berth(), &self.folder, arguments);
    }

    /// Builds a version. Returns the folder with its outputs.
    pub(crate) fn build(&self, version: &Version<'_>) -> PathBuf {
        let trust = fs::read(self.keys.join("root.json")).unwrap();
        let mut parts = vec![trust.clone(), build_inputs().join("\n").into_bytes()];
        parts.extend([version.number, version.recipe, version.lines].map(|text| text.as_bytes().to_vec()));
        parts.extend(version.init.map(|path| stamp(path).unwrap().into_bytes()));
        for (path, mode, content) in &version.files {
            parts.extend([format!("{path} {mode:o}").into_bytes(), content.clone()]);
        }
        let name = name_of(&format!("version-{}", version.number), &parts);
        let folder = once(&shared("builds"), &name, |folder| {
            version.build_in(folder, &trust);
            Ok::<_, VmError>(())
        });
        folder.unwrap().join("out")
    }

    /// Signs builds into the repository `repo` in this test's folder. Returns the repository's folder.
    pub(crate) fn release(&self, repo: &str, builds: &[&Path], more: &[&str]) -> PathBuf {
        let repo = self.path(repo);
        self.release_to(&repo, builds, more);
        repo
    }

    /// A repository with these builds and without deltas. Other tests use the same repository: do not change it.
    pub(crate) fn shared_release(&self, builds: &[&Path]) -> PathBuf {
        let parts: Vec<&str> = builds.iter().map(|build| build.to_str().unwrap()).chain([self.keys()]).collect();
        let folder = once(&shared("releases"), &name_of("release", &parts), |folder| {
            self.release_to(&folder.join("repo"), builds, &["--deltas", "0"]);
            Ok::<_, VmError>(())
        });
        folder.unwrap().join("repo")
    }

    fn release_to(&self, repo: &Path, builds: &[&Path], more: &[&str]) {
        let builds = builds.iter().map(|build| build.to_str().unwrap());
        let options = ["--repo", repo.to_str().unwrap(), "--keys", self.keys(), "--level", "1"];
        let arguments: Vec<&str> =
            ["release"].into_iter().chain(builds).chain(options).chain(more.iter().copied()).collect();
        self.berth(&arguments);
    }
}

impl Version<'_> {
    /// Builds into `folder/out`.
    fn build_in(&self, folder: &Path, trust: &[u8]) {
        let base = if self.recipe.is_empty() { SMALL } else { self.recipe };
        let overlay = folder.join("overlay");
        fs::create_dir(&overlay).unwrap();
        for (path, mode, content) in &self.files {
            let path = overlay.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        // This file makes the root hash of each version different.
        fs::write(overlay.join("VERSION"), self.number).unwrap();
        fs::write(folder.join("root.json"), trust).unwrap();
        // The recipe is in target/shared/builds/NAME/new.
        let recipe = format!(
            "extends = \"../../../../../{base}\"\nversion = \"{}\"\noverlays = [\"./overlay\"]\n{}\n[update]\ntrust = \"root.json\"\n",
            self.number, self.lines
        );
        fs::write(folder.join("recipe.toml"), recipe).unwrap();
        fs::copy(root().join(base).with_extension("lock"), folder.join("recipe.lock")).unwrap();
        let program = self.init.map_or_else(berth, |init| with_other_init(init, &folder.join("programs")));
        run(&program, folder, &["build", "recipe.toml", "-o", "out"]);
    }
}

/// Copies `berth` and the programs that it puts into images, but replaces init by `init`. Returns the path of the copied `berth`.
fn with_other_init(init: &Path, programs: &Path) -> PathBuf {
    fs::create_dir(programs).unwrap();
    for name in ["berth", "netd", "logd", "timed", "workload", "hostd", "hostctl"] {
        fs::copy(berth().with_file_name(name), programs.join(name)).unwrap();
    }
    fs::copy(init, programs.join("init")).unwrap();
    programs.join("berth")
}

fn run(berth: &Path, folder: &Path, arguments: &[&str]) {
    let output = Command::new(berth).arg("-q").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "berth {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn empty_folder(name: &str) -> PathBuf {
    let folder = root().join("target/update").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The disk image of a build.
pub(crate) fn disk(build: &Path) -> PathBuf {
    output(build, ".raw")
}

/// Bytes that cannot be compressed.
pub(crate) fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed;
    let next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The low bits of a linear congruential generator are not random enough.
        state.to_le_bytes()[4..].to_vec()
    };
    std::iter::repeat_with(next).flatten().take(size).collect()
}
