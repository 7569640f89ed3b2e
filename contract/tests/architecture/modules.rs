//! Finds the modules of a crate, and which file uses which other file.
//!
//! A file uses another file if it names an item that is defined there: directly, through an import, or through a re-export of a third file.
//! Two cases do not count as a use. `mod x;` and `pub use x::Y;` only say where an item is. A module may name items of its own child
//! modules, because it consists of them.

use crate::code::{self, Token};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// For each file: the files that it uses, each with one of the names that it uses there.
pub(crate) type Uses = BTreeMap<PathBuf, BTreeMap<PathBuf, String>>;

/// The uses in the crate with the source folder `src`. Its binaries import its library as `name`. File paths are relative to `src`.
pub(crate) fn uses(src: &Path, name: &str) -> Uses {
    let mut krate = Crate { modules: Vec::new(), roots: BTreeMap::new() };
    for root in roots(src) {
        let index = krate.load(src, &root, None);
        if root == Path::new("lib.rs") {
            krate.roots.insert(name.to_owned(), index);
        }
    }
    krate.uses()
}

/// The root files of the crate's targets.
fn roots(src: &Path) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = ["lib.rs", "main.rs"].map(PathBuf::from).into();
    roots.retain(|root| src.join(root).exists());
    for entry in fs::read_dir(src.join("bin")).into_iter().flatten().flatten() {
        roots.push(Path::new("bin").join(entry.file_name()));
    }
    roots
}

struct Crate {
    modules: Vec<Module>,
    /// The library's root module, by the first name of paths to it.
    roots: BTreeMap<String, usize>,
}

struct Module {
    file: PathBuf,
    parent: Option<usize>,
    root: usize,
    children: BTreeMap<String, usize>,
    /// Names of the items that are defined in this module.
    items: BTreeSet<String>,
    imports: Vec<Import>,
    /// Paths in the code outside of `use`.
    paths: Vec<Vec<String>>,
}

struct Import {
    path: Vec<String>,
    /// The name in the importing module. `*` for a glob import.
    name: String,
    /// True for `pub use`.
    is_public: bool,
}

impl Import {
    fn new(path: Vec<String>, name: Option<&str>, is_public: bool) -> Self {
        let name = name.or(path.last().map(String::as_str)).unwrap_or_default().to_owned();
        Self { path, name, is_public }
    }
}

/// The target of a path.
#[derive(Clone, Copy)]
enum Found {
    Module(usize),
    /// An item that is defined in this module.
    Item(usize),
}

impl Crate {
    fn load(&mut self, src: &Path, file: &Path, parent: Option<usize>) -> usize {
        let path = src.join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let index = self.add(file, parent);
        self.read(src, &code::tokens(&text), index, &folder_of(file));
        index
    }

    fn add(&mut self, file: &Path, parent: Option<usize>) -> usize {
        let index = self.modules.len();
        let root = parent.map_or(index, |parent| self.modules[parent].root);
        self.modules.push(Module {
            file: file.to_owned(),
            parent,
            root,
            children: BTreeMap::new(),
            items: BTreeSet::new(),
            imports: Vec::new(),
            paths: Vec::new(),
        });
        index
    }

    /// Reads the body of a module. The files of its child modules are in `folder`.
    fn read(&mut self, src: &Path, tokens: &[Token], index: usize, folder: &Path) {
        let (mut at, mut depth, mut is_public) = (0, 0, false);
        while let Some(token) = tokens.get(at) {
            let next = tokens.get(at + 1).and_then(Token::word);
            at += match (token.word(), next) {
                (Some("mod"), Some(name)) if depth == 0 => self.read_child(src, &tokens[at..], index, folder, name),
                (Some("use"), _) => {
                    let end = at + tokens[at..].iter().position(|token| token.is(';')).unwrap_or(tokens.len() - at);
                    let imports = &mut self.modules[index].imports;
                    read_tree(&tokens[at + 1..end], &[], is_public && depth == 0, imports);
                    end - at
                }
                (Some("pub"), _) => {
                    is_public = true;
                    at += visibility_length(&tokens[at..]);
                    continue;
                }
                (Some("fn" | "struct" | "enum" | "union" | "trait" | "type" | "const" | "static"), Some(name))
                    if depth == 0 && name != "fn" =>
                {
                    self.modules[index].items.insert(name.to_owned());
                    2
                }
                (Some(_), _) => {
                    let after_dot = at > 0 && tokens[at - 1].is('.');
                    let (path, length) = path_at(&tokens[at..]);
                    if !after_dot {
                        self.modules[index].paths.push(path);
                    }
                    length
                }
                (None, _) => {
                    depth += i32::from(token.is('{')) - i32::from(token.is('}'));
                    1
                }
            };
            is_public = false;
        }
    }

    /// Reads `mod name;` or `mod name { ... }`. Returns the number of tokens that were read.
    fn read_child(&mut self, src: &Path, tokens: &[Token], parent: usize, folder: &Path, name: &str) -> usize {
        if tokens.get(2).is_some_and(|token| token.is(';')) {
            let (flat, nested) = (folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs"));
            let file = if src.join(&flat).exists() { flat } else { nested };
            let child = self.load(src, &file, Some(parent));
            self.modules[parent].children.insert(name.to_owned(), child);
            return 3;
        }
        let mut depth = 0;
        let body = tokens[2..].iter().take_while(|token| {
            depth += i32::from(token.is('{')) - i32::from(token.is('}'));
            depth > 0
        });
        let length = body.count();
        let file = self.modules[parent].file.clone();
        let child = self.add(&file, Some(parent));
        self.modules[parent].children.insert(name.to_owned(), child);
        self.read(src, &tokens[3..2 + length], child, &folder.join(name));
        3 + length
    }

    fn uses(&self) -> Uses {
        let mut uses = Uses::new();
        for (index, module) in self.modules.iter().enumerate() {
            let imported = module.imports.iter().filter(|import| !import.is_public).map(|import| &import.path);
            let of_file = uses.entry(module.file.clone()).or_default();
            for path in imported.chain(&module.paths) {
                if let Some(Found::Item(target)) = self.resolve(index, path, 0) {
                    let file = &self.modules[target].file;
                    if *file != module.file && !self.contains(index, target) {
                        of_file.entry(file.clone()).or_insert_with(|| path.join("::"));
                    }
                }
            }
        }
        uses
    }

    /// Whether `inner` is a descendant of `outer`.
    fn contains(&self, outer: usize, inner: usize) -> bool {
        std::iter::successors(self.modules[inner].parent, |module| self.modules[*module].parent).any(|one| one == outer)
    }

    /// Resolves a path that is used in module `from`. `None` if its target is not in this crate.
    fn resolve(&self, from: usize, path: &[String], depth: usize) -> Option<Found> {
        let mut place = from;
        let mut rest = path;
        let mut is_anchored = false;
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "crate" if !is_anchored => place = self.modules[from].root,
                "self" => {}
                "super" => place = self.modules[place].parent?,
                name if !is_anchored && self.roots.contains_key(name) => place = self.roots[name],
                _ => break,
            }
            (is_anchored, rest) = (true, after);
        }
        while let Some((name, after)) = rest.split_first() {
            match self.look_up(place, name, depth) {
                Some(Found::Module(module)) => place = module,
                Some(item) => return Some(item),
                // A macro may define the item.
                None => return is_anchored.then_some(Found::Item(place)),
            }
            (is_anchored, rest) = (true, after);
        }
        Some(Found::Module(place))
    }

    /// Looks up a name in a module: a child module, an item, or an import.
    fn look_up(&self, module: usize, name: &str, depth: usize) -> Option<Found> {
        const DEEPEST: usize = 16;
        let here = &self.modules[module];
        if let Some(&child) = here.children.get(name) {
            return Some(Found::Module(child));
        }
        if here.items.contains(name) {
            return Some(Found::Item(module));
        }
        if depth == DEEPEST {
            return None;
        }
        let mut imports = here.imports.iter();
        if let Some(import) = imports.find(|import| import.name == name && import.path != [name]) {
            return self.resolve(module, &import.path, depth + 1);
        }
        here.imports.iter().filter(|import| import.name == "*").find_map(|glob| {
            match self.resolve(module, &glob.path, depth + 1)? {
                Found::Module(target) if target != module => self.look_up(target, name, depth + 1),
                _ => None,
            }
        })
    }
}

/// The folder in which rustc looks for the child modules of a file.
fn folder_of(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new(""));
    let stem = file.file_stem().unwrap_or_default();
    let is_root = folder == Path::new("bin") || folder == Path::new("") && (stem == "lib" || stem == "main");
    if is_root || stem == "mod" { folder.to_owned() } else { folder.join(stem) }
}

/// The length in tokens of `pub`, `pub(crate)`, or `pub(in crate::x)`.
fn visibility_length(tokens: &[Token]) -> usize {
    let end = tokens.iter().position(|token| token.is(')'));
    if tokens.get(1).is_some_and(|token| token.is('(')) { end.map_or(1, |end| end + 1) } else { 1 }
}

/// The path `a::b::c` at the start of the tokens, and its length in tokens.
fn path_at(tokens: &[Token]) -> (Vec<String>, usize) {
    let mut path = Vec::new();
    let mut at = 0;
    while let Some(word) = tokens.get(at).and_then(Token::word) {
        path.push(word.to_owned());
        at += 1;
        if tokens.get(at) != Some(&Token::Path) {
            break;
        }
        at += 1;
    }
    (path, at)
}

/// Reads an import such as `a::{self, b::c as d, e::*}`. Returns the number of tokens that were read.
fn read_tree(tokens: &[Token], prefix: &[String], is_public: bool, into: &mut Vec<Import>) -> usize {
    let mut path = prefix.to_vec();
    let mut at = 0;
    loop {
        match tokens.get(at) {
            Some(Token::Path) => {
                at += 1;
                continue;
            }
            Some(Token::Word(word)) if word == "self" && !prefix.is_empty() && path.len() == prefix.len() => at += 1,
            Some(Token::Word(word)) => {
                path.push(word.clone());
                at += 1;
            }
            Some(Token::Other('*')) => {
                into.push(Import::new(path, Some("*"), is_public));
                return at + 1;
            }
            Some(Token::Other('{')) => {
                at += 1;
                while tokens.get(at).is_some_and(|token| !token.is('}')) {
                    at += read_tree(&tokens[at..], &path, is_public, into);
                    at += usize::from(tokens.get(at).is_some_and(|token| token.is(',')));
                }
                return at + 1;
            }
            _ => {
                into.push(Import::new(path, None, is_public));
                return at;
            }
        }
        match tokens.get(at) {
            Some(Token::Path) => at += 1,
            Some(Token::Word(word)) if word == "as" => {
                into.push(Import::new(path, tokens.get(at + 1).and_then(Token::word), is_public));
                return at + 2;
            }
            _ => {
                into.push(Import::new(path, None, is_public));
                return at;
            }
        }
    }
}
