//! What is not believed: each test is named by the sin.

mod memory;
mod metadata;
mod releases;
mod roots;
