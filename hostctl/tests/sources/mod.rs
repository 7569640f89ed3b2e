//! The same repository by every way it can come, and what servers do to those who read from them.

mod faults;
mod foreign_servers;
mod kinds;
mod reading;
