use super::{
    glob,
    index::{SORTED, pattern_normalised},
    module_name, normalised,
};
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    ops::Range,
};

/// The index files of a kernel's modules, for one who loads them.
///
/// Modules and soft dependencies are a few hundred lines and are parsed into maps. Aliases are many thousand, of which a
/// boot asks for a few dozen: they stay text, and a lookup searches it.
#[derive(Debug)]
pub struct Index<'a> {
    modules: HashMap<Cow<'a, str>, Module<'a>>,
    aliases: &'a str,
    sorted: bool,
    softdeps: HashMap<Cow<'a, str>, Vec<&'a str>>,
    builtin: HashSet<Cow<'a, str>>,
}

#[derive(Clone, Copy, Debug)]
struct Module<'a> {
    path: &'a str,
    /// Paths, to be loaded from the last to the first.
    depends: &'a str,
}

impl<'a> Index<'a> {
    /// From the texts of `modules.dep`, `modules.alias`, `modules.softdep` and `modules.builtin`. Lines that are not
    /// understood are passed over, as modprobe does.
    #[must_use]
    pub fn parse(dep: &'a str, alias: &'a str, softdep: &'a str, builtin: &'a str) -> Self {
        let module = |line: &'a str| {
            let (path, depends) = line.split_once(':')?;
            Some((module_name(path), Module { path, depends }))
        };
        let mut softdeps: HashMap<_, Vec<_>> = HashMap::new();
        for line in softdep.lines() {
            if let Some((name, words)) = line.strip_prefix("softdep ").and_then(|rest| rest.split_once(' ')) {
                softdeps.entry(normalised(name)).or_default().push(words);
            }
        }
        let (sorted, aliases) = alias.strip_prefix(SORTED).map_or((false, alias), |rest| (true, rest));
        Self {
            modules: dep.lines().filter_map(module).collect(),
            aliases,
            sorted,
            softdeps,
            builtin: builtin.lines().map(module_name).collect(),
        }
    }

    /// The modules to load for a module's name or a modalias, in order: each after what it depends on, with its soft
    /// dependencies before and after it. Paths are relative to the directory of the indices. Empty when it is built into
    /// the kernel; `None` when it is unknown. A module that is loaded already is not left out.
    #[must_use]
    pub fn resolve(&self, wanted: &str) -> Option<Vec<&'a str>> {
        let names = self.find(wanted)?;
        let mut order = Order { seen: HashSet::new(), paths: Vec::new() };
        names.iter().for_each(|name| self.add(name, &mut order));
        Some(order.paths)
    }

    /// Names of modules: of that name, or else with an alias that matches.
    fn find(&self, wanted: &str) -> Option<Vec<Cow<'a, str>>> {
        let name = normalised(wanted);
        if let Some((name, _)) = self.modules.get_key_value(&*name) {
            return Some(vec![name.clone()]);
        }
        let modules = self.with_alias(&pattern_normalised(wanted));
        if modules.is_empty() && !self.builtin.contains(&*name) { None } else { Some(modules) }
    }

    fn add(&self, name: &str, order: &mut Order<'a>) {
        let Some(module) = self.modules.get(name) else { return };
        // Also what keeps a cycle of soft dependencies from going round.
        if !order.seen.insert(module.path) {
            return;
        }
        let softdeps = self.softdeps.get(name).map_or(&[][..], Vec::as_slice);
        let soft = |when: &str, order: &mut Order<'a>| {
            for name in softdeps.iter().flat_map(|words| soft_names(words, when)) {
                self.find(name).into_iter().flatten().for_each(|name| self.add(&name, order));
            }
        };
        soft("pre:", order);
        module.depends.split_ascii_whitespace().rev().for_each(|path| self.add(&module_name(path), order));
        order.paths.push(module.path);
        soft("post:", order);
    }

    /// Modules with an alias that matches, in the order of the file.
    fn with_alias(&self, wanted: &str) -> Vec<Cow<'a, str>> {
        let mut found = Vec::new();
        let mut check = |lines: &'a str| {
            for line in lines.lines() {
                if let Some((pattern, module)) = line.strip_prefix("alias ").and_then(|rest| rest.rsplit_once(' ')) {
                    let hit = match self.sorted {
                        true => glob::matches(pattern.as_bytes(), wanted.as_bytes()),
                        false => glob::matches(pattern_normalised(pattern).as_bytes(), wanted.as_bytes()),
                    };
                    if hit && !found.contains(&normalised(module)) {
                        found.push(normalised(module));
                    }
                }
            }
        };
        if !self.sorted {
            check(self.aliases);
            return found;
        }
        // Follow the wanted text byte by byte, narrowing the lines to those that begin with it; on the way, try those
        // whose next byte is the beginning of a wildcard. What remains at the end is the very text.
        let mut lines = 0..self.aliases.len();
        let mut prefix = b"alias ".to_vec();
        for byte in wanted.bytes().map(Some).chain([None]) {
            for wildcard in *b"*?[" {
                prefix.push(wildcard);
                check(&self.aliases[self.beginning_with(&prefix, lines.clone())]);
                prefix.pop();
            }
            prefix.push(byte.unwrap_or(b' '));
            lines = self.beginning_with(&prefix, lines);
            if lines.is_empty() {
                return found;
            }
        }
        check(&self.aliases[lines]);
        found
    }

    /// The lines among `lines` (whole, sorted) that begin with `prefix`.
    fn beginning_with(&self, prefix: &[u8], lines: Range<usize>) -> Range<usize> {
        let text = self.aliases.as_bytes();
        // The first line for which `is_past` holds, given that it holds for all after it.
        let first = |is_past: &dyn Fn(&[u8]) -> bool| {
            let Range { mut start, mut end } = lines.clone();
            while start < end {
                let middle = start + (end - start) / 2;
                let line_start =
                    text[start..middle].iter().rposition(|&c| c == b'\n').map_or(start, |at| start + at + 1);
                let rest = &text[line_start..end];
                let len = rest.iter().position(|&c| c == b'\n').unwrap_or(rest.len());
                if is_past(&rest[..len]) {
                    end = line_start;
                } else {
                    start = (line_start + len + 1).min(end);
                }
            }
            start
        };
        let cut = |line: &[u8]| line.len().min(prefix.len());
        first(&|line| line[..cut(line)] >= *prefix)..first(&|line| line[..cut(line)] > *prefix)
    }
}

struct Order<'a> {
    seen: HashSet<&'a str>,
    paths: Vec<&'a str>,
}

/// The names behind `pre:` or `post:`.
fn soft_names<'b>(words: &'b str, when: &str) -> impl Iterator<Item = &'b str> {
    let mut inside = false;
    words.split_ascii_whitespace().filter(move |word| {
        let is_mark = matches!(*word, "pre:" | "post:");
        if is_mark {
            inside = *word == when;
        }
        inside && !is_mark
    })
}
