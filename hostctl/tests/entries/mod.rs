//! Boot entries through every change, on an ESP in a file.

mod hosts;
mod kit;
mod reports;
mod rollbacks;
mod upgrades;
