//! Verbs that are more than a question to init, a file each.

pub(crate) mod upgrade;
