//! What happened, as data: the one source of everything that is shown or recorded.
//!
//! The format is versioned by [`SCHEMA`]: fields and kinds are added within a
//! version, never changed.

mod sink;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::spec::{PublishedPort, ServiceName, SessionName, WorkerId};

pub use sink::{EventSink, Report, reports};

/// Version of the event format, in the first event of every stream.
pub const SCHEMA: u32 = 1;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, by the clock of this host.
    pub at: Timestamp,
    /// Milliseconds since the first event.
    pub elapsed_ms: f64,
    /// The worker, for what is not shared by all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub worker: Option<WorkerId>,
    /// The service, for what is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub service: Option<ServiceName>,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// Work on a session begins. Always the first event.
    SessionStarted {
        /// Version of the format.
        schema: u32,
        /// The session.
        session: SessionName,
        /// How many workers are wanted.
        workers: u32,
        /// The services of each worker, in start order, and what each depends on.
        services: Vec<ServiceSummary>,
    },
    /// It is decided what to do.
    Planned {
        /// Steps of the plan.
        steps: usize,
        /// Containers that stay as they are.
        kept: usize,
    },
    /// Something the user should know.
    Warning {
        /// In words.
        message: String,
    },
    /// Progress of a pull or a build.
    ImageProgress {
        /// The image.
        image: String,
        /// What is done: `pull image` or `build image`.
        action: String,
        /// The engine's words.
        status: String,
        /// Bytes done, over all layers; 0 where nobody counts.
        done: u64,
        /// Bytes known to be needed, over all layers; 0 where nobody counts.
        total: u64,
    },
    /// An image is there.
    ImageReady {
        /// The image.
        image: String,
        /// What was done: `pull image`, `build image` or `load image`.
        action: String,
        /// How long it took.
        took_ms: f64,
    },
    /// A step of the plan begins.
    StepStarted {
        /// Number in the plan.
        step: usize,
        /// What is done: `create container`.
        action: String,
        /// To what, by name.
        target: String,
    },
    /// A step of the plan has ended.
    StepFinished {
        /// Number in the plan.
        step: usize,
        /// What was done: `create container`.
        action: String,
        /// To what, by name.
        target: String,
        /// How long it took.
        took_ms: f64,
        /// Why it failed, if it did.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        error: Option<String>,
    },
    /// A container runs.
    ContainerStarted {
        /// Name on the engine.
        container: String,
        /// Where its ports are found on the host.
        ports: Vec<PublishedPort>,
        /// How long the engine took.
        took_ms: f64,
    },
    /// A service is not ready yet; sent when the reason changes.
    NotReady {
        /// What was tried.
        probe: String,
        /// What came of it.
        status: String,
    },
    /// A service is what others rely on.
    Ready {
        /// How that was seen.
        probe: String,
        /// Since its container was started; zero for one that ran before.
        after_ms: f64,
    },
    /// A one-shot service has done its work.
    Completed {
        /// Since its container was started.
        after_ms: f64,
    },
    /// A service will not become ready.
    Failed {
        /// Why, in one line.
        reason: String,
    },
    /// A service is not started, because of another one.
    Skipped {
        /// Whose failure it is.
        because: String,
    },
    /// A container that was ready has ended without being asked to.
    Exited {
        /// Its exit code.
        exit_code: i64,
        /// The kernel killed it for want of memory.
        oom_killed: bool,
    },
    /// A container has been asked to stop.
    Stopping {
        /// Name on the engine.
        container: String,
    },
    /// A container is stopped.
    Stopped {
        /// Name on the engine.
        container: String,
        /// How long it took.
        took_ms: f64,
    },
    /// A container is gone.
    Removed {
        /// Name on the engine.
        container: String,
    },
    /// Every service of every worker is ready.
    SessionReady {
        /// Since the first event.
        took_ms: f64,
    },
    /// A command of `run` begins.
    CommandStarted {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// A command of `run` has ended.
    CommandFinished {
        /// Its exit code; 128 + n after signal n.
        exit_code: i32,
    },
    /// Everything is being taken down.
    TeardownStarted {
        /// Why.
        reason: String,
    },
    /// Everything has been taken down. The last event.
    TeardownFinished {
        /// How long it took.
        took_ms: f64,
        /// Names of what could not be removed.
        left: Vec<String>,
    },
}

/// A service, as the first event names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSummary {
    /// The service.
    pub name: ServiceName,
    /// What it waits for.
    pub depends_on: Vec<ServiceName>,
}

/// Milliseconds, as events count time.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
