//! The common files of PAM in /etc/pam.d, pam-auth-update(8): made from templates and from the profiles that packages ship.

use super::{declaration, error::AssembleError, own::ORIGIN};
use crate::tree::{Node, ShowName, Tree, TreePath, Verdict};
use std::{collections::BTreeMap, sync::Arc};

const PROFILES: &[u8] = b"usr/share/pam-configs";
const TYPES: [&str; 5] = ["auth", "account", "password", "session", "session-noninteractive"];
/// pam-auth-update ignores profiles with this module.
const REMOVED_MODULE: &str = "pam_tally";

/// Lines of a template: what starts a block, the type of its modules, and what follows the block.
const BLOCKS: [(&str, &str, &str); 2] = [
    (
        "# here are the per-package modules (the \"Primary\" block)",
        "Primary",
        "# here's the fallback if no module succeeds",
    ),
    (
        "# and here are more per-package modules (the \"Additional\" block)",
        "Additional",
        "# end of pam-auth-update config",
    ),
];

/// A profile: the fields of its file.
struct Profile {
    name: String,
    fields: BTreeMap<String, String>,
}

/// Writes the common files, if the image has their templates. A file of an overlay stays.
pub(super) fn apply(tree: &mut Tree) -> Result<(), AssembleError> {
    let profiles = profiles(tree)?;
    let origin: Arc<str> = ORIGIN.into();
    for kind in TYPES {
        let template = declaration::text(tree, format!("usr/share/pam/common-{kind}").as_bytes())?;
        let Some(text) = template.and_then(|template| made(&template, &profiles, kind)) else { continue };
        let path = format!("etc/pam.d/common-{kind}");
        tree.insert(path.as_bytes(), Node::file(0o644, text, &origin), |_, _| Verdict::KeepOld)?;
    }
    Ok(())
}

/// The profiles that are enabled by default, the most important one first.
fn profiles(tree: &Tree) -> Result<Vec<Profile>, AssembleError> {
    let paths: Vec<TreePath> =
        tree.children(PROFILES).filter(|(_, _, node)| !node.is_dir()).map(|(_, path, _)| path.clone()).collect();
    let mut found = Vec::new();
    for path in paths {
        let Some(text) = declaration::text(tree, &path)? else { continue };
        let name = ShowName(&path[PROFILES.len() + 1..]).to_string();
        found.extend(Profile::parse(name, &text).filter(|profile| profile.field("Default") == Some("yes")));
    }
    let priority = |profile: &Profile| profile.field("Priority").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    found.sort_by(|a, b| (priority(b), &b.name).cmp(&(priority(a), &a.name)));
    // A profile disables the profiles that it names.
    let mut at = 0;
    while let Some(profile) = found.get(at) {
        let names: Vec<String> =
            profile.field("Conflicts").unwrap_or_default().split(", ").map(str::to_owned).collect();
        let own = profile.name.clone();
        found.retain(|other| other.name == own || !names.contains(&other.name));
        at = found.iter().position(|profile| profile.name == own).unwrap_or(at) + 1;
    }
    Ok(found)
}

impl Profile {
    fn parse(name: String, text: &str) -> Option<Self> {
        let (mut fields, mut last) = (BTreeMap::<String, String>::new(), String::new());
        for line in text.lines() {
            let field = line.split_once(':').filter(|(name, value)| {
                !name.is_empty() && !name.contains(char::is_whitespace) && value.starts_with(char::is_whitespace)
            });
            match field.or_else(|| line.strip_suffix(':').map(|name| (name, ""))) {
                Some((name, value)) if !line.starts_with(char::is_whitespace) => {
                    last = name.strip_suffix("-Final").unwrap_or(name).to_owned();
                    fields.insert(last.clone(), value.trim().to_owned());
                }
                _ => {
                    let value = fields.entry(last.clone()).or_default();
                    if !line.trim().is_empty() {
                        *value = format!("{value}\n{}", line.trim()).trim_start().to_owned();
                    }
                }
            }
        }
        if fields.values().any(|value| value.contains(REMOVED_MODULE)) {
            return None;
        }
        if !fields.contains_key("Session-Interactive-Only") {
            for end in ["-Type", "", "-Initial"] {
                if let Some(value) = fields.get(&format!("Session{end}")).cloned() {
                    fields.insert(format!("Session-noninteractive{end}"), value);
                }
            }
        }
        Some(Self { name, fields })
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// The lines for a type. The first profile of a block has its own.
    fn lines(&self, kind: &str, is_first: bool) -> Vec<&str> {
        let initial = self.field(&format!("{kind}-Initial")).filter(|text| is_first && !text.is_empty());
        initial.or_else(|| self.field(kind)).unwrap_or_default().split('\n').filter(|line| !line.is_empty()).collect()
    }
}

/// The text of a common file. `None` if the template has not the form that pam-auth-update expects.
fn made(template: &str, profiles: &[Profile], kind: &str) -> Option<String> {
    let field = format!("{}{}", kind[..1].to_ascii_uppercase(), &kind[1..]);
    let service = kind.trim_end_matches("-noninteractive");
    let (mut out, mut rest) = (String::new(), template);
    for (start, block, end) in BLOCKS {
        let from = rest.find(start)? + start.len();
        let from = from + rest[from..].find('\n')? + 1;
        out.push_str(&rest[..from]);
        let is_block = |profile: &&Profile| profile.field(&format!("{field}-Type")) == Some(block);
        let members = profiles.iter().filter(is_block).enumerate();
        let lines: Vec<&str> = members.flat_map(|(at, profile)| profile.lines(&field, at == 0)).collect();
        if lines.is_empty() && block == "Primary" {
            out.push_str(&format!("{service}\t[default=1]\t\t\tpam_permit.so\n"));
        }
        // `end` is the number of lines to jump over. In the last block it must not leave the stack.
        let last = usize::from(block == "Additional");
        for (at, line) in lines.iter().enumerate() {
            let jump = lines.len() - at;
            out.push_str(&format!("{service}\t{}\n", module_line(line, jump - last.min(jump))));
        }
        rest = &rest[from..];
        rest = &rest[rest.find(end)?..];
    }
    Some(out + rest)
}

/// A line of a profile as pam-auth-update writes it: control and module, then the options with one blank before each.
fn module_line(line: &str, jump: usize) -> String {
    let control = match line.starts_with('[') {
        true => line.find(']').map_or(line.len(), |at| at + 1),
        false => line.find(char::is_whitespace).unwrap_or(line.len()),
    };
    let module = line[control..].len() - line[control..].trim_start().len() + control;
    let options = line[module..].find(char::is_whitespace).map_or(line.len(), |at| module + at);
    let words: Vec<&str> = line[options..].split_whitespace().collect();
    format!("{} {}", line[..options].replace("end", &jump.to_string()), words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, process::Command};

    /// pam-auth-update makes the same files, byte for byte.
    #[test]
    fn the_common_files_are_those_of_pam_auth_update() {
        berth_judge::needs!("pam-auth-update");
        let dir = tempfile::tempdir().unwrap();
        let (configs, pam) = (dir.path().join("usr/share/pam-configs"), dir.path().join("etc/pam.d"));
        for folder in [&configs, &pam, &dir.path().join("var/lib/pam")] {
            fs::create_dir_all(folder).unwrap();
        }
        let unix = "Name: Unix\nDefault: yes\nPriority: 256\nAuth-Type: Primary\nAuth:\n\t[success=end default=ignore]\tpam_unix.so nullok try_first_pass\n\
                    Auth-Initial:\n\t[success=end default=ignore]\tpam_unix.so nullok\nAccount-Type: Primary\nAccount:\n\
                    \t[success=end new_authtok_reqd=done default=ignore]\tpam_unix.so\nSession-Type: Additional\nSession:\n\trequired\tpam_unix.so\n\
                    Password-Type: Primary\nPassword:\n\t[success=end default=ignore]\tpam_unix.so use_authtok  yescrypt\n";
        let two = "Name: Two\nDefault: yes\nPriority: 512\nAuth-Type: Primary\nAuth:\n\t[success=end default=ignore]\tpam_two.so a  b\n\
                   \t[success=1 default=ignore] pam_x.so\nPassword-Type: Additional\nPassword:\n\toptional pam_y.so\n\t[success=end] pam_z.so\n";
        let off = "Name: Off\nDefault: no\nPriority: 900\nAuth-Type: Primary\nAuth:\n\trequired pam_off.so\n";
        let cap =
            "Name: Cap\nDefault: yes\nPriority: 0\nAuth-Type: Additional\nAuth-Final:\n\toptional\t\t\tpam_cap.so\n";
        let shown = "Name: Shown\nDefault: yes\nPriority: 0\nSession-Interactive-Only: yes\nSession-Type: Additional\nSession:\n\toptional pam_shown.so\n";
        let less = "Name: Less\nDefault: yes\nPriority: 100\nConflicts: two, other\nAuth-Type: Primary\nAuth:\n\trequired pam_less.so\n";
        let origin: Arc<str> = "test".into();
        let mut tree = Tree::default();
        let mut put = |path: &str, text: &str| {
            let node = Node::file(0o644, text.to_owned(), &origin);
            tree.insert(path.as_bytes(), node, |_, _| Verdict::Refuse).unwrap();
        };
        for (name, text) in [("unix", unix), ("two", two), ("off", off), ("cap", cap), ("shown", shown), ("less", less)]
        {
            fs::write(configs.join(name), text).unwrap();
            put(&format!("usr/share/pam-configs/{name}"), text);
        }
        // The judge reads the templates of this machine.
        for kind in TYPES {
            let path = format!("usr/share/pam/common-{kind}");
            put(&path, &fs::read_to_string(format!("/{path}")).unwrap());
        }
        let mut judge = Command::new("pam-auth-update");
        judge.args(["--root", dir.path().to_str().unwrap(), "--package", "--force"]);
        judge.env("DEBCONF_DB_OVERRIDE", format!("File{{{}}}", dir.path().join("answers").display()));
        judge.env("DEBIAN_FRONTEND", "noninteractive").stdin(std::process::Stdio::null());
        let output = judge.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        apply(&mut tree).unwrap();
        for kind in TYPES {
            let path = format!("etc/pam.d/common-{kind}");
            let ours = declaration::text(&tree, path.as_bytes()).unwrap().unwrap();
            assert_eq!(ours, fs::read_to_string(dir.path().join(&path)).unwrap(), "{kind}");
        }
    }
}
