//! What services there are.
