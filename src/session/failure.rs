//! What goes wrong with a session, as values that the edge can put into words.

use std::time::Duration;

use crate::{
    engine::EngineError,
    logs::LogLine,
    plan::{PlanError, Replica},
    probe::NotReady,
    spec::WorkerId,
};

/// Bringing a session up failed.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The plan cannot be made.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The engine could not be asked what is there.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An image is neither there nor to be had.
    #[error("image `{image}` of {services} is not there, and could not be pulled")]
    Image {
        /// The image.
        image: String,
        /// The services that use it.
        services: String,
        /// Whether the file says how to build it.
        buildable: bool,
        /// What the engine says.
        #[source]
        source: Option<EngineError>,
    },
    /// Steps of the plan failed.
    #[error("{}", .0.first)]
    Steps(#[source] Box<Failures>),
    /// The whole took longer than `--wait-timeout` allows.
    #[error("not everything was ready within {}", crate::text::duration(*.after))]
    TimedOut {
        /// The limit.
        after: Duration,
        /// What was still waited for.
        waiting_for: Vec<Replica>,
    },
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
    /// The state file could not be written.
    #[error("could not write `{path}`")]
    State {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

/// The steps that failed by themselves, not for want of others.
#[derive(Debug, thiserror::Error)]
#[error("{first}")]
pub struct Failures {
    /// The first one in time: the cause.
    pub first: StepFailure,
    /// Others that failed by themselves, in time.
    pub others: Vec<StepFailure>,
    /// Services that were not started because of them.
    pub skipped: Vec<Replica>,
}

/// A step of a plan that failed.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.headline())]
pub struct StepFailure {
    /// What was done, for people: `w0/backend create container parts-w0-backend`.
    pub step: String,
    /// The container that it was about.
    pub replica: Option<Replica>,
    /// Why it failed.
    #[source]
    pub why: StepError,
    /// The last lines that the container wrote.
    pub last_lines: Vec<LogLine>,
    /// Services that directly or indirectly wait for this step.
    pub dependents: Vec<Replica>,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The engine could not do it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The container did not become what it should.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// No subnet is left to try.
    #[error(transparent)]
    Subnets(#[from] crate::plan::PoolExhausted),
}

impl Failures {
    /// The workers in which something failed.
    pub fn workers(&self) -> impl Iterator<Item = WorkerId> {
        let all = std::iter::once(&self.first).chain(&self.others);
        all.filter_map(|failure| failure.replica.as_ref())
            .map(|replica| replica.worker)
    }
}

impl StepFailure {
    fn headline(&self) -> String {
        match (&self.replica, &self.why) {
            (Some(replica), StepError::NotReady(why)) => {
                format!(
                    "worker {}: service `{}` {why}",
                    replica.worker, replica.service
                )
            }
            (Some(replica), _) => {
                format!(
                    "worker {}: service `{}` could not be started",
                    replica.worker, replica.service
                )
            }
            (None, why) => format!("{}: {why}", self.step),
        }
    }
}
