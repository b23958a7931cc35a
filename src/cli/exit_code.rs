//! The exit codes of `stackrun`. They are part of the interface: see
//! `docs/reference/exit-codes.md`.
//!
//! `run` passes the exit code of its command on. A signal ends stackrun with 128 and
//! the number of the signal.

/// All went well.
pub const SUCCESS: u8 = 0;
/// A service, an image or a command failed.
pub const FAILED: u8 = 1;
/// The command line, or a variable that belongs to it, is wrong. Also clap's code.
pub const USAGE: u8 = 2;
/// The Compose file is wrong, or cannot be read.
pub const INVALID_PROJECT: u8 = 3;
/// No container engine answers.
pub const NO_ENGINE: u8 = 4;
/// Something was not ready in time.
pub const NOT_READY: u8 = 5;
/// 128 and the number of the signal that ended stackrun.
pub const SIGNAL: u8 = 128;
