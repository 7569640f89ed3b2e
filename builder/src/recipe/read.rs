//! Reads a recipe and the files that it extends.

use super::{
    Recipe,
    diagnostic::Diagnostic,
    parse,
    place::{Place, RecipeFile},
    raw::locate,
};
use berth_settings::nearest;
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Size limit for a recipe file in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// A recipe that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The recipe file cannot be read.
    #[error("cannot read recipe {}", path.display())]
    File {
        /// The recipe file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The path is a folder.
    #[error("{} is a folder: expected a recipe", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The recipes in it.
        recipes: Vec<String>,
    },
    /// The content of the recipe, or of a file that it extends, is not valid.
    #[error(transparent)]
    Content(#[from] Diagnostic),
}

impl ReadError {
    /// A hint: the next step for the user, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("name a recipe: a TOML file as described in docs/recipe.md".to_owned())
            }
            Self::File { source, .. }
                if matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::FileTooLarge) =>
            {
                Some("a recipe is a TOML file of at most 1 MiB, as described in docs/recipe.md".to_owned())
            }
            Self::File { .. } => None,
            Self::Folder { recipes, .. } if recipes.is_empty() => {
                Some("name a recipe: a TOML file as described in docs/recipe.md".to_owned())
            }
            Self::Folder { recipes, .. } => Some(format!("name the recipe in this folder: {}", recipes.join(", "))),
            Self::Content(fault) => fault.hint().map(str::to_owned),
        }
    }
}

/// Reads the recipe at `path` and the files that it extends.
///
/// # Errors
/// A file cannot be read, `extends` forms a cycle, or the content is not valid. Errors show the place in the file.
pub fn read(path: &Path) -> Result<Recipe, ReadError> {
    if path.is_dir() {
        return Err(ReadError::Folder { path: path.to_owned(), recipes: recipes(path) });
    }
    let text = text(path).map_err(|source| ReadError::File { path: path.to_owned(), source })?;
    let mut chain = vec![RecipeFile::new(path, text)];
    let mut seen = vec![identity(path)];
    while let Some((base, place)) = extends(&chain[chain.len() - 1])? {
        if seen.contains(&identity(&base)) {
            let names: Vec<_> = chain.iter().map(|file| file.path().display().to_string()).collect();
            return Err(Diagnostic::new(&place, "`extends` forms a cycle")
                .found(format!("{} → {}", names.join(" → "), base.display()))
                .with_hint("remove `extends` from one of these files")
                .into());
        }
        let text = self::text(&base).map_err(|error| {
            Diagnostic::new(&place, format!("cannot read {}: {error}", base.display()))
                .wanted("path of a recipe, relative to this file's folder")
                .with_hint(beside(&base))
        })?;
        seen.push(identity(&base));
        chain.push(RecipeFile::new(base, text));
    }
    chain.reverse();
    Ok(Recipe::parse(chain)?)
}

fn extends(file: &Arc<RecipeFile>) -> Result<Option<(PathBuf, Place)>, Diagnostic> {
    let Some(base) = parse::parse(file)?.extends else { return Ok(None) };
    let base = locate(file, base);
    Ok(Some((base.place.folder().join(&base.value), base.place)))
}

/// The hint for a missing recipe: the name of a similar file in the same folder.
fn beside(missing: &Path) -> String {
    let names = recipes(missing.parent().unwrap_or(Path::new("")));
    let wanted = missing.file_name().unwrap_or_default().to_string_lossy();
    match nearest(&wanted, names.iter().map(String::as_str)) {
        Some(near) if near != wanted => format!("did you mean {near:?}?"),
        _ => "create the recipe, or remove `extends`".to_owned(),
    }
}

/// The names of the recipes in a folder.
fn recipes(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let names = entries.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".toml")).collect();
    names.sort();
    names
}

/// The canonical path of a file, to detect cycles. A missing file is reported later, when it is read.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(MAX_SIZE + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_SIZE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {MAX_SIZE} bytes")));
    }
    Ok(text)
}
