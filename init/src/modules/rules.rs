//! The administrator's rules for modules: modprobe.d(5) (`options`, `blacklist`, `alias`, `softdep`) and the kernel command line
//! (`MODULE.PARAMETER=VALUE`, `modprobe.blacklist=A,B`). The lines `install` and `remove`, which run programs, are ignored.

use berth_formats::kmod::{Index, normalized};
use std::collections::{BTreeMap, BTreeSet};

/// Module options, and the blacklist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    options: BTreeMap<String, Vec<String>>,
    blacklist: BTreeSet<String>,
}

impl Rules {
    /// Adds the text of one modprobe.d file. Its `alias` and `softdep` lines are added to the index.
    pub fn add_file(&mut self, text: &str, index: &mut Index) {
        for line in text.replace("\\\n", " ").lines() {
            let mut words = line.split_ascii_whitespace();
            match (words.next(), words.next()) {
                (Some("options"), Some(module)) => {
                    self.options.entry(normalized(module)).or_default().extend(words.map(str::to_owned));
                }
                (Some("blacklist"), Some(module)) => {
                    self.blacklist.insert(normalized(module));
                }
                _ => {
                    index.add_line(line);
                }
            }
        }
    }

    /// Adds the rules of the kernel command line. Other words with a dot are added as options of a module that does not exist, which does
    /// no harm.
    pub fn add_cmdline(&mut self, text: &str) {
        for word in text.split_ascii_whitespace() {
            if let Some(names) = word.strip_prefix("modprobe.blacklist=") {
                self.blacklist.extend(names.split(',').map(normalized));
            } else if let Some((module, parameter)) = word.split_once('.')
                && !module.contains('=')
            {
                self.options.entry(normalized(module)).or_default().push(parameter.to_owned());
            }
        }
    }

    /// The parameters of a module, in the form of finit_module(2).
    #[must_use]
    pub fn options(&self, module: &str) -> String {
        self.options.get(&normalized(module)).map_or_else(String::new, |words| words.join(" "))
    }

    /// Whether the module must not be loaded for a device.
    #[must_use]
    pub fn is_blacklisted(&self, module: &str) -> bool {
        self.blacklist.contains(&normalized(module))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_files_and_command_line_are_combined() {
        let (mut rules, mut index) = (Rules::default(), Index::default());
        rules.add_file(
            "# options no such\noptions nvme-core io_timeout=5 \\\n  max_retries=2\nblacklist pcspkr\n\
             alias my-name br_netfilter\nsoftdep a pre: b\ninstall evil /bin/sh\n",
            &mut index,
        );
        rules.add_cmdline("quiet nvme_core.io_timeout=9 modprobe.blacklist=floppy,i2c-piix4 root=/dev/x.y");
        assert_eq!(rules.options("nvme_core"), "io_timeout=5 max_retries=2 io_timeout=9");
        assert_eq!(rules.options("other"), "");
        assert!(rules.is_blacklisted("pcspkr") && rules.is_blacklisted("i2c_piix4") && !rules.is_blacklisted("evil"));
        assert_eq!(index.modules_for("my-name"), ["br_netfilter"]);
        assert_eq!(index.soft_dependencies("a").unwrap().pre, ["b"]);
    }
}
