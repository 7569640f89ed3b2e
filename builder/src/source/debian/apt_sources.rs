//! Reads the host's APT sources: sources.list(5), in one-line style and in deb822 style.

use super::{
    error::{DebianError, cannot_read},
    stanza::{Stanza, stanzas},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// APT's configuration folder.
pub const ETC_APT: &str = "/etc/apt";

/// Scheme of an address that is the path of a list of mirrors.
const MIRROR_LIST: &str = "mirror+file:";

/// One enabled source of binary packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AptSource {
    /// Addresses as written. They may have schemes that only APT supports, such as `mirror+file:`.
    pub uris: Vec<String>,
    /// `Suites`.
    pub suites: Vec<String>,
    /// `Components`.
    pub components: Vec<String>,
    /// The keys that may sign the source.
    pub signed_by: SignedBy,
}

/// The keys in the `Signed-By` option of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// The option is absent: APT accepts every key that it trusts.
    Unset,
    /// Keyring files or fingerprints.
    Named(Vec<String>),
    /// A key in the configuration file itself.
    Inline(String),
}

impl SignedBy {
    fn parse(value: &str) -> Self {
        if value.contains("-----BEGIN") {
            // In a multi-line field, " ." means an empty line.
            let lines = value.lines().map(str::trim).map(|line| if line == "." { "" } else { line });
            return Self::Inline(lines.collect::<Vec<_>>().join("\n"));
        }
        let names: Vec<String> =
            value.split([',', ' ', '\n', '\t']).filter(|n| !n.is_empty()).map(String::from).collect();
        if names.is_empty() { Self::Unset } else { Self::Named(names) }
    }
}

/// Reads `sources.list` and the files in `sources.list.d` below `etc_apt`, in APT's order. A missing file or folder is not
/// an error.
///
/// # Errors
/// [`DebianError::Io`], [`DebianError::AptSource`].
pub fn read(etc_apt: &Path) -> Result<Vec<AptSource>, DebianError> {
    let mut sources = Vec::new();
    let main = etc_apt.join("sources.list");
    if let Some(text) = read_if_there(&main)? {
        sources.extend(parse_list(&text, &main)?);
    }
    let folder = etc_apt.join("sources.list.d");
    let mut paths: Vec<PathBuf> = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        entries => entries
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .map_err(cannot_read(&folder))?,
    };
    paths.sort();
    for path in paths.iter().filter(|path| is_read_by_apt(path)) {
        let Some(text) = read_if_there(path)? else { continue };
        let list = path.extension().is_some_and(|extension| extension == "list");
        sources.extend(if list { parse_list(&text, path)? } else { parse_deb822(&text, path)? });
    }
    for source in &mut sources {
        let uris = source.uris.iter().map(|uri| match uri.strip_prefix(MIRROR_LIST) {
            Some(path) => Ok(parse_mirrors(&fs::read_to_string(path).map_err(cannot_read(Path::new(path)))?)),
            None => Ok(vec![uri.clone()]),
        });
        source.uris = uris.collect::<Result<Vec<_>, DebianError>>()?.concat();
    }
    Ok(sources)
}

/// Parses a list of mirrors (apt-transport-mirror(1)): an address on each line, and options after it. Mirrors with a low `priority:` come
/// first, those without come last.
fn parse_mirrors(text: &str) -> Vec<String> {
    let mut mirrors: Vec<(u64, String)> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(uri) = words.next().filter(|uri| !uri.starts_with('#')) else { continue };
        let priority = words.find_map(|option| option.strip_prefix("priority:")?.parse().ok());
        mirrors.push((priority.unwrap_or(u64::MAX), uri.to_owned()));
    }
    mirrors.sort_by_key(|(priority, _)| *priority);
    mirrors.into_iter().map(|(_, uri)| uri).collect()
}

/// Whether APT reads a file in `sources.list.d`. sources.list(5): file names consist only of letters, digits, underscores,
/// hyphens and periods, and end in `.list` or `.sources`.
fn is_read_by_apt(path: &Path) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.chars().all(good) && !name.starts_with('.') && (name.ends_with(".list") || name.ends_with(".sources"))
}

fn read_if_there(path: &Path) -> Result<Option<String>, DebianError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot_read(path)(error)),
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(String::from).collect()
}

/// Parses the one-line style: `deb [option=value ...] uri suite component...`. `path` is used only in error messages.
///
/// # Errors
/// [`DebianError::AptSource`] with the number of the line.
pub fn parse_list(text: &str, path: &Path) -> Result<Vec<AptSource>, DebianError> {
    let mut sources = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let bad =
            |wanted| DebianError::AptSource { path: path.to_owned(), line: index + 1, wanted, found: line.to_owned() };
        let content = line.split('#').next().unwrap_or_default().trim();
        let (kind, rest) = content.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((content, ""));
        match kind {
            "" | "deb-src" => continue,
            "deb" => {}
            _ => return Err(bad("deb or deb-src")),
        }
        let (options, rest) = match rest.trim_start().strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(|| bad("] after the options"))?,
            None => ("", rest),
        };
        // Skip discs: they are no network source, and their names contain spaces that would break the parser below.
        if rest.trim_start().starts_with("cdrom:") {
            continue;
        }
        let [uri, suite, components @ ..] = &*words(rest) else { return Err(bad("a URI and a suite")) };
        let signed_by = options.split_ascii_whitespace().find_map(|option| option.strip_prefix("signed-by="));
        sources.push(AptSource {
            uris: vec![uri.clone()],
            suites: vec![suite.clone()],
            components: components.to_vec(),
            signed_by: signed_by.map_or(SignedBy::Unset, SignedBy::parse),
        });
    }
    Ok(sources)
}

/// Parses the deb822 style. `path` is used only in error messages.
///
/// # Errors
/// [`DebianError::AptSource`] with the number of the stanza's first line.
pub fn parse_deb822(text: &str, path: &Path) -> Result<Vec<AptSource>, DebianError> {
    let (mut sources, mut buffer, mut first) = (Vec::new(), String::new(), 0);
    for (index, line) in text.lines().chain([""]).enumerate() {
        match line {
            // Comments are allowed between the lines of a field.
            comment if comment.starts_with('#') => {}
            "" => {
                if let Some(stanza) = stanzas(&buffer).next() {
                    sources.extend(parse_stanza(stanza, path, first)?);
                }
                buffer.clear();
            }
            line => {
                first = if buffer.is_empty() { index + 1 } else { first };
                buffer.extend([line, "\n"]);
            }
        }
    }
    Ok(sources)
}

/// Returns `None` for a source that is disabled or has only source packages.
fn parse_stanza(stanza: Stanza<'_>, path: &Path, line: usize) -> Result<Option<AptSource>, DebianError> {
    let bad = |wanted| {
        let found = stanza.fields().map(|(name, value)| format!("{name}: {value}")).next().unwrap_or_default();
        DebianError::AptSource { path: path.to_owned(), line, wanted, found }
    };
    if stanza.fields().any(|(name, _)| name.is_empty()) {
        return Err(bad("lines of the form `Field: value`"));
    }
    let list = |field| words(stanza.get(field).unwrap_or_default());
    let off = ["no", "false", "without", "off", "disable", "0"];
    if stanza.get("Enabled").is_some_and(|value| off.contains(&value.to_ascii_lowercase().as_str())) {
        return Ok(None);
    }
    let types = list("Types");
    if types.is_empty() {
        return Err(bad("a stanza with Types"));
    }
    if !types.iter().any(|kind| kind == "deb") {
        return Ok(None);
    }
    let (uris, suites) = (list("URIs"), list("Suites"));
    if uris.is_empty() || suites.is_empty() {
        return Err(bad("a stanza with URIs and Suites"));
    }
    let signed_by = stanza.get("Signed-By").map_or(SignedBy::Unset, SignedBy::parse);
    Ok(Some(AptSource { uris, suites, components: list("Components"), signed_by }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uris: &[&str], suites: &[&str], components: &[&str], signed_by: SignedBy) -> AptSource {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        AptSource { uris: owned(uris), suites: owned(suites), components: owned(components), signed_by }
    }

    #[test]
    fn one_line_style_is_parsed_with_options() {
        let text = "# a comment\n\
            deb http://example.org/debian bookworm main contrib # trailing\n\
            deb-src http://example.org/debian bookworm main\n\
            \tdeb  [ arch=amd64 signed-by=/a.gpg,/b.gpg ]\thttps://example.org/x  bookworm-security  main\n\
            deb cdrom:[Debian GNU/Linux 13 _Trixie_ - Official]/ trixie main\n\
            deb file:/srv/flat ./\n";
        let named = SignedBy::Named(vec!["/a.gpg".into(), "/b.gpg".into()]);
        assert_eq!(
            parse_list(text, Path::new("x")).unwrap(),
            [
                source(&["http://example.org/debian"], &["bookworm"], &["main", "contrib"], SignedBy::Unset),
                source(&["https://example.org/x"], &["bookworm-security"], &["main"], named),
                source(&["file:/srv/flat"], &["./"], &[], SignedBy::Unset),
            ]
        );
        for (bad, wanted) in [
            ("deb http://example.org/", "x:2: expected a URI and a suite"),
            ("rpm http://example.org/ x main", "x:2: expected deb or deb-src"),
            ("deb [arch=amd64 http://example.org/ x", "x:2: expected ] after"),
        ] {
            let error = parse_list(&format!("\n{bad}\n"), Path::new("x")).unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{error}");
        }
    }

    #[test]
    fn deb822_style_is_parsed_with_comments_and_keys() {
        let text = "Types: deb\n# snapshot\nURIs: http://example.org/debian\n  http://example.com/debian\n\
            Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /a.gpg\n\n\n\
            Types: deb deb-src\nURIs: https://example.org/s\nSuites: bookworm-security\nComponents: main\nSigned-By:\n\
            \x20-----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----\n\n\
            types: deb\nuris: http://example.org/off\nsuites: x\nEnabled: no\n\n\
            Types: deb-src\nURIs: http://example.org/src\nSuites: x\n";
        let inline = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBF\n-----END PGP PUBLIC KEY BLOCK-----";
        assert_eq!(
            parse_deb822(text, Path::new("x")).unwrap(),
            [
                source(
                    &["http://example.org/debian", "http://example.com/debian"],
                    &["bookworm", "bookworm-updates"],
                    &["main"],
                    SignedBy::Named(vec!["/a.gpg".into()])
                ),
                source(&["https://example.org/s"], &["bookworm-security"], &["main"], SignedBy::Inline(inline.into())),
            ]
        );
        for bad in ["\nTypes: deb\nURIs: http://example.org\n", "\nURIs: x\nSuites: y\n", "\nnonsense\n"] {
            let error = parse_deb822(bad, Path::new("x")).unwrap_err().to_string();
            assert!(error.starts_with("x:2: expected"), "{error}");
        }
    }

    #[test]
    fn source_files_are_read_in_apts_order_and_other_files_are_skipped() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), []);
        let parts = dir.path().join("sources.list.d");
        fs::create_dir(&parts).unwrap();
        for (name, uri) in
            [("b.list", "b"), ("a.sources", "a"), ("c.list.bak", "c"), ("d.list.disabled", "d"), ("e e.list", "e")]
        {
            let text = match name.ends_with("sources") {
                true => format!("Types: deb\nURIs: file:/{uri}\nSuites: x\n"),
                false => format!("deb file:/{uri} x main\n"),
            };
            fs::write(parts.join(name), text).unwrap();
        }
        fs::write(dir.path().join("sources.list"), "deb file:/first x main\n").unwrap();
        let uris = || read(dir.path()).unwrap().into_iter().flat_map(|source| source.uris).collect::<Vec<String>>();
        assert_eq!(uris(), ["file:/first", "file:/a", "file:/b"]);
        // A list of mirrors, as Debian's cloud images have it.
        let list = dir.path().join("mirrors.list");
        fs::write(&list, "# mirrors\nhttp://last.example/debian\nhttp://two.example/debian\tpriority:2\nhttp://one.example/debian\tpriority:1 type:deb\n").unwrap();
        fs::write(dir.path().join("sources.list"), format!("deb mirror+file:{} x main\n", list.display())).unwrap();
        assert_eq!(
            uris()[..3],
            ["http://one.example/debian", "http://two.example/debian", "http://last.example/debian"]
        );
        fs::remove_file(list).unwrap();
        assert!(read(dir.path()).unwrap_err().to_string().contains("mirrors.list"));
    }
}
