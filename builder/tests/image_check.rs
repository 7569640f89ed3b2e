//! The build checks what the image is made of: each kind of fault is an error that names all files and the fix.

use crate::assemble_kit::{Bench, Deb, tool};
use berth::{
    check::{CheckError, check},
    tree::Node,
};
use berth_contract::image_spec::PreloadedImage;
use std::{fs, path::Path, sync::Arc};
use tempfile::TempDir;

const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const LOADER: &str = "/usr/lib/ld-test.so";

/// Compiles programs and libraries that need nothing of this computer.
struct Compiler {
    dir: TempDir,
}

impl Compiler {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.c"), "int main(void) { return 0; }\n").unwrap();
        let this = Self { dir };
        this.gcc("libselinux.so.1", &["-shared", "-Wl,-soname,libselinux.so.1"]);
        this.gcc("ld-test.so", &["-shared", "-Wl,-soname,ld-test.so"]);
        this
    }

    fn loader(&self) -> Vec<u8> {
        fs::read(self.dir.path().join("ld-test.so")).unwrap()
    }

    fn gcc(&self, name: &str, more: &[&str]) -> Vec<u8> {
        let path = |name: &str| self.dir.path().join(name).to_str().unwrap().to_owned();
        let (output, source) = (path(name), path("x.c"));
        let mut args = vec!["-nostdlib", "-fPIC", "-o", &output, &source];
        args.extend(more);
        tool("gcc", &args);
        fs::read(output).unwrap()
    }

    fn library(&self) -> Vec<u8> {
        fs::read(self.dir.path().join("libselinux.so.1")).unwrap()
    }

    /// A program that needs libselinux.so.1.
    fn program(&self, more: &[&str]) -> Vec<u8> {
        let library = self.dir.path().join("libselinux.so.1");
        let loader = format!("-Wl,-dynamic-linker,{LOADER}");
        let needs = ["-pie", "-Wl,-e,main", "-Wl,--no-as-needed", library.to_str().unwrap(), &loader];
        self.gcc("program", &[&needs[..], more].concat())
    }

    /// A package with two such programs, and the loader.
    fn daemon(&self, more: &[&str]) -> Deb {
        Deb::new("daemon")
            .copyright()
            .file(LOADER.trim_start_matches('/'), self.loader())
            .mode(LOADER.trim_start_matches('/'), 0o755)
            .file("usr/sbin/sshd", self.program(more))
            .mode("usr/sbin/sshd", 0o755)
            .file("usr/bin/ssh", self.program(more))
            .mode("usr/bin/ssh", 0o755)
    }
}

fn checked(bench: &Bench, images: &[PreloadedImage]) -> Result<Vec<String>, CheckError> {
    check(&bench.recipe(), &bench.assemble().unwrap().tree, images)
}

fn fault(bench: &Bench) -> String {
    checked(bench, &[]).unwrap_err().to_string()
}

/// An overlay with executable files.
fn programs(bench: &mut Bench, files: &[(&str, &str)]) {
    let origin: Arc<str> = "overlay own".into();
    let node = |(path, text): &(&str, &str)| (path.as_bytes().to_vec(), Node::file(0o755, (*text).to_owned(), &origin));
    bench.overlays.push(files.iter().map(node).collect());
}

#[test]
fn a_missing_library_is_an_error_with_its_fix() {
    let compiler = Compiler::new();
    let mut bench = Bench::new();
    bench.add(compiler.daemon(&[]));
    let text = fault(&bench);
    let expected = "parts of the image do not fit together\nprograms and libraries that cannot be loaded:\n  \
         libselinux.so.1 is not in the image, but 2 files need it: /usr/bin/ssh, /usr/sbin/sshd\n    \
         fix: add the package of libselinux.so.1 to debian.packages (its name may be libselinux1)";
    assert!(text.starts_with(expected), "{text}");
    bench.debian = "provided = ['libselinux1']";
    let text = fault(&bench);
    assert!(text.contains("fix: install libselinux1, which test.toml:7:"), "{text}");
    assert!(text.contains("debian.provided = { remove = [\"libselinux1\"] }"), "{text}");
    bench.add(Deb::new("libselinux1").copyright().file(&format!("{LIBRARIES}/libselinux.so.1"), compiler.library()));
    assert_eq!(checked(&bench, &[]).unwrap(), Vec::<String>::new());
    // A file of another kind is no library.
    bench.overlay("own", &[(&format!("{LIBRARIES}/libselinux.so.1"), "INPUT(other)\n")]);
    assert!(fault(&bench).contains("libselinux.so.1 is not in the image"));
    bench.overlays.clear();
    bench.drop = "'usr/lib/x86_64-linux-gnu/libsel*'";
    let text = fault(&bench);
    assert!(text.contains("fix: install libselinux1"), "{text}");
    bench.debian = "";
    let text = fault(&bench);
    assert!(text.contains("debian.drop = { remove = [\"usr/lib/x86_64-linux-gnu/libsel*\"] }"), "{text}");
}

#[test]
fn libraries_are_found_as_the_loader_finds_them() {
    let compiler = Compiler::new();
    let plain: &[&str] = &[];
    for (flags, path, configured, is_found) in [
        (plain, "opt/own/libselinux.so.1", false, false),
        (plain, "opt/own/libselinux.so.1", true, true),
        (plain, "usr/lib/libselinux.so.1", false, true),
        (&["-Wl,-rpath,$ORIGIN/../lib/own"], "usr/lib/own/libselinux.so.1", false, true),
        (&["-Wl,-rpath,/opt/own"], "opt/own/libselinux.so.1", false, true),
        (&["-Wl,--disable-new-dtags,-rpath,/opt/own"], "opt/own/libselinux.so.1", false, true),
        (&["-Wl,-rpath,/opt/other"], "opt/own/libselinux.so.1", false, false),
    ] {
        let mut bench = Bench::new();
        bench.add(compiler.daemon(flags).file(path, compiler.library()));
        if configured {
            bench.overlay(
                "conf",
                &[("etc/ld.so.conf", "include ld.so.conf.d/*.conf\n"), ("etc/ld.so.conf.d/o.conf", "/opt/own\n")],
            );
        }
        let found = checked(&bench, &[]);
        assert_eq!(found.is_ok(), is_found, "{flags:?} {path} {configured}: {found:?}");
    }
}

#[test]
fn a_missing_loader_and_a_program_for_another_machine_are_errors() {
    let compiler = Compiler::new();
    let mut other = compiler.library();
    other[18] = 183;
    let mut bench = Bench::new();
    let library = format!("{LIBRARIES}/libselinux.so.1");
    bench.add(
        Deb::new("tools")
            .copyright()
            .file(&library, compiler.library())
            .file("usr/bin/tool", compiler.program(&[]))
            .mode("usr/bin/tool", 0o755)
            .file("usr/bin/foreign", &other)
            .mode("usr/bin/foreign", 0o755)
            .file("usr/lib/firmware.elf", &other)
            .file("usr/bin/cut", &other[..70])
            .mode("usr/bin/cut", 0o755),
    );
    let text = fault(&bench);
    for line in [
        format!("the dynamic loader {LOADER} is not in the image: /usr/bin/tool\n"),
        "a program for another machine (e_machine 183): /usr/bin/foreign\n".to_owned(),
        "damaged ELF file: program header table".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert!(!text.contains("firmware.elf"), "{text}");
    // The recipe allows them, and an entry that allows nothing is a warning.
    bench.recipe = "[check]\nallow = ['usr/bin/*', 'usr/none']\n".into();
    let warnings = checked(&bench, &[]).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].ends_with("check.allow \"usr/none\" allows nothing: no fault has this path"), "{warnings:?}");
}

#[test]
fn scripts_need_their_interpreter() {
    let mut bench = Bench::new();
    let script = |text: &str| text.to_owned();
    bench.add(
        Deb::new("scripts")
            .copyright()
            .file("usr/bin/of-package", script("#!/bin/sh -e\n"))
            .mode("usr/bin/of-package", 0o755)
            .file("usr/share/x/example", script("#!/bin/sh\n"))
            .mode("usr/share/x/example", 0o755),
    );
    let warnings = checked(&bench, &[]).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].starts_with("/bin/sh is not in the image, but 1 script needs it: /usr/bin/of-package ("),
        "{warnings:?}"
    );
    programs(
        &mut bench,
        &[
            ("usr/bin/own", "#!/bin/sh\n"),
            ("usr/bin/python", "#!/usr/bin/env -S python3 -u\n"),
            ("usr/bin/env", "x"),
            ("usr/bin/tool", "#! /usr/bin/env tool2\n"),
            ("usr/bin/tool2", "x"),
            ("usr/lib/berth/health.d/check", "#!/bin/bash\n"),
        ],
    );
    bench.overlay("plain", &[("usr/lib/berth/health.d/plain", "x"), ("usr/lib/data", "#!/bin/none\n")]);
    let text = fault(&bench);
    for line in [
        "  /bin/sh is not in the image, but 1 script needs it: /usr/bin/own\n",
        "  python3 is not in the image, but 1 script needs it: /usr/bin/python\n",
        "  /bin/bash is not in the image, but 1 script needs it: /usr/lib/berth/health.d/check\n",
        "  a health check is not executable, its mode is 0644: /usr/lib/berth/health.d/plain\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("tool") && !text.contains("usr/lib/data"), "{text}");
}

#[test]
fn services_are_checked_as_the_host_reads_them() {
    let mut bench = Bench::new();
    programs(&mut bench, &[("usr/bin/good", "x"), ("usr/bin/script", "#!/bin/none\n")]);
    bench.overlay(
        "services",
        &[
            ("usr/bin/plain", "x"),
            ("usr/lib/berth/services/good.toml", "exec = ['/usr/bin/good']\n"),
            ("usr/lib/berth/services/elsewhere.toml", "exec = ['/run/made/at-boot']\nneeds = ['good']\n"),
            ("usr/lib/berth/services/README", "no service"),
        ],
    );
    bench.recipe = "[check]\nallow = ['usr/bin/script']\n".into();
    assert_eq!(checked(&bench, &[]).unwrap(), Vec::<String>::new());
    bench.overlay(
        "wrong",
        &[
            ("usr/lib/berth/services/typo.toml", "exec = ['/usr/bin/good']\nnedds = ['good']\n"),
            ("usr/lib/berth/services/gone.toml", "exec = ['/usr/bin/gone']\n"),
            ("usr/lib/berth/services/plain.toml", "exec = ['/usr/bin/plain']\n"),
            ("usr/lib/berth/services/script.toml", "exec = ['/usr/bin/script']\n"),
            ("usr/lib/berth/services/lonely.toml", "exec = ['/usr/bin/good']\nneeds = ['nobody']\n"),
            ("usr/lib/berth/services/ring.toml", "exec = ['/usr/bin/good']\nneeds = ['ring']\n"),
            ("usr/lib/berth/services/kernel.toml", "exec = ['/usr/bin/good']\n"),
        ],
    );
    let text = fault(&bench);
    for line in [
        "unknown key `nedds`",
        "  service gone: its program /usr/bin/gone is not in the image: /usr/lib/berth/services/gone.toml\n",
        "  service plain: its program /usr/bin/plain is not executable, its mode is 0644: ",
        "  service script: its program /usr/bin/script is a script for /bin/none, which is not in the image: ",
        "  service lonely: needs service nobody, which does not exist or cannot start: ",
        "  service ring: needs itself: ring needs ring: ",
        "  service kernel: invalid service name",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("elsewhere.toml") && !text.contains("good.toml"), "{text}");
}

#[test]
fn containers_and_kernel_parameters_are_checked() {
    let mut bench = Bench::new();
    bench.recipe =
        "[engine]\nkind = 'docker'\n[[container]]\nname = 'web'\nimage = 'hello'\n[[container]]\nname = 'other'\nimage = 'quay.io/x:1'\n\
         [[container]]\nname = 'third'\nimage = 'quay.io/team/hello:2'\n"
            .into();
    let image = |name: &str| PreloadedImage { name: name.to_owned(), archive: String::new(), image_id: String::new() };
    let warnings = checked(&bench, &[image("hello:latest")]).unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[1].contains("container third: the image quay.io/team/hello:2 is not preloaded"), "{warnings:?}");
    assert!(warnings[0].contains("container other: the image quay.io/x:1 is not preloaded"), "{warnings:?}");
    let text = checked(&bench, &[image("hello:1.0"), image("quay.io/x:1")]).unwrap_err().to_string();
    assert!(
        text.contains("the image hello is not preloaded, but the recipe preloads hello:1.0: /container/web"),
        "{text}"
    );
    let mut bench = Bench::new();
    bench.overlay("own", &[("etc/sysctl.d/10-own.conf", "# fine\nkernel.panic = 10\nkernel.printk 4\n-net.x=1\n")]);
    let text = fault(&bench);
    assert!(
        text.contains("  line 3: \"kernel.printk 4\": expected KEY = VALUE: /etc/sysctl.d/10-own.conf\n"),
        "{text}"
    );
}

/// The overlays of the product have nothing that a host would skip.
#[test]
fn the_overlays_of_the_product_have_no_fault() {
    let overlays = Path::new(env!("CARGO_MANIFEST_DIR")).join("../overlays");
    for overlay in ["base", "docker"] {
        let mut bench = Bench::new();
        let (mut files, mut open) = (Vec::new(), vec![overlays.join(overlay)]);
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(overlays.join(overlay)).unwrap().to_str().unwrap().to_owned();
                    files.push((name, fs::read_to_string(&path).unwrap()));
                }
            }
        }
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        bench.overlay(overlay, &files);
        let error = checked(&bench, &[]).err().map(|error| error.to_string()).unwrap_or_default();
        // Only the programs of packages and of the builder, and services of other overlays, are not in this small image.
        let faults = error.lines().filter(|line| line.starts_with("  ") && !line.starts_with("    "));
        let wrong: Vec<&str> =
            faults.filter(|line| !line.contains("is not in the image") && !line.contains("needs service")).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
