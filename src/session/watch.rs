//! Wakes those who wait for a container when something happens to it.
//!
//! The engine's events are hints only: whoever is woken inspects. So an event that
//! came twice, late, or was lost with a connection does no harm, as long as a new
//! connection wakes everybody.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use jiff::Timestamp;
use tokio::{sync::watch, task::AbortHandle};

use crate::{
    engine::{Engine, EngineEvent},
    spec::SessionName,
};

/// Pause before events are asked for again after the connection failed.
const RECONNECT: Duration = Duration::from_millis(200);

/// Changes of one container. Each value seen is newer than the one before.
pub type Changes = watch::Receiver<u64>;

/// Listens to an engine's events for one session.
#[derive(Debug)]
pub struct Watcher {
    containers: Arc<Containers>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Containers {
    each: Mutex<HashMap<String, watch::Sender<u64>>>,
    any: watch::Sender<u64>,
}

impl Watcher {
    /// Listens from `since` on, by the engine's clock.
    pub fn start(engine: Arc<dyn Engine>, session: SessionName, since: Timestamp) -> Self {
        let containers = Arc::<Containers>::default();
        let task = tokio::spawn(listen(engine, session, since, Arc::clone(&containers)));
        Self {
            containers,
            task: task.abort_handle(),
        }
    }

    /// Changes of a container, by its id, from now on.
    pub fn subscribe(&self, container: &str) -> Changes {
        self.containers
            .lock()
            .entry(container.to_owned())
            .or_default()
            .subscribe()
    }

    /// Changes of any container of the session, from now on.
    pub fn any(&self) -> Changes {
        self.containers.any.subscribe()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Containers {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<u64>>> {
        self.each.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, container: &str) {
        if let Some(changes) = self.lock().get(container) {
            changes.send_modify(|version| *version += 1);
        }
        self.any.send_modify(|version| *version += 1);
    }

    fn wake_all(&self) {
        for changes in self.lock().values().chain([&self.any]) {
            changes.send_modify(|version| *version += 1);
        }
    }
}

async fn listen(
    engine: Arc<dyn Engine>,
    session: SessionName,
    mut since: Timestamp,
    containers: Arc<Containers>,
) {
    loop {
        let mut events = engine.events(&session, since);
        while let Some(event) = events.next().await {
            match event {
                Ok(EngineEvent { container, at, .. }) => {
                    since = since.max(at);
                    containers.wake(&container);
                }
                Err(error) => {
                    tracing::debug!(error = crate::error::chain(&error), "event stream failed");
                    break;
                }
            }
        }
        tokio::time::sleep(RECONNECT).await;
        containers.wake_all();
    }
}
