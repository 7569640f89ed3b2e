//! Versions of a host, and releases of them: built and signed by the `berth` program that is tested.

use crate::common::{berth, judge, output, root};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Builds and signs in a folder of its own, below `target`.
pub(crate) struct Workshop {
    folder: PathBuf,
    /// The program that builds. What it puts into images lies beside it.
    berth: PathBuf,
}

/// What makes a version unlike its recipe.
#[derive(Clone, Debug, Default)]
pub(crate) struct Version<'a> {
    pub(crate) number: &'a str,
    /// Path of the recipe that is extended, from the root of the sources; the small one when empty.
    pub(crate) recipe: &'a str,
    /// Lines of the recipe.
    pub(crate) lines: &'a str,
    /// Files of its overlay: path, permissions, content.
    pub(crate) files: Vec<(&'a str, u32, Vec<u8>)>,
    /// Init is this program, which is no init.
    pub(crate) init: Option<&'a Path>,
}

impl Workshop {
    /// An empty one, with new keys.
    pub(crate) fn open(name: &str) -> Self {
        let folder = root().join("target/update").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        let workshop = Self { folder, berth: berth() };
        workshop.berth(&["keys", "new", "keys"]);
        workshop
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs `berth` here, which must succeed.
    pub(crate) fn berth(&self, arguments: &[&str]) -> String {
        self.run(&self.berth, arguments)
    }

    fn run(&self, berth: &Path, arguments: &[&str]) -> String {
        let output = Command::new(berth).arg("-q").args(arguments).current_dir(&self.folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "berth {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Builds a version, and returns the folder with its outputs.
    pub(crate) fn build(&self, version: &Version<'_>) -> PathBuf {
        let name = format!("v{}", version.number);
        let base = if version.recipe.is_empty() { "qemu/tests/recipes/small.toml" } else { version.recipe };
        let overlay = self.path(&format!("overlay-{name}"));
        for (path, mode, content) in &version.files {
            let path = overlay.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        fs::create_dir_all(&overlay).unwrap();
        // A file of this version alone, so that each has a root hash of its own.
        fs::write(overlay.join("VERSION"), version.number).unwrap();
        let recipe = format!(
            "extends = \"../../../{base}\"\nversion = \"{}\"\noverlays = [\"./overlay-{name}\"]\n{}\n[update]\ntrust = \"keys/root.json\"\n",
            version.number, version.lines
        );
        fs::write(self.path(&format!("{name}.toml")), recipe).unwrap();
        fs::copy(root().join(base).with_extension("lock"), self.path(&format!("{name}.lock"))).unwrap();
        let program = match version.init {
            None => self.berth.clone(),
            Some(init) => self.with_other_init(init),
        };
        self.run(&program, &["build", &format!("{name}.toml"), "-o", &name]);
        self.path(&name)
    }

    /// A copy of `berth` and its companions in which `init` is another program.
    fn with_other_init(&self, init: &Path) -> PathBuf {
        let programs = self.path("programs");
        fs::create_dir_all(&programs).unwrap();
        for name in ["berth", "netd", "workload", "hostctl"] {
            fs::copy(self.berth.with_file_name(name), programs.join(name)).unwrap();
        }
        fs::copy(init, programs.join("init")).unwrap();
        programs.join("berth")
    }

    /// Signs builds into the repository `repo`, and returns its folder.
    pub(crate) fn release(&self, repo: &str, builds: &[&Path], more: &[&str]) -> PathBuf {
        let builds = builds.iter().map(|build| build.to_str().unwrap());
        let options = ["--repo", repo, "--keys", "keys", "--level", "1"];
        let arguments: Vec<&str> =
            ["release"].into_iter().chain(builds).chain(options).chain(more.iter().copied()).collect();
        self.berth(&arguments);
        self.path(repo)
    }

    /// A copy of a repository, to be spoilt.
    pub(crate) fn copy(&self, repo: &Path, name: &str) -> PathBuf {
        let to = self.path(name);
        judge("cp", &["-r", "--reflink=auto", repo.to_str().unwrap(), to.to_str().unwrap()]).unwrap();
        to
    }
}

/// The disk image of a build.
pub(crate) fn disk(build: &Path) -> PathBuf {
    output(build, ".raw")
}

/// Bytes that are as many in every form.
pub(crate) fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed;
    let next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The low bits of such a generator are poor.
        state.to_le_bytes()[4..].to_vec()
    };
    std::iter::repeat_with(next).flatten().take(size).collect()
}
