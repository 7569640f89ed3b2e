//! hostd: the API of a host over HTTPS, with certificates on both sides.
//!
//! It is a bridge. What a client asks for is a request of the control protocol to init, or a call of the container engine. hostd has no
//! privileges of its own except these two sockets. Without settings (`[remote]` of host.toml or of the recipe) it ends at once.
//!
//! - [`settings`], [`identity`], [`tls`], [`peer`]: who the host is, and which clients may talk to it.
//! - [`server`]: connections, with a limit for everything. `routes` is the table of what can be asked for, `api` answers.
//! - `control`: the client of the control protocol. `metrics`: Prometheus text.
#![deny(missing_docs)]

mod answer;
mod api;
mod audit;
mod control;
mod counters;
mod events;
mod failure;
pub mod identity;
mod metrics;
pub mod peer;
pub mod places;
pub mod query;
pub mod routes;
pub mod server;
pub mod settings;
mod sys;
pub mod tls;
