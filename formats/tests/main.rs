//! Every format: what is written is judged by foreign programs, read back, and pinned by digest.
//!
//! One program for all tests of this crate, because each program is linked with all dependencies.

mod cpio;
mod deb;
mod delta;
mod erofs;
mod ext4;
mod fat;
mod fat_crash;
mod fat_full;
mod fat_update;
mod gpt;
mod judge;
mod kmod;
mod ldcache;
mod pe;
mod qcow2;
mod uki;
mod verity;
