//! Turns one action into engine calls.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    engine::{Engine, EngineError, Refusal},
    event::{EventKind, EventSink, millis},
    logs::Target,
    plan::{Action, Plan, Replica, SubnetAllocator, Wait},
    probe::{self, NotReady, Reached, Subject},
    spec::{ContainerSpec, ContainerState, NetworkSpec},
    text,
};

use super::{Session, failure::StepError, hooks, images, shutdown::Urgency, watch::Changes};

/// How many creations of containers, networks and volumes are under way at a time.
/// Engines get slower, not faster, when they are flooded (moby#42096).
const CREATIONS: usize = 8;

/// How many starts of containers are under way at a time.
const STARTS: usize = 8;

/// How many stops and removals are under way at a time.
const REMOVALS: usize = 16;

/// How many images are pulled, built or loaded at a time.
const IMAGES: usize = 3;

/// How often another subnet is tried when the engine refuses one. A removed network's
/// range stays taken for a moment longer than its name.
const SUBNET_ATTEMPTS: usize = 64;

/// How long the output of a container that has died is waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a network may still have endpoints after its containers were removed.
const NETWORK_RELEASE: Duration = Duration::from_secs(5);

pub(super) struct Performer<'a> {
    session: &'a Session,
    images: Semaphore,
    create: Semaphore,
    start: Semaphore,
    remove: Semaphore,
    subnets: Mutex<SubnetAllocator>,
    /// The containers that were created or started, by name.
    containers: Mutex<HashMap<String, Known>>,
}

/// What is known about a container between its creation and the wait for it.
#[derive(Clone)]
struct Known {
    id: String,
    changes: Changes,
    started: Option<(Instant, ContainerState)>,
}

impl<'a> Performer<'a> {
    pub(super) fn new(session: &'a Session, plan: &Plan) -> Self {
        Self {
            session,
            images: Semaphore::new(IMAGES),
            create: Semaphore::new(CREATIONS),
            start: Semaphore::new(STARTS),
            remove: Semaphore::new(REMOVALS),
            subnets: Mutex::new(plan.subnets.clone()),
            containers: Mutex::default(),
        }
    }

    pub(super) fn engine(&self) -> &dyn Engine {
        &*self.session.engine
    }

    pub(super) fn log(&self, replica: &Replica) -> Arc<Target> {
        self.session.logs.target(replica)
    }

    pub(super) fn sink(&self) -> &EventSink {
        &self.session.sink
    }

    pub(super) async fn perform(
        &self,
        action: &Action,
        cancel: &CancellationToken,
    ) -> Result<(), StepError> {
        let engine = &*self.session.engine;
        match action {
            Action::PullImage { .. } | Action::BuildImage { .. } | Action::LoadImage { .. } => {
                let _turn = self.images.acquire().await;
                tokio::select! {
                    result = images::obtain(self, action) => result?,
                    () = cancel.cancelled() => return Err(StepError::Cancelled),
                }
            }
            Action::CreateNetwork { spec, .. } => {
                let _turn = self.create.acquire().await;
                self.create_network(spec).await?;
            }
            Action::CreateVolume { spec, .. } => {
                let _turn = self.create.acquire().await;
                engine.create_volume(spec).await?;
            }
            Action::CreateContainer { replica, spec } => self.create(replica, spec).await?,
            Action::StartContainer {
                replica,
                container,
                post_start,
            } => {
                self.start(replica, container).await?;
                tokio::select! {
                    result = hooks::run(self, replica, container, "post_start", post_start) => result?,
                    () = cancel.cancelled() => return Err(StepError::Cancelled),
                }
            }
            Action::AwaitContainer {
                replica,
                container,
                wait,
            } => {
                self.wait(replica, container, wait, cancel).await?;
            }
            Action::StopContainer {
                replica,
                container,
                pre_stop,
            } => {
                // Whatever a hook says, the container is stopped.
                let hooks = tokio::select! {
                    result = hooks::run(self, replica, container, "pre_stop", pre_stop) => result,
                    () = self.session.shutdown.reached(Urgency::Immediate) => Ok(()),
                };
                self.stop(replica, container).await?;
                hooks?;
            }
            Action::RemoveContainer { replica, container } => {
                self.remove(replica, container).await?;
            }
            Action::RemoveNetwork { name, .. } => {
                let _turn = self.remove.acquire().await;
                self.remove_network(name).await?;
            }
            Action::RemoveVolume { name, .. } => {
                let _turn = self.remove.acquire().await;
                engine.remove_volume(name).await?;
            }
        }
        Ok(())
    }

    /// Creates a network, in another subnet where the planned one turns out to be
    /// taken: by another process since, or by a network whose removal lags behind.
    async fn create_network(&self, planned: &NetworkSpec) -> Result<(), StepError> {
        let mut spec = planned.clone();
        for attempt in 1.. {
            match self.session.engine.create_network(&spec).await {
                Err(error)
                    if error.refusal() == Some(Refusal::SubnetTaken)
                        && attempt < SUBNET_ATTEMPTS =>
                {
                    let room = (1_usize << (32 - spec.subnet.prefix_len())) - 3;
                    spec.subnet = lock(&self.subnets).allocate(room)?;
                }
                result => return Ok(result?),
            }
        }
        unreachable!("the last attempt returns");
    }

    async fn create(&self, replica: &Replica, spec: &ContainerSpec) -> Result<(), EngineError> {
        let _turn = self.create.acquire().await;
        let id = self.session.engine.create_container(spec).await?;
        if !spec.text_files.is_empty() {
            self.engine().write_files(&id, &spec.text_files).await?;
        }
        let changes = self.session.watcher.subscribe(&id);
        let known = Known {
            id,
            changes,
            started: None,
        };
        lock(&self.containers).insert(spec.name.clone(), known);
        self.session
            .logs
            .target(replica)
            .meta(&format!("created container {}", spec.name));
        Ok(())
    }

    /// Opens the output before the start, so that not a byte is missed.
    async fn start(&self, replica: &Replica, container: &str) -> Result<(), EngineError> {
        let _turn = self.start.acquire().await;
        let engine = &*self.session.engine;
        let mut known = self.known(container).await?;
        let log = self.log(replica);
        self.session
            .logs
            .follow(replica, engine.attach(&known.id).await?);
        known.changes.mark_unchanged();
        let begin = Instant::now();
        engine.start_container(&known.id).await?;
        let took = begin.elapsed();
        let state = engine.inspect(&known.id).await?;
        log.meta(&format!("started in {}", text::duration(took)));
        let kind = EventKind::ContainerStarted {
            container: container.to_owned(),
            ports: state.ports.clone(),
            took_ms: millis(took),
        };
        self.sink().service(replica.worker, &replica.service, kind);
        known.started = Some((begin + took, state));
        lock(&self.containers).insert(container.to_owned(), known);
        Ok(())
    }

    /// What is known about a container; asks the engine for one that was there before.
    async fn known(&self, container: &str) -> Result<Known, EngineError> {
        if let Some(known) = lock(&self.containers).get(container) {
            return Ok(known.clone());
        }
        let id = self.session.engine.inspect(container).await?.id;
        let changes = self.session.watcher.subscribe(&id);
        Ok(Known {
            id,
            changes,
            started: None,
        })
    }

    async fn wait(
        &self,
        replica: &Replica,
        container: &str,
        wait: &Wait,
        cancel: &CancellationToken,
    ) -> Result<(), StepError> {
        let Known {
            id,
            changes,
            started,
        } = self.known(container).await?;
        let engine = &*self.session.engine;
        let ran_before = started.is_none();
        let (started, state) = match started {
            Some(started) => started,
            None => (Instant::now(), engine.inspect(&id).await?),
        };
        let log = self.log(replica);
        let sink = self.sink();
        let probe = wait.readiness.to_string();
        let on_status = |status: &str| {
            let kind = EventKind::NotReady {
                probe: probe.clone(),
                status: status.to_owned(),
            };
            sink.service(replica.worker, &replica.service, kind);
        };
        let subject = Subject {
            engine,
            container: &id,
            state,
            changes,
            log: &log,
            started,
            ran_before,
            cancel,
            on_status: &on_status,
        };
        let result = probe::wait_for(subject, wait).await;
        let after = if ran_before {
            Duration::ZERO
        } else {
            started.elapsed()
        };
        match &result {
            Ok(Reached::Ready) => {
                log.meta(&format!("ready after {} ({probe})", text::duration(after)));
                let kind = EventKind::Ready {
                    probe: probe.clone(),
                    after_ms: millis(after),
                };
                sink.service(replica.worker, &replica.service, kind);
            }
            Ok(Reached::Completed) => {
                log.meta(&format!("completed after {}", text::duration(after)));
                let kind = EventKind::Completed {
                    after_ms: millis(after),
                };
                sink.service(replica.worker, &replica.service, kind);
            }
            Err(why) => {
                log.meta(&crate::error::chain(why));
                // The last words of a container that died explain best, and they may
                // arrive after the news of its death.
                if matches!(why, NotReady::Exited { .. }) {
                    let _ = timeout(LAST_WORDS, log.finished()).await;
                }
            }
        }
        result?;
        Ok(())
    }

    async fn stop(&self, replica: &Replica, container: &str) -> Result<(), EngineError> {
        let _turn = self.remove.acquire().await;
        let engine = &*self.session.engine;
        let sink = self.sink();
        let name = container.to_owned();
        sink.service(
            replica.worker,
            &replica.service,
            EventKind::Stopping { container: name },
        );
        let begin = Instant::now();
        let result = tokio::select! {
            result = engine.stop_container(container, None) => result,
            () = self.session.shutdown.reached(Urgency::Immediate) => {
                engine.kill_container(container, "SIGKILL").await
            }
        };
        if !matches!(&result, Err(error) if error.is_not_found()) {
            result?;
        }
        let took_ms = millis(begin.elapsed());
        let kind = EventKind::Stopped {
            container: container.to_owned(),
            took_ms,
        };
        sink.service(replica.worker, &replica.service, kind);
        Ok(())
    }

    async fn remove(&self, replica: &Replica, container: &str) -> Result<(), EngineError> {
        let _turn = self.remove.acquire().await;
        self.session.engine.remove_container(container).await?;
        let kind = EventKind::Removed {
            container: container.to_owned(),
        };
        self.sink().service(replica.worker, &replica.service, kind);
        Ok(())
    }

    /// A container that has just been removed may hold its network for a moment.
    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let begin = Instant::now();
        loop {
            match self.session.engine.remove_network(name).await {
                Err(error)
                    if matches!(error.refusal(), Some(Refusal::Conflict | Refusal::Other))
                        && begin.elapsed() < NETWORK_RELEASE =>
                {
                    sleep(Duration::from_millis(50)).await;
                }
                result => return result,
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
