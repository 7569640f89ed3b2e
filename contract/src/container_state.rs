//! The state of a container.

use crate::word::open_words;

open_words! {
    /// The state of a container: the engine's words, and two of our own.
    pub enum ContainerState {
        /// Ours: the workload program has not handled it yet.
        Pending = "pending",
        /// Ours: it does not run as declared.
        Failed = "failed",
        /// It runs.
        Running = "running",
        /// It has exited, and the engine will restart it.
        Restarting = "restarting",
        /// It has exited.
        Exited = "exited",
    }
}
