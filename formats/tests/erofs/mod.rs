//! EROFS images, judged by fsck.erofs and dump.erofs (1.5 and later).
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod content;
mod faults;
mod kit;
mod layout;
