//! EROFS images, judged by fsck.erofs and dump.erofs (1.5 and later).

mod content;
mod faults;
mod kit;
mod layout;
