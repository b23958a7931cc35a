//! What can go wrong when an engine is asked for something.

use std::{io, time::Duration};

/// An engine call that failed.
///
/// `Display` says what was attempted; the engine's own words are the source.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine answered, and the answer is no.
    #[error("could not {attempted}")]
    Refused {
        /// What was attempted, as a phrase after "could not".
        attempted: String,
        /// Why, as far as the program has to tell reasons apart.
        refusal: Refusal,
        /// The engine's own words.
        #[source]
        reply: Reply,
    },
    /// The connection failed before or while the engine answered.
    #[error("could not {attempted}: the connection to the engine failed")]
    Connection {
        /// What was attempted, as a phrase after "could not".
        attempted: String,
        /// What the transport says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A step of a build failed.
    #[error("could not {attempted}: the step `{step}` failed")]
    Step {
        /// What was attempted, as a phrase after "could not".
        attempted: String,
        /// The step, in the engine's words.
        step: String,
        /// Why, and what the step wrote last.
        #[source]
        failure: Box<StepFailure>,
    },
    /// The engine cannot do it, and was not asked.
    #[error("could not {attempted}: {why}")]
    Unsupported {
        /// What was attempted, as a phrase after "could not".
        attempted: String,
        /// What is missing.
        why: String,
    },
    /// A file that was to be sent to the engine stands in the way.
    #[error("could not {attempted}")]
    File {
        /// What was attempted, as a phrase after "could not".
        attempted: String,
        /// Which file, and why.
        #[source]
        source: io::Error,
    },
    /// The engine did not answer.
    #[error("could not {attempted}: the engine did not answer within {}", crate::text::duration(*.after))]
    TimedOut {
        /// What was attempted, as a phrase after "could not".
        attempted: String,
        /// How long the answer was waited for.
        after: Duration,
    },
}

impl EngineError {
    /// Why the engine refused, if it did.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(*refusal),
            Self::Step { .. } => Some(Refusal::Other),
            Self::Connection { .. }
            | Self::TimedOut { .. }
            | Self::Unsupported { .. }
            | Self::File { .. } => None,
        }
    }

    /// Whether the thing that was asked about is not there.
    pub fn is_not_found(&self) -> bool {
        self.refusal() == Some(Refusal::NotFound)
    }
}

/// The reasons of a refusal that the program tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The thing is not there.
    NotFound,
    /// The name is taken, or the thing is in a state that does not allow it.
    Conflict,
    /// The address range belongs to another network, or did until just now.
    SubnetTaken,
    /// The host port is in use.
    PortTaken,
    /// Anything else.
    Other,
}

/// The engine's answer to a request that it refused.
#[derive(Debug, thiserror::Error)]
pub struct Reply {
    /// HTTP status; 200 where the answer began well and then told of a failure.
    pub status: u16,
    /// The engine's words.
    pub message: String,
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        if self.status != 200 {
            write!(f, " (HTTP status {})", self.status)?;
        }
        Ok(())
    }
}

/// Why a step of a build failed.
#[derive(Debug, thiserror::Error)]
pub struct StepFailure {
    /// The engine's words.
    pub message: String,
    /// The last lines that the step wrote.
    pub output: Vec<String>,
}

impl std::fmt::Display for StepFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        self.output
            .iter()
            .try_for_each(|line| write!(f, "\n  {line}"))
    }
}
