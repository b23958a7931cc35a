//! What goes wrong with a session, as values that the edge can put into words.

use std::time::Duration;

use crate::{
    engine::EngineError,
    logs::LogLine,
    plan::{Action, PlanError, Replica},
    probe::NotReady,
    spec::WorkerId,
    text,
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
    /// Steps of the plan failed.
    #[error("{}", .0.first)]
    Steps(#[source] Box<Failures>),
    /// The whole took longer than `--wait-timeout` allows.
    #[error("not everything was ready within {}", crate::text::duration(*.after))]
    TimedOut {
        /// The limit.
        after: Duration,
        /// The services and images that were still waited for; empty when the last of
        /// them came at that very moment.
        waiting_for: Vec<String>,
    },
    /// Workers cannot have addresses of their own here.
    #[error("workers cannot have addresses of their own on the engine at `{endpoint}`")]
    NoOwnAddress {
        /// Where the engine is.
        endpoint: String,
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
    /// What was to be done.
    pub action: Action,
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
    /// An archive does not have the image that it was named for.
    #[error(
        "`{archive}` has no image `{image}`; it has {}",
        if .found.is_empty() { "none with a name".to_owned() } else { text::list(.found) }
    )]
    NotInArchive {
        /// The image.
        image: String,
        /// The archive.
        archive: String,
        /// The images that were loaded from it.
        found: Vec<String>,
    },
    /// A hook of a service failed.
    #[error("its `{hook}` hook failed: {why}")]
    Hook {
        /// `post_start` or `pre_stop`.
        hook: &'static str,
        /// What came of the command.
        why: String,
    },
    /// It was given up, because of another failure or a signal.
    #[error("given up")]
    Cancelled,
    /// No subnet is left to try.
    #[error(transparent)]
    Subnets(#[from] crate::plan::PoolExhausted),
}

impl Failures {
    /// The workers in which something failed.
    pub fn workers(&self) -> impl Iterator<Item = WorkerId> {
        let all = std::iter::once(&self.first).chain(&self.others);
        all.filter_map(|failure| failure.action.worker())
    }
}

impl StepFailure {
    fn headline(&self) -> String {
        let why = &self.why;
        match (self.action.replica(), self.action.image()) {
            (Some(replica), _) => {
                let (worker, service) = (replica.worker, &replica.service);
                match why {
                    StepError::NotReady(why) => {
                        format!("worker {worker}: service `{service}` {why}")
                    }
                    _ => format!("worker {worker}: service `{service}` could not be started"),
                }
            }
            (None, Some((image, services))) => {
                let services = text::list(services);
                let verb = match &self.action {
                    Action::BuildImage { .. } => "built",
                    Action::LoadImage { .. } => "loaded",
                    _ => "pulled",
                };
                format!("image `{image}` of {services} could not be {verb}")
            }
            (None, None) => format!("{}: {why}", self.action),
        }
    }
}
