//! The command of a host.
#![deny(missing_docs)]

pub mod config;
pub mod decoder;
pub mod desk;
pub mod entries;
pub mod exit;
pub mod failed_versions;
pub mod file;
pub mod file_lock;
pub mod heal;
pub mod health;
pub mod host;
mod kernel_image;
pub mod kernel_images;
pub mod logs;
mod memory;
pub mod show;
pub mod slots;
pub mod source;
pub mod support;
mod sys;
pub mod trust;
pub mod upgrade;
pub mod var;
pub mod why;
