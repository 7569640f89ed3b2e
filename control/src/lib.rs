//! The client of the control protocol, for hostctl and for programs that drive a virtual machine.
#![deny(missing_docs)]

mod answering;
mod client;

pub use answering::answering;
pub use client::{Client, ClientError};
