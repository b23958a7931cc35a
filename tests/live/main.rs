//! The real binary against the real engine.
//!
//! Needs an engine and the images that `cargo xtask images` builds; without them every
//! test fails and says so. The engine is Docker, or Podman where `STACKRUN_ENGINE` is
//! `podman`.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod support;

mod bad_input;
mod failing;
mod files;
mod images;
mod isolation;
mod keys;
mod logs;
mod order;
mod registry;
mod run;
mod sample;
mod scale;
