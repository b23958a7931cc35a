//! stackrun: N hermetic copies of a Compose stack, as one unit.

pub mod cli;
pub mod compose;
pub mod engine;
pub mod error;
pub mod event;
pub mod logs;
pub mod plan;
pub mod probe;
pub mod report;
pub mod session;
pub mod spec;
pub mod text;
