//! stackrun: N hermetic copies of a Compose stack, as one unit.
pub mod compose;
pub mod spec;
