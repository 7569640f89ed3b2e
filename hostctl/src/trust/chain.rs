//! A chain of root.json files: each is signed by the keys of the one before (TUF 1.0, section 5.3).

use super::{error::TrustError, root_keys};
use tough::schema::{Root, Signed};

/// The root.json of the image, and those that follow it.
#[derive(Debug)]
pub(super) struct RootChain {
    /// Never empty. The first is that of the image.
    links: Vec<(String, Signed<Root>)>,
}

impl RootChain {
    /// A chain of one root.json, which needs no other proof than its own signatures: the image is trusted.
    pub(super) fn of_image(bytes: &[u8]) -> Result<Self, TrustError> {
        let wrong = |fault| TrustError::Root { fault };
        let root = root_keys::parse(bytes).map_err(wrong)?;
        root.signed.verify_role(&root).map_err(|error| wrong(error.to_string()))?;
        let text = String::from_utf8_lossy(bytes).into_owned();
        Ok(Self { links: vec![(text, root)] })
    }

    /// Adds the next root.json.
    ///
    /// # Errors
    /// What is wrong, if the newest keys and its own have not both signed it.
    pub(super) fn push(&mut self, text: &str) -> Result<(), String> {
        let next = root_keys::parse(text.as_bytes())?;
        let newest = &self.newest().signed;
        if next.signed.version <= newest.version {
            // It came from another file of the memory, too.
            let known = self.links.iter().any(|(_, link)| link.signed == next.signed);
            let fault = format!("expected a version above {}, found {}", newest.version, next.signed.version);
            return if known { Ok(()) } else { Err(fault) };
        }
        newest.verify_role(&next).map_err(|error| error.to_string())?;
        next.signed.verify_role(&next).map_err(|error| error.to_string())?;
        self.links.push((text.to_owned(), next));
        Ok(())
    }

    pub(super) fn newest(&self) -> &Signed<Root> {
        &self.links[self.links.len() - 1].1
    }

    pub(super) fn newest_text(&self) -> &str {
        &self.links[self.links.len() - 1].0
    }

    /// The root.json of the image.
    pub(super) fn image(&self) -> &Signed<Root> {
        &self.links[0].1
    }

    /// The version and text of each root.json.
    pub(super) fn texts(self) -> impl Iterator<Item = (u64, String)> {
        self.links.into_iter().map(|(text, root)| (root.signed.version.get(), text))
    }
}
