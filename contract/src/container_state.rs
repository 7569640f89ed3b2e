//! What a container does.

use crate::word::open_words;

open_words! {
    /// What a container does, in the engine's words and in our own.
    pub enum ContainerState {
        /// Ours: the workload program has not come to it yet.
        Pending = "pending",
        /// Ours: it is not as it was declared.
        Failed = "failed",
        /// It runs.
        Running = "running",
        /// It has ended, and the engine is about to start it again.
        Restarting = "restarting",
        /// It has ended.
        Exited = "exited",
    }
}
