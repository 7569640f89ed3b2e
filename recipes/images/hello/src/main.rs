//! The workload for the demonstration and the tests: one static program, which is the only file of its image.

mod http;
mod module;
mod process;
mod signal;

use std::{
    env,
    ffi::OsString,
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write},
    path::Path,
    process::ExitCode,
    thread,
    time::Duration,
};

const USAGE: &str = "\
usage: hello                    print a greeting and facts about the host
       hello serve PORT [FILE]  answer HTTP: / (the greeting, and FILE), /net, /limits
       hello cat FILE...        print files
       hello write FILE TEXT    write a file, create its folders, and flush it to the disk
       hello net                print the names of the network interfaces
       hello limits             print the limits of its control group
       hello processes          print each process of its namespace, and what it may do
       hello load FILE          load a file as a kernel module
       hello sleep SECONDS      do nothing
";

fn main() -> ExitCode {
    signal::end_on_sigterm();
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let done = match words.as_slice() {
        [] => say(greeting()),
        ["serve", port] => http::serve(port, None),
        ["serve", port, _] => http::serve(port, Some(Path::new(&args[2]))),
        ["cat", _, ..] => {
            args[1..].iter().try_for_each(|file| named("read", file, |path| fs::read(path)).and_then(say))
        }
        ["write", _, text] => named("write", &args[1], |path| write(path, text)),
        ["net"] => interfaces().and_then(say),
        ["limits"] => say(limits()),
        ["processes"] => process::list().and_then(say),
        ["load", _] => named("load", &args[1], module::load),
        ["sleep", seconds] => seconds.parse().map_err(io::Error::other).map(|s| thread::sleep(Duration::from_secs(s))),
        _ => {
            _ = io::stderr().write_all(USAGE.as_bytes());
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(io::stderr(), "hello: {error}");
            ExitCode::FAILURE
        }
    }
}

fn say(text: impl AsRef<[u8]>) -> io::Result<()> {
    io::stdout().write_all(text.as_ref())
}

/// Adds the file's name to an error.
fn named<T>(what: &str, path: &OsString, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = Path::new(path);
    act(path).map_err(|error| io::Error::new(error.kind(), format!("cannot {what} {}: {error}", path.display())))
}

fn greeting() -> String {
    let kernel = |name: &str| match fs::read_to_string(Path::new("/proc/sys/kernel").join(name)) {
        Ok(text) => text.trim_end().to_owned(),
        Err(error) => error.to_string(),
    };
    let pid = std::process::id();
    format!("Hello from Berth.\nhostname: {}\nkernel: {}\npid: {pid}\n", kernel("hostname"), kernel("osrelease"))
}

fn interfaces() -> io::Result<String> {
    let entries = fs::read_dir("/sys/class/net")?.collect::<io::Result<Vec<_>>>()?;
    let mut names: Vec<_> = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names.into_iter().map(|name| name + "\n").collect())
}

/// The limits of the own control group. In a container with its own cgroup namespace, `/sys/fs/cgroup` is that control group.
fn limits() -> String {
    let mut text = String::new();
    for name in ["memory.max", "cpu.max"] {
        let value =
            fs::read_to_string(Path::new("/sys/fs/cgroup").join(name)).unwrap_or_else(|error| error.to_string());
        _ = writeln!(text, "{name}: {}", value.trim_end());
    }
    text
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // Flush the folder too: it contains the file's name.
    File::open(folder)?.sync_all()
}
