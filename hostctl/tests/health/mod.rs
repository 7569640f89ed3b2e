//! The verdict on a host: init, docker, name server and checks are stood in for, each ill in its own way.

mod before;
mod illness;
mod kit;
mod time;
