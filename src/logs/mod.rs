//! Containers' output: from frames to lines, and from lines to files.

mod assembler;
mod collector;
mod store;

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    engine::StdStream,
    spec::{ServiceName, WorkerId},
};

pub use assembler::{Assembler, Chunk, MAX_LINE};
pub use collector::{Collector, Target};
pub use store::LogPaths;

/// A line of a service's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Whose service it is.
    pub worker: WorkerId,
    /// The service, with the replica's number from the second on.
    pub service: ServiceName,
    /// Where it came from.
    pub source: Source,
    /// When it was received: by the engine where it tells, else by this process.
    pub at: Timestamp,
    /// The text without the line feed, exactly as it was written.
    pub text: Bytes,
    /// Whether a line feed ended it. Without one, the line was cut at [`MAX_LINE`] and
    /// goes on, or the container ended in the middle of it.
    pub ended: bool,
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The container's standard output.
    Stdout,
    /// The container's standard error.
    Stderr,
    /// stackrun: what happened to the container.
    Meta,
}

impl From<StdStream> for Source {
    fn from(stream: StdStream) -> Self {
        match stream {
            StdStream::Stdout => Self::Stdout,
            StdStream::Stderr => Self::Stderr,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Meta => "meta",
        })
    }
}
