//! Preloaded images and declared containers.
