//! Loads kernel modules with their dependencies.

use super::rules::Rules;
use crate::drop_in;
use berth_contract::fault::PathError;
use berth_formats::kmod::{Index, Texts};
use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    system::finit_module,
};
use std::{
    collections::BTreeSet,
    ffi::CString,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// `MODULE_INIT_COMPRESSED_FILE` of linux/module.h: the kernel decompresses the file.
const COMPRESSED: i32 = 4;
/// Directories of modprobe.d(5) files. A file hides files of the same name in later directories.
const RULES: [&str; 2] = ["/etc/modprobe.d", "/usr/lib/modprobe.d"];

/// Why a module was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// No module, alias or built-in module has the name.
    #[error("module {name} not found in {}", base.display())]
    NotFound {
        /// The name that was requested.
        name: String,
        /// Directory of the modules.
        base: PathBuf,
    },
    /// The kernel refused the module.
    #[error("cannot load module {name}: {source}")]
    Refused {
        /// The module.
        name: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// An index of depmod cannot be read.
    #[error(transparent)]
    Index(#[from] PathError),
}

/// One module to insert. `modprobe -D` prints these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insertion {
    /// Absolute path of the module file. `None` when the module is built into the kernel.
    pub path: Option<PathBuf>,
    /// Name of the module.
    pub name: String,
    /// Parameters of the module.
    pub options: String,
}

/// Loads modules of the running kernel. Threads may share it.
#[derive(Debug)]
pub struct Loader {
    base: PathBuf,
    index: Index,
    rules: Rules,
    /// Modules that this process knows to be loaded.
    loaded: Mutex<BTreeSet<String>>,
}

impl Loader {
    /// The modules below `base`, which is `/usr/lib/modules/RELEASE`.
    ///
    /// # Errors
    /// When there is no modules.dep.
    pub fn open(base: &Path) -> Result<Self, PathError> {
        let read = |name: &str| {
            let path = base.join(name);
            fs::read_to_string(&path).map_err(|source| PathError { doing: "read", path, source })
        };
        let optional = |name: &str| read(name).unwrap_or_default();
        let (dep, alias, softdep, builtin) =
            (read("modules.dep")?, optional("modules.alias"), optional("modules.softdep"), optional("modules.builtin"));
        let mut index = Index::parse(Texts { dep: &dep, alias: &alias, softdep: &softdep, builtin: &builtin });
        let mut rules = Rules::default();
        for file in drop_in::files(&RULES, ".conf") {
            rules.add_file(&fs::read_to_string(&file).unwrap_or_default(), &mut index);
        }
        rules.add_cmdline(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
        Ok(Self { base: base.to_owned(), index, rules, loaded: Mutex::default() })
    }

    /// The modules of the running kernel.
    ///
    /// # Errors
    /// When there is no modules.dep.
    pub fn of_running_kernel() -> Result<Self, PathError> {
        let uname = rustix::system::uname();
        Self::open(&Path::new(berth_contract::paths::MODULES).join(uname.release().to_string_lossy().as_ref()))
    }

    /// The modules that loading `name` inserts, in order. `name` is a module or an alias. Soft dependencies that do not exist are left
    /// out.
    ///
    /// # Errors
    /// When no module or alias has the name.
    pub fn plan(&self, name: &str) -> Result<Vec<Insertion>, ModuleError> {
        if self.known(name) {
            return Ok(self.insertions([name]));
        }
        let modules = self.index.modules_for(name);
        if modules.is_empty() {
            return Err(ModuleError::NotFound { name: name.to_owned(), base: self.base.clone() });
        }
        Ok(self.insertions(modules.into_iter().filter(|module| !self.rules.is_blacklisted(module))))
    }

    /// Loads a module, or all modules of an alias, with their dependencies. A module that is loaded already is no error.
    ///
    /// # Errors
    /// When no module or alias has the name, or the kernel refuses the module or a dependency.
    pub fn load(&self, name: &str) -> Result<(), ModuleError> {
        self.plan(name)?.iter().try_for_each(|step| self.insert(step))
    }

    /// Loads the modules for a device's modalias. Returns their number, and the errors. A device without modules is no error. If one
    /// driver refuses to load, for example because it does not support the hardware after all, the others are still loaded.
    pub fn load_for_device(&self, modalias: &str) -> (usize, Vec<ModuleError>) {
        let modules = self.index.modules_for(modalias).into_iter().filter(|module| !self.rules.is_blacklisted(module));
        let (mut count, mut errors) = (0, Vec::new());
        for module in modules {
            errors.extend(self.insertions([module]).iter().try_for_each(|step| self.insert(step)).err());
            count += 1;
        }
        (count, errors)
    }

    /// Whether `name` is the name of a module, not an alias.
    #[must_use]
    pub fn known(&self, name: &str) -> bool {
        self.index.is_module(name)
    }

    /// Whether the rules forbid loading the module for a device.
    #[must_use]
    pub fn is_blacklisted(&self, name: &str) -> bool {
        self.rules.is_blacklisted(name)
    }

    /// The modules and their dependencies, in load order.
    fn insertions<'a>(&self, modules: impl IntoIterator<Item = &'a str>) -> Vec<Insertion> {
        let insertion = |name: String| match self.index.file(&name) {
            Some(file) => {
                let (path, options) = (Some(self.base.join(&file.path)), self.rules.options(&name));
                Insertion { path, name, options }
            }
            None => Insertion { path: None, name, options: String::new() },
        };
        self.index.load_order(modules).into_iter().map(insertion).collect()
    }

    /// Inserts one module. Its dependencies must be loaded.
    ///
    /// # Errors
    /// When the kernel refuses the module.
    pub fn insert(&self, step: &Insertion) -> Result<(), ModuleError> {
        let Some(path) = &step.path else { return Ok(()) };
        let loaded = || self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded().contains(&step.name) {
            return Ok(());
        }
        // A module in state `coming` is being loaded by another process. finit_module waits for it.
        let state = fs::read_to_string(format!("/sys/module/{}/initstate", step.name)).unwrap_or_default();
        if state.trim_end() != "live" {
            finit(path, &step.options).map_err(|source| ModuleError::Refused { name: step.name.clone(), source })?;
        }
        loaded().insert(step.name.clone());
        Ok(())
    }
}

fn finit(path: &Path, options: &str) -> io::Result<()> {
    let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = if path.extension().is_some_and(|end| end != "ko") { COMPRESSED } else { 0 };
    let options = CString::new(options).map_err(io::Error::other)?;
    match finit_module(&file, &options, flags) {
        // Another thread, or a modprobe process of the kernel, has loaded the module meanwhile.
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_plan_has_hard_and_soft_dependencies_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("dep", "k/ext4.ko: k/jbd2.ko k/mbcache.ko\nk/jbd2.ko:\nk/mbcache.ko:\nk/crc32c-intel.ko:\nk/late.ko:\n"),
            ("alias", "alias crypto-crc32c crc32c_intel\nalias fs-ext4 ext4\n"),
            ("softdep", "softdep ext4 pre: crypto-crc32c missing post: late\nsoftdep late pre: ext4\n"),
            ("builtin", "k/virtio_pci.ko\n"),
        ] {
            fs::write(dir.path().join(format!("modules.{name}")), text).unwrap();
        }
        let loader = Loader::open(dir.path()).unwrap();
        let names = |name: &str| -> Vec<String> { loader.plan(name).unwrap().into_iter().map(|s| s.name).collect() };
        assert_eq!(names("fs-ext4"), ["mbcache", "jbd2", "crc32c_intel", "ext4", "late"]);
        assert_eq!(names("virtio-pci"), ["virtio_pci"]);
        assert_eq!(loader.plan("virtio-pci").unwrap()[0].path, None);
        let error = loader.load("nothing").unwrap_err().to_string();
        assert!(error.starts_with("module nothing not found in /"), "{error}");
    }

    /// Makes object files with the sections that depmod reads. The plans must be those of `modprobe -D`.
    #[test]
    fn plans_are_the_same_as_those_of_kmod() {
        berth_judge::needs!("gcc", "depmod", "modprobe");
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("lib/modules/1.0");
        fs::create_dir_all(base.join("kernel")).unwrap();
        let exports =
            |symbol: &str| format!("__attribute__((section(\"__ksymtab_strings\"))) const char s[] = \"{symbol}\";");
        let info = |text: &str| format!("__attribute__((section(\".modinfo\"))) const char m[] = \"{text}\";");
        for (name, code) in [
            ("b", exports("from_b")),
            ("c-c", format!("extern int from_b; int *b = &from_b; {}", exports("from_c"))),
            ("d", info("alias=soft-name")),
            (
                "a",
                format!(
                    "extern int from_b, from_c; int *b = &from_b, *c = &from_c; {}",
                    info("softdep=pre: soft-name\\0alias=pci:v1*")
                ),
            ),
        ] {
            let source = dir.path().join("module.c");
            fs::write(&source, code).unwrap();
            run(Command::new("gcc").arg("-c").arg(&source).arg("-o").arg(base.join(format!("kernel/{name}.ko"))));
        }
        for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
            fs::write(base.join(name), "").unwrap();
        }
        run(Command::new("depmod").arg("-b").arg(dir.path()).arg("1.0"));
        let loader = Loader::open(&base).unwrap();
        for name in ["a", "pci:v12", "c_c", "c-c", "soft-name"] {
            let judged = run(Command::new("modprobe").arg("-d").arg(dir.path()).args(["-S", "1.0", "-D", name]));
            let ours: Vec<String> = loader
                .plan(name)
                .unwrap()
                .iter()
                .map(|s| format!("insmod {}", s.path.as_ref().unwrap().display()))
                .collect();
            assert_eq!(ours, judged.lines().map(str::trim_end).collect::<Vec<_>>(), "{name}");
        }
    }

    fn run(command: &mut Command) -> String {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: run ci/setup"));
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}
