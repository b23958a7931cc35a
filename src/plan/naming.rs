//! The names that things of a session have on the engine.

use std::path::Path;

use crate::spec::{SessionName, WorkerId, desired::Labels, label};

use super::Replica;

/// Names and labels of one session.
#[derive(Debug, Clone, Copy)]
pub struct Naming<'a> {
    /// The session.
    pub session: &'a SessionName,
    /// The project that it was made from.
    pub project: &'a SessionName,
    /// The project's directory.
    pub directory: &'a Path,
}

impl Naming<'_> {
    /// `<session>-w<worker>`, which is also the Compose project that Docker's own
    /// tools see.
    pub fn worker(&self, worker: WorkerId) -> String {
        format!("{}-{worker}", self.session)
    }

    /// `<session>-w<worker>-<service>`, and `-<number>` from the second replica on.
    pub fn container(&self, replica: &Replica) -> String {
        let name = format!("{}-{}", self.worker(replica.worker), replica.service);
        if replica.number == 1 {
            name
        } else {
            format!("{name}-{}", replica.number)
        }
    }

    /// `<session>-w<worker>-<key>`, for networks and volumes.
    pub fn resource(&self, worker: WorkerId, key: &str) -> String {
        format!("{}-{key}", self.worker(worker))
    }

    /// The labels that everything of a worker carries.
    pub fn labels(&self, worker: WorkerId) -> Labels {
        Labels::from([
            (label::SESSION.to_owned(), self.session.to_string()),
            (label::PROJECT.to_owned(), self.project.to_string()),
            (
                label::DIRECTORY.to_owned(),
                self.directory.display().to_string(),
            ),
            (label::WORKER.to_owned(), worker.0.to_string()),
            (label::COMPOSE_PROJECT.to_owned(), self.worker(worker)),
        ])
    }
}
