//! Reading a recipe and what it extends from disk.

use super::{
    Recipe,
    diagnostic::{Diagnostic, nearest},
    place::{Place, RecipeFile},
    raw::{RawRecipe, locate},
};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Largest recipe file, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// A recipe that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file that was asked for cannot be read.
    #[error("cannot read recipe {}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its content is not valid, or that of a file that it extends.
    #[error(transparent)]
    Content(#[from] Diagnostic),
}

impl ReadError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("name a recipe: a TOML file, as docs/recipe.md describes it".to_owned())
            }
            Self::File { source, .. }
                if matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::FileTooLarge) =>
            {
                Some("a recipe is a TOML file of at most 1 MiB, as docs/recipe.md describes it".to_owned())
            }
            Self::File { .. } => None,
            Self::Content(fault) => fault.hint().map(str::to_owned),
        }
    }
}

/// Reads the recipe at `path` and all that it extends.
///
/// # Errors
/// Files that cannot be read, a cycle of `extends`, and every fault of the content, with its place.
pub fn read(path: &Path) -> Result<Recipe, ReadError> {
    let text = text(path).map_err(|source| ReadError::File { path: path.to_owned(), source })?;
    let mut chain = vec![RecipeFile::new(path, text)];
    let mut seen = vec![identity(path)];
    while let Some((base, place)) = extends(&chain[chain.len() - 1])? {
        if seen.contains(&identity(&base)) {
            let names: Vec<_> = chain.iter().map(|file| file.path().display().to_string()).collect();
            return Err(Diagnostic::new(&place, "extends goes in a circle")
                .found(format!("{} → {}", names.join(" → "), base.display()))
                .with_hint("take `extends` out of one of them")
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
    let Some(base) = RawRecipe::parse(file)?.extends else { return Ok(None) };
    let base = locate(file, base);
    Ok(Some((base.place.folder().join(&base.value), base.place)))
}

/// A hint for a recipe that cannot be read: a file in the same folder with a similar name.
fn beside(missing: &Path) -> String {
    let folder = missing.parent().unwrap_or(Path::new(""));
    let entries = std::fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let names = entries.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".toml")).collect();
    names.sort();
    let wanted = missing.file_name().unwrap_or_default().to_string_lossy();
    match nearest(&wanted, names.iter().map(String::as_str)) {
        Some(near) if near != wanted => format!("did you mean {near:?}?"),
        _ => "put the recipe there, or take `extends` out".to_owned(),
    }
}

/// The same path for all names of one file. A missing file is reported when it is read.
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
