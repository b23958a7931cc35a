//! A session: all workers of one `up` or `run`, from nothing to ready and back.
//!
//! ```text
//! observe ─▶ plan ─▶ execute ─▶ ready        down: observe ─▶ plan ─▶ execute
//!    ▲________|  (images first)
//! ```
//!
//! Everything that has an effect happens here, in an order that the plan decided.
//! The engine is the source of truth: a session is found by its labels, and the
//! files under `.stackrun/` are never needed to take it down.

pub mod address;
mod execute;
mod failure;
mod perform;
mod shutdown;
mod watch;
mod world;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use crate::{
    engine::{Engine, EngineError},
    event::{EventKind, EventSink, SCHEMA, ServiceSummary, millis},
    logs::{Collector, LogPaths},
    plan::{self, Plan, Request, Volumes, World},
    spec::{
        Observed, ObservedContainer, Project, PullPolicy, ServiceName, SessionName, WorkerId,
        observed::Labelled,
    },
};

pub use address::Stack;
pub use failure::{Failures, StepError, StepFailure, UpError};
pub use perform::Limits;
pub use shutdown::{Shutdown, ShutdownTrigger, Urgency, shutdown};

use execute::{Policy, TEARDOWN_PATIENCE, execute};
use watch::Watcher;

/// How long the last output of removed containers is waited for.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// All workers of one `up` or `run`.
pub struct Session {
    engine: Arc<dyn Engine>,
    name: SessionName,
    directory: PathBuf,
    sink: EventSink,
    logs: Collector,
    watcher: Watcher,
    shutdown: Shutdown,
    limits: Limits,
}

/// What `up` is asked for.
#[derive(Debug, Clone)]
pub struct UpOptions {
    /// How many workers.
    pub workers: u32,
    /// How long the whole may take.
    pub wait_timeout: Option<Duration>,
    /// Let other workers go on when one fails.
    pub keep_going: bool,
    /// Leave what failed as it is, for a look.
    pub keep_failed: bool,
    /// Remove containers of services that the project does not have.
    pub remove_orphans: bool,
    /// Every service of the project file, wanted or not.
    pub known_services: Vec<ServiceName>,
}

/// What could not be removed, and why.
#[derive(Debug, Default)]
pub struct Teardown {
    /// Names of what is left.
    pub left: Vec<String>,
    /// Steps that failed.
    pub failures: Vec<StepFailure>,
}

/// Where a session keeps its files: `.stackrun/<session>` in the project's directory.
pub fn state_directory(project: &Path, session: &SessionName) -> PathBuf {
    project.join(".stackrun").join(session.as_str())
}

impl Session {
    /// Prepares to work on a session, whether it exists or not.
    pub async fn open(
        engine: Arc<dyn Engine>,
        name: SessionName,
        project_directory: &Path,
        sink: EventSink,
        shutdown: Shutdown,
    ) -> Result<Self, EngineError> {
        let directory = state_directory(project_directory, &name);
        let since = engine.now().await?;
        Ok(Self {
            watcher: Watcher::start(Arc::clone(&engine), name.clone(), since),
            logs: Collector::new(LogPaths::new(directory.join("logs")), sink.clone()),
            engine,
            name,
            directory,
            sink,
            shutdown,
            limits: Limits::default(),
        })
    }

    /// The session's name.
    pub fn name(&self) -> &SessionName {
        &self.name
    }

    /// The logs that are being collected.
    pub fn logs(&self) -> &Collector {
        &self.logs
    }

    /// Where the state file is.
    pub fn state_file(&self) -> PathBuf {
        self.directory.join("state.json")
    }

    /// What would be done by [`Session::up`].
    pub async fn plan(
        engine: &dyn Engine,
        project: &Project,
        session: &SessionName,
        options: &UpOptions,
    ) -> Result<Plan, UpError> {
        let world = world::observe(engine, project, session).await?;
        Ok(plan::up(&request(project, session, options), &world)?)
    }

    /// Brings the session to what is wanted, and waits until all of it is ready.
    ///
    /// When that fails, whatever this call created is removed again, and what was
    /// there before stays.
    pub async fn up(&self, project: &Project, options: &UpOptions) -> Result<Stack, UpError> {
        let begin = Instant::now();
        self.announce(project, options);
        self.prepare_directory()?;
        let before = self.engine.observe(Some(&self.name)).await?;
        let result = self.bring_up(project, options, begin).await;
        match result {
            Ok(stack) => {
                let took_ms = millis(self.sink.elapsed());
                self.sink.session(EventKind::SessionReady { took_ms });
                Ok(stack)
            }
            Err(error) => {
                let interrupted = matches!(error, UpError::Interrupted);
                if !options.keep_failed || interrupted {
                    let doomed = doomed_workers(&error, options);
                    self.remove_new(&before, doomed.as_ref(), "up failed").await;
                }
                if options.keep_going && !interrupted {
                    self.write_state(&self.stack(Some(project)).await?)?;
                }
                Err(error)
            }
        }
    }

    fn announce(&self, project: &Project, options: &UpOptions) {
        let order = plan::start_order(&project.services).unwrap_or_default();
        let services = order.into_iter().map(|service| ServiceSummary {
            name: service.name.clone(),
            depends_on: service.depends_on.keys().cloned().collect(),
        });
        self.sink.session(EventKind::SessionStarted {
            schema: SCHEMA,
            session: self.name.clone(),
            workers: options.workers,
            services: services.collect(),
        });
    }

    async fn bring_up(
        &self,
        project: &Project,
        options: &UpOptions,
        begin: Instant,
    ) -> Result<Stack, UpError> {
        let deadline = options.wait_timeout.map(|limit| begin + limit);
        let policy = Policy {
            keep_going: options.keep_going,
            deadline,
            is_teardown: false,
        };
        let mut world = self.with_images(project, policy).await?;
        world.observed = self.engine.observe(Some(&self.name)).await?;
        let plan = plan::up(&request(project, &self.name, options), &world)?;
        for warning in &plan.warnings {
            self.sink.session(EventKind::Warning {
                message: warning.clone(),
            });
        }
        self.sink.session(EventKind::Planned {
            steps: plan.nodes.len(),
            kept: plan.kept.len(),
        });
        let outcome = execute(self, &plan, policy).await;
        if outcome.interrupted {
            return Err(UpError::Interrupted);
        }
        if let (Some(waiting_for), Some(after)) = (outcome.overdue, options.wait_timeout) {
            return Err(UpError::TimedOut { after, waiting_for });
        }
        let mut failures = outcome.failures.into_iter();
        if let Some(first) = failures.next() {
            let failures = Failures {
                first,
                others: failures.collect(),
                skipped: outcome.skipped,
            };
            return Err(UpError::Steps(Box::new(failures)));
        }
        let stack = self.stack(Some(project)).await?;
        self.write_state(&stack)?;
        Ok(stack)
    }

    /// Looks at what is there, after pulling the images that are missing: what an
    /// image declares is part of the plan.
    async fn with_images(&self, project: &Project, policy: Policy) -> Result<World, UpError> {
        let world = world::observe(&*self.engine, project, &self.name).await?;
        let missing = missing_images(project, &world);
        if missing.is_empty() {
            return Ok(world);
        }
        let users = |image: &str| {
            let services = project
                .services
                .values()
                .filter(|service| service.image == image);
            services.collect::<Vec<_>>()
        };
        let image_error = |image: &str, source| UpError::Image {
            image: image.to_owned(),
            services: crate::text::list(users(image).iter().map(|service| &service.name)),
            buildable: users(image).iter().any(|service| service.build.is_some()),
            source,
        };
        for image in &missing {
            if users(image)
                .iter()
                .any(|s| s.pull_policy == Some(PullPolicy::Never))
            {
                return Err(image_error(image, None));
            }
        }
        let pulls = plan::pulls(project, &missing);
        let mut outcome = execute(self, &pulls, policy).await;
        if outcome.interrupted {
            return Err(UpError::Interrupted);
        }
        if !outcome.failures.is_empty() {
            let failure = outcome.failures.remove(0);
            let image = missing
                .iter()
                .find(|image| failure.step.ends_with(image.as_str()));
            let image = image.map_or(failure.step.as_str(), String::as_str);
            return Err(match failure.why {
                StepError::Engine(source) => image_error(image, Some(source)),
                _ => image_error(image, None),
            });
        }
        Ok(world::observe(&*self.engine, project, &self.name).await?)
    }

    /// Where the services are found now.
    pub async fn stack(&self, project: Option<&Project>) -> Result<Stack, EngineError> {
        let observed = self.engine.observe(Some(&self.name)).await?;
        let logs = LogPaths::new(self.directory.join("logs"));
        Ok(address::stack(&self.name, project, &observed, &logs))
    }

    /// Makes the session's directory, in a `.stackrun/` that ignores itself: nothing in it
    /// belongs into a repository.
    fn prepare_directory(&self) -> Result<(), UpError> {
        let make = || -> io::Result<()> {
            fs::create_dir_all(&self.directory)?;
            let Some(parent) = self.directory.parent() else {
                return Ok(());
            };
            let ignore = parent.join(".gitignore");
            if ignore.exists() {
                Ok(())
            } else {
                fs::write(ignore, "*\n")
            }
        };
        make().map_err(|source| UpError::State {
            path: self.directory.clone(),
            source,
        })
    }

    fn write_state(&self, stack: &Stack) -> Result<(), UpError> {
        let path = self.state_file();
        write_private(&path, stack).map_err(|source| UpError::State { path, source })
    }

    /// Takes the session down: dependents before what they depend on, workers side by
    /// side. Goes on after failures, and says what is left.
    pub async fn down(&self, volumes: Volumes, reason: &str) -> Teardown {
        match self.engine.observe(Some(&self.name)).await {
            Ok(observed) => self.take_down(observed, volumes, reason).await,
            Err(error) => self.unreachable(error),
        }
    }

    /// Takes the session down, and removes those of its volumes that were not there
    /// before.
    pub async fn down_to(&self, before: &Observed, reason: &str) -> Teardown {
        match self.engine.observe(Some(&self.name)).await {
            Ok(mut observed) => {
                let kept: BTreeSet<_> = before.volumes.iter().map(|v| v.name.clone()).collect();
                observed
                    .volumes
                    .retain(|volume| !kept.contains(&volume.name));
                self.take_down(observed, Volumes::Remove, reason).await
            }
            Err(error) => self.unreachable(error),
        }
    }

    /// What is there now.
    pub async fn observe(&self) -> Result<Observed, EngineError> {
        self.engine.observe(Some(&self.name)).await
    }

    /// Removes what is there now and was not there before, of all workers or of some.
    async fn remove_new(
        &self,
        before: &Observed,
        workers: Option<&BTreeSet<WorkerId>>,
        reason: &str,
    ) -> Teardown {
        let mut now = match self.engine.observe(Some(&self.name)).await {
            Ok(now) => now,
            Err(error) => return self.unreachable(error),
        };
        let containers: BTreeSet<_> = before.containers.iter().map(|c| c.id.as_str()).collect();
        let networks: BTreeSet<_> = before.networks.iter().map(|n| n.name.as_str()).collect();
        let volumes: BTreeSet<_> = before.volumes.iter().map(|v| v.name.as_str()).collect();
        let doomed = |worker: Option<WorkerId>| {
            workers.is_none_or(|workers| worker.is_some_and(|worker| workers.contains(&worker)))
        };
        now.containers
            .retain(|c| doomed(c.worker()) && !containers.contains(c.id.as_str()));
        now.networks
            .retain(|n| doomed(n.worker()) && !networks.contains(n.name.as_str()));
        now.volumes
            .retain(|v| doomed(v.worker()) && !volumes.contains(v.name.as_str()));
        self.take_down(now, Volumes::Remove, reason).await
    }

    async fn take_down(&self, observed: Observed, volumes: Volumes, reason: &str) -> Teardown {
        let begin = Instant::now();
        self.sink.session(EventKind::TeardownStarted {
            reason: reason.to_owned(),
        });
        let plan = plan::down(&observed, volumes, reason);
        let deadline = Some(begin + TEARDOWN_PATIENCE);
        let policy = Policy {
            keep_going: true,
            deadline,
            is_teardown: true,
        };
        let outcome = execute(self, &plan, policy).await;
        let _ = timeout(LOG_PATIENCE, self.logs.finish()).await;
        let left = self.left_of(&observed, volumes).await;
        let took_ms = millis(begin.elapsed());
        self.sink.session(EventKind::TeardownFinished {
            took_ms,
            left: left.clone(),
        });
        let _ = fs::remove_file(self.state_file());
        Teardown {
            left,
            failures: outcome.failures,
        }
    }

    /// Of what was to be removed, what is still there.
    async fn left_of(&self, removed: &Observed, volumes: Volumes) -> Vec<String> {
        let Ok(now) = self.engine.observe(Some(&self.name)).await else {
            return Vec::new();
        };
        let containers = now
            .containers
            .iter()
            .filter(|c| removed.containers.iter().any(|r| r.id == c.id));
        let networks = now.networks.iter().filter(|n| removed.networks.contains(n));
        let volumes = now
            .volumes
            .iter()
            .filter(|v| volumes == Volumes::Remove && removed.volumes.contains(v));
        containers
            .map(|c| format!("container {}", c.name))
            .chain(networks.map(|n| format!("network {}", n.name)))
            .chain(volumes.map(|v| format!("volume {}", v.name)))
            .collect()
    }

    fn unreachable(&self, error: EngineError) -> Teardown {
        let left = vec![format!("everything of session {}", self.name)];
        let failure = StepFailure {
            step: "look at what is there".to_owned(),
            replica: None,
            why: StepError::Engine(error),
            last_lines: Vec::new(),
            dependents: Vec::new(),
        };
        self.sink.session(EventKind::TeardownFinished {
            took_ms: 0.0,
            left: left.clone(),
        });
        Teardown {
            left,
            failures: vec![failure],
        }
    }

    /// Waits until no container of the session runs any more. Reports every container
    /// that ends on the way.
    pub async fn ended(&self) -> Result<(), EngineError> {
        let mut changes = self.watcher.any();
        let mut running = BTreeSet::new();
        loop {
            changes.mark_unchanged();
            let observed = self.engine.observe(Some(&self.name)).await?;
            let (up, over): (Vec<_>, Vec<_>) = observed
                .containers
                .iter()
                .partition(|container| container.status.is_up());
            for container in over.into_iter().filter(|c| running.contains(&c.id)) {
                self.report_exit(container).await?;
            }
            if up.is_empty() {
                return Ok(());
            }
            running = up
                .into_iter()
                .map(|container| container.id.clone())
                .collect();
            let _ = changes.changed().await;
        }
    }

    async fn report_exit(&self, container: &ObservedContainer) -> Result<(), EngineError> {
        let state = self.engine.inspect(&container.id).await?;
        let replica = plan::replica_of(container);
        let (exit_code, oom_killed) = (state.exit_code, state.oom_killed);
        let what = crate::probe::describe_exit(exit_code, oom_killed);
        self.logs.target(&replica).meta(&what);
        let kind = EventKind::Exited {
            exit_code,
            oom_killed,
        };
        self.sink.service(replica.worker, &replica.service, kind);
        Ok(())
    }

    /// Follows the output of containers that ran before this process did.
    pub async fn follow_existing(&self) -> Result<(), EngineError> {
        let now = Timestamp::now();
        for container in self.engine.observe(Some(&self.name)).await?.containers {
            let replica = plan::replica_of(&container);
            if container.status.is_up() && !self.logs.follows(&replica) {
                let options = crate::engine::LogOptions {
                    follow: true,
                    since: Some(now),
                    ..Default::default()
                };
                let output = self.engine.logs(&container.id, options).await?;
                self.logs.follow(&replica, output);
            }
        }
        Ok(())
    }
}

/// The workers that a failed `up` takes with it: all, unless the others are to go on.
fn doomed_workers(error: &UpError, options: &UpOptions) -> Option<BTreeSet<WorkerId>> {
    match error {
        UpError::Steps(failures) if options.keep_going => Some(failures.workers().collect()),
        _ => None,
    }
}

fn request<'a>(
    project: &'a Project,
    session: &'a SessionName,
    options: &'a UpOptions,
) -> Request<'a> {
    Request {
        project,
        session,
        workers: options.workers,
        remove_orphans: options.remove_orphans,
        known_services: &options.known_services,
    }
}

fn missing_images(project: &Project, world: &World) -> Vec<String> {
    let images: BTreeSet<_> = project
        .services
        .values()
        .map(|service| &service.image)
        .collect();
    images
        .into_iter()
        .filter(|image| !world.images.contains_key(*image))
        .cloned()
        .collect()
}

/// Writes the state file so that only its owner reads it, and nobody ever sees half
/// of it.
fn write_private(path: &Path, stack: &Stack) -> io::Result<()> {
    let draft = path.with_extension("json.new");
    let mut options = fs::OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    serde_json::to_writer_pretty(options.open(&draft)?, stack)?;
    fs::rename(draft, path)
}
