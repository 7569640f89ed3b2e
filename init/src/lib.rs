//! PID 1 of a Berth host, and the processes that stand beside it.
#![deny(missing_docs)]

pub mod console;
pub mod fault;
pub mod sys;
pub mod timeline;
