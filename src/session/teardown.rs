//! Takes things down, and says what is left.

use std::{collections::BTreeSet, fs, time::Duration};

use tokio::time::{Instant, timeout};

use crate::{
    engine::EngineError,
    event::{EventKind, millis},
    plan::{self, Volumes},
    spec::{Observed, WorkerId, observed::Labelled},
};

use super::{
    Session, StepFailure,
    execute::{Policy, execute},
};

/// Time that a teardown may take before what is left is reported instead.
const TEARDOWN_PATIENCE: Duration = Duration::from_secs(120);

/// How long the last output of removed containers is waited for.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// What could not be removed, and why.
#[derive(Debug, Default)]
pub struct Teardown {
    /// Names of what is left, as far as the engine tells.
    pub left: Vec<String>,
    /// Steps that failed.
    pub failures: Vec<StepFailure>,
    /// The engine could not be asked what there is.
    pub unreachable: Option<EngineError>,
}

impl Session {
    /// Takes the session down: dependents before what they depend on, workers side by
    /// side. Goes on after failures, and says what is left.
    pub async fn down(&self, volumes: Volumes, reason: &str) -> Teardown {
        match self.engine.observe(Some(&self.name)).await {
            Ok(observed) => self.take_down(observed, volumes, reason).await,
            Err(error) => self.unreachable(error),
        }
    }

    /// Takes the session down, and removes those of its volumes that
    /// [`Session::up`] did not find there.
    pub async fn undo(&self, reason: &str) -> Teardown {
        let Some(before) = self.before.get() else {
            return self.down(Volumes::Keep, reason).await;
        };
        match self.engine.observe(Some(&self.name)).await {
            Ok(mut observed) => {
                observed.volumes = observed.without(before).volumes;
                self.take_down(observed, Volumes::Remove, reason).await
            }
            Err(error) => self.unreachable(error),
        }
    }

    /// Removes what [`Session::up`] did not find there, of all workers or of some.
    pub(super) async fn remove_new(
        &self,
        workers: Option<&BTreeSet<WorkerId>>,
        reason: &str,
    ) -> Teardown {
        let Some(before) = self.before.get() else {
            return Teardown::default();
        };
        let mut new = match self.engine.observe(Some(&self.name)).await {
            Ok(now) => now.without(before),
            Err(error) => return self.unreachable(error),
        };
        if let Some(workers) = workers {
            let is_doomed = |worker: Option<WorkerId>| worker.is_some_and(|w| workers.contains(&w));
            new.containers.retain(|c| is_doomed(c.worker()));
            new.networks.retain(|n| is_doomed(n.worker()));
            new.volumes.retain(|v| is_doomed(v.worker()));
        }
        self.take_down(new, Volumes::Remove, reason).await
    }

    async fn take_down(&self, mut doomed: Observed, volumes: Volumes, reason: &str) -> Teardown {
        let begin = Instant::now();
        self.sink.session(EventKind::TeardownStarted {
            reason: reason.to_owned(),
        });
        if volumes == Volumes::Keep {
            doomed.volumes.clear();
        }
        let policy = Policy {
            keep_going: true,
            deadline: Some(begin + TEARDOWN_PATIENCE),
            is_teardown: true,
        };
        let outcome = execute(self, &plan::down(&doomed, volumes, reason), policy).await;
        let _ = timeout(LOG_PATIENCE, self.logs.finish()).await;
        let now = self.engine.observe(Some(&self.name)).await;
        let left = match &now {
            Ok(now) => doomed.without(&doomed.without(now)).names(),
            Err(_) => doomed.names(),
        };
        if now.as_ref().is_ok_and(|now| now.containers.is_empty()) {
            let _ = fs::remove_file(self.state_file());
        }
        self.sink.session(EventKind::TeardownFinished {
            took_ms: millis(begin.elapsed()),
            left: left.clone(),
        });
        Teardown {
            left,
            failures: outcome.failures,
            unreachable: now.err(),
        }
    }

    fn unreachable(&self, error: EngineError) -> Teardown {
        let left = vec![format!("everything of session {}", self.name)];
        self.sink.session(EventKind::TeardownFinished {
            took_ms: 0.0,
            left: left.clone(),
        });
        Teardown {
            left,
            failures: Vec::new(),
            unreachable: Some(error),
        }
    }
}
