//! What a session looks like now: events, folded.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::{
    event::{Event, EventKind},
    spec::{ServiceName, WorkerId},
};

/// A session, as of the last event.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) session: String,
    pub(super) workers: BTreeMap<WorkerId, IndexMap<ServiceName, Row>>,
    /// Images that are being pulled, built or loaded.
    pub(super) images: BTreeMap<String, Progress>,
}

/// How far an image is.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    pub(super) action: String,
    pub(super) status: String,
    pub(super) done: u64,
    pub(super) total: u64,
}

/// One service of one worker.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) phase: Phase,
    /// When the phase began, in milliseconds since the first event.
    pub(super) since_ms: f64,
    /// How long it has taken, once that is known, in milliseconds.
    pub(super) took_ms: Option<f64>,
    pub(super) detail: String,
}

/// Where a service is between not being there and being gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Waiting,
    Creating,
    Created,
    Starting,
    Started,
    Ready,
    Completed,
    Failed,
    Skipped,
    Exited,
    Stopping,
    Stopped,
    Removed,
}

impl State {
    pub(super) fn apply(&mut self, event: &Event) {
        match &event.kind {
            EventKind::SessionStarted {
                session,
                workers,
                services,
                ..
            } => {
                self.session = session.to_string();
                for worker in WorkerId::first(*workers) {
                    let rows = self.workers.entry(worker).or_default();
                    for service in services {
                        rows.insert(service.name.clone(), Row::new(event.elapsed_ms));
                    }
                }
            }
            EventKind::ImageProgress {
                image,
                action,
                status,
                done,
                total,
            } => {
                let progress = Progress {
                    action: action.clone(),
                    status: status.clone(),
                    done: *done,
                    total: *total,
                };
                self.images.insert(image.clone(), progress);
            }
            EventKind::ImageReady { image, .. } => {
                self.images.remove(image);
            }
            kind => {
                if let (Some(worker), Some(service)) = (event.worker, &event.service) {
                    let rows = self.workers.entry(worker).or_default();
                    let row = rows
                        .entry(service.clone())
                        .or_insert_with(|| Row::new(event.elapsed_ms));
                    row.apply(kind, event.elapsed_ms);
                }
            }
        }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.workers.values().flat_map(IndexMap::values)
    }
}

impl Row {
    fn new(since_ms: f64) -> Self {
        Self {
            phase: Phase::Waiting,
            since_ms,
            took_ms: None,
            detail: String::new(),
        }
    }

    fn apply(&mut self, kind: &EventKind, now_ms: f64) {
        let (phase, took_ms, detail) = match kind {
            EventKind::StepStarted { action, .. } if action == "create container" => {
                (Phase::Creating, None, String::new())
            }
            EventKind::StepFinished { action, .. } if action == "create container" => {
                (Phase::Created, None, String::new())
            }
            EventKind::StepStarted { action, .. } if action == "start container" => {
                (Phase::Starting, None, String::new())
            }
            EventKind::ContainerStarted { .. } => (Phase::Started, None, String::new()),
            EventKind::NotReady { status, .. } => {
                self.detail.clone_from(status);
                return;
            }
            EventKind::Ready { after_ms, probe } => (Phase::Ready, Some(*after_ms), probe.clone()),
            EventKind::Completed { after_ms } => (Phase::Completed, Some(*after_ms), String::new()),
            EventKind::Failed { reason } => (Phase::Failed, None, reason.clone()),
            EventKind::Skipped { because } => {
                (Phase::Skipped, None, format!("because of {because}"))
            }
            EventKind::Exited {
                exit_code,
                oom_killed,
            } => {
                let how = crate::probe::describe_exit(*exit_code, *oom_killed);
                (Phase::Exited, None, how)
            }
            // What went wrong stays on the screen while it is cleared away.
            _ if self.phase == Phase::Failed => return,
            EventKind::Stopping { .. } => (Phase::Stopping, None, String::new()),
            EventKind::Stopped { took_ms, .. } => (Phase::Stopped, Some(*took_ms), String::new()),
            EventKind::Removed { .. } => (Phase::Removed, None, String::new()),
            _ => return,
        };
        let took_ms = took_ms.or((phase == Phase::Removed).then_some(self.took_ms).flatten());
        *self = Self {
            phase,
            since_ms: now_ms,
            took_ms,
            detail,
        };
    }
}

impl Phase {
    /// Whether nothing more is expected to happen by itself.
    pub(super) fn is_settled(self) -> bool {
        !matches!(
            self,
            Self::Waiting
                | Self::Creating
                | Self::Created
                | Self::Starting
                | Self::Started
                | Self::Stopping
        )
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Started => "started",
            Self::Ready => "ready",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "not started",
            Self::Exited => "exited",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Removed => "gone",
        }
    }
}
