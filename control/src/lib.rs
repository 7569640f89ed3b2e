//! Talking to init: the client of the control protocol, for hostctl and for programs that drive a virtual machine, and the messages of
//! services ([`Notify`]).
#![deny(missing_docs)]

mod answering;
mod client;
mod notify;

pub use answering::answering;
pub use client::{Client, ClientError, Link};
pub use notify::Notify;
