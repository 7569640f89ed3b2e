//! Releases as a repository has them, judged by python-tuf, zstd, tar and veritysetup.

mod killed;
mod limits;
mod published;
mod refused;
mod site;
mod trust;
mod upkeep;
