//! The program `modprobe`. The kernel runs it (`/sbin/modprobe -q -- NAME`), and so do container engines and iptables.

use super::loader::{Insertion, Loader};
use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

/// The parsed arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// With `-a`, all operands are modules. Otherwise the first operand is a module and the others are its parameters.
    names: Vec<String>,
    parameters: Vec<String>,
    quiet: bool,
    verbose: bool,
    use_blacklist: bool,
    dry_run: bool,
    show_depends: bool,
}

/// Parses the arguments of modprobe(8), without the program name.
///
/// # Errors
/// A sentence that names the option that is unknown or not supported.
pub fn parse(arguments: &[String]) -> Result<Request, String> {
    let (mut request, mut operands, mut all) = (Request::default(), Vec::new(), false);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let long = match word.strip_prefix("--") {
            Some("") => {
                operands.extend(words.by_ref().cloned());
                break;
            }
            long => long,
        };
        let short = word.strip_prefix('-').filter(|rest| long.is_none() && !rest.is_empty());
        let flags: Vec<&str> = match (long, short) {
            (Some(long), _) => vec![long],
            (None, Some(short)) => short.char_indices().map(|(at, c)| &short[at..at + c.len_utf8()]).collect(),
            (None, None) => {
                operands.push(word.clone());
                continue;
            }
        };
        for flag in flags {
            match flag {
                "a" | "all" => all = true,
                "q" | "quiet" => request.quiet = true,
                "v" | "verbose" => request.verbose = true,
                "b" | "use-blacklist" => request.use_blacklist = true,
                "n" | "dry-run" | "show" => request.dry_run = true,
                "D" | "show-depends" => (request.dry_run, request.show_depends) = (true, true),
                // Ignored: this program runs no install commands, does not write to syslog, and does not check for first insertions.
                "i" | "ignore-install" | "s" | "syslog" | "first-time" => {}
                "r" | "remove" => return Err("removing modules is not supported: reboot instead".to_owned()),
                other => return Err(format!("unknown option {other:?}; supported are -a -q -v -b -n -D -i -s and --")),
            }
        }
    }
    request.names = operands;
    if !all && !request.names.is_empty() {
        request.parameters = request.names.split_off(1);
    }
    if request.names.is_empty() {
        return Err("expected the name of a module".to_owned());
    }
    Ok(request)
}

/// The program. The exit codes are those of kmod: 0 when all modules are loaded or blacklisted, else 1.
#[must_use]
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<String> = arguments.map(|word| word.to_string_lossy().into_owned()).collect();
    let request = match parse(&arguments) {
        Ok(request) => request,
        Err(message) => return fail(&format!("ERROR: {message}")),
    };
    let loader = match Loader::of_running_kernel() {
        Ok(loader) => loader,
        Err(_) if request.quiet => return ExitCode::FAILURE,
        Err(error) => return fail(&format!("FATAL: {error}")),
    };
    let mut code = ExitCode::SUCCESS;
    for name in &request.names {
        if request.use_blacklist && loader.is_blacklisted(name) {
            continue;
        }
        if let Err(error) = load(&loader, name, &request) {
            code = if request.quiet { ExitCode::FAILURE } else { fail(&format!("FATAL: {error}")) };
        }
    }
    code
}

fn load(loader: &Loader, name: &str, request: &Request) -> Result<(), super::ModuleError> {
    let plan = loader.plan(name)?;
    let last = plan.len().saturating_sub(1);
    for (index, mut step) in plan.into_iter().enumerate() {
        if index == last {
            let given = request.parameters.iter().map(String::as_str);
            step.options = Some(step.options.as_str())
                .filter(|own| !own.is_empty())
                .into_iter()
                .chain(given)
                .collect::<Vec<_>>()
                .join(" ");
        }
        if request.show_depends || (request.verbose && step.path.is_some()) {
            say(&step);
        }
        if !request.dry_run {
            loader.insert(&step)?;
        }
    }
    Ok(())
}

/// Prints the line of `modprobe -v` and `-D` on stdout. An error is ignored: a closed stdout must not prevent loading.
fn say(step: &Insertion) {
    let line = match &step.path {
        Some(path) => format!("insmod {} {}\n", path.display(), step.options),
        None => format!("builtin {}\n", step.name),
    };
    let _ = io::stdout().write_all(line.as_bytes());
}

fn fail(message: &str) -> ExitCode {
    let _ = io::stderr().write_all(format!("modprobe: {message}\n").as_bytes());
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, String> {
        parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_arguments_of_real_callers_are_parsed() {
        // The kernel's request_module(), dockerd, iptables.
        let kernel = parsed("-q -- fs-overlay").unwrap();
        assert!(kernel.quiet && kernel.names == ["fs-overlay"] && kernel.parameters.is_empty());
        let dockerd = parsed("-va bridge br_netfilter").unwrap();
        assert!(dockerd.verbose && dockerd.names == ["bridge", "br_netfilter"]);
        assert_eq!(parsed("ip_tables").unwrap().names, ["ip_tables"]);
        let options = parsed("--use-blacklist nvme-core io_timeout=5 -n").unwrap();
        assert_eq!((options.names, options.parameters), (vec!["nvme-core".into()], vec!["io_timeout=5".into()]));
        assert!(options.use_blacklist && options.dry_run);
        assert!(parsed("--show-depends x").unwrap().show_depends);
        assert_eq!(parsed("-- -odd").unwrap().names, ["-odd"]);
    }

    #[test]
    fn unsupported_options_are_errors() {
        assert!(parsed("-r overlay").unwrap_err().contains("not supported"));
        assert!(parsed("-x overlay").unwrap_err().contains("unknown option \"x\""));
        assert!(parsed("-q").unwrap_err().contains("expected the name"));
    }
}
