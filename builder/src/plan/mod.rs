//! What will be built, decided before anything is fetched or written. Pure: same recipe, same lock, same plan.

pub mod identity;
pub mod layout;
