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
mod hold;
mod hooks;
mod images;
mod perform;
mod shutdown;
mod teardown;
mod watch;
mod world;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    engine::{Engine, EngineError},
    event::{EventKind, EventSink, SCHEMA, ServiceSummary, millis},
    logs::{Collector, LogPaths},
    plan::{self, Addresses, ImageOptions, Plan, Request, World},
    spec::{
        Observed, ObservedContainer, Project, PullPolicy, ServiceName, SessionName, WorkerId,
        project::STATE_DIRECTORY,
    },
};

pub use address::Stack;
pub use failure::{Failures, StepError, StepFailure, UpError};
pub use shutdown::{Shutdown, ShutdownTrigger, Urgency, shutdown};
pub use teardown::Teardown;

use execute::{Policy, execute};
use hold::Hold;
use watch::Watcher;

/// All workers of one `up` or `run`.
pub struct Session {
    engine: Arc<dyn Engine>,
    name: SessionName,
    directory: PathBuf,
    sink: EventSink,
    logs: Collector,
    watcher: Watcher,
    shutdown: Shutdown,
    /// What `up` found there.
    before: OnceLock<Observed>,
}

/// What `up` is asked for.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct UpOptions {
    /// How many workers.
    pub workers: u32,
    /// How long the whole may take.
    pub wait_timeout: Option<Duration>,
    /// Give each worker a loopback address of its own, on which it publishes the very
    /// ports that the file names.
    pub own_address: bool,
    /// When to pull images, in place of every service's `pull_policy`.
    pub pull: Option<PullPolicy>,
    /// Whether to build images, even if they are there, or never. Absent: when they are
    /// missing.
    pub build: Option<bool>,
    /// Let other workers go on when one fails.
    pub keep_going: bool,
    /// Leave what failed as it is, for a look.
    pub keep_failed: bool,
    /// Remove containers of services that the project does not have.
    pub remove_orphans: bool,
    /// Every service of the project file, wanted or not.
    pub known_services: Vec<ServiceName>,
}

/// One worker, and nothing out of the ordinary.
impl Default for UpOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            wait_timeout: None,
            own_address: false,
            pull: None,
            build: None,
            keep_going: false,
            keep_failed: false,
            remove_orphans: false,
            known_services: Vec::new(),
        }
    }
}

/// Where a session keeps its files: `.stackrun/<session>` in the project's directory.
pub fn state_directory(project: &Path, session: &SessionName) -> PathBuf {
    project.join(STATE_DIRECTORY).join(session.as_str())
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
            before: OnceLock::new(),
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
        let (addresses, _hold) = addresses(engine, session, options).await?;
        let images = plan::images(&request(project, session, options, &addresses), &world)?;
        let project = images.resolve(project);
        let up = plan::up(&request(&project, session, options, &addresses), &world)?;
        Ok(images.plan.then(up))
    }

    /// Comes by the images that the project's services run from.
    pub async fn images(&self, project: &Project, options: &UpOptions) -> Result<(), UpError> {
        let policy = Policy::up(options);
        self.with_images(project, options, policy).await.map(drop)
    }

    /// Brings the session to what is wanted, and waits until all of it is ready.
    ///
    /// When that fails, whatever this call created is removed again, and what was
    /// there before stays.
    pub async fn up(&self, project: &Project, options: &UpOptions) -> Result<Stack, UpError> {
        let policy = Policy::up(options);
        self.announce(project, options);
        self.prepare_directory()?;
        let (project, world) = self.with_images(project, options, policy).await?;
        // Held until the containers say by their labels whose the addresses are.
        let (addresses, _hold) = addresses(&*self.engine, &self.name, options).await?;
        let plan = plan::up(&request(&project, &self.name, options, &addresses), &world)?;
        let _ = self.before.set(world.observed);
        match self.bring_up(&project, options, &plan, policy).await {
            Ok(stack) => {
                let took_ms = millis(self.sink.elapsed());
                self.sink.session(EventKind::SessionReady { took_ms });
                Ok(stack)
            }
            Err(error) => {
                let interrupted = matches!(error, UpError::Interrupted);
                if !options.keep_failed || interrupted {
                    let doomed = doomed_workers(&error, options);
                    self.remove_new(doomed.as_ref(), "up failed").await;
                }
                if options.keep_going && !interrupted {
                    self.write_state(&self.stack(Some(&project)).await?)?;
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
        plan: &Plan,
        policy: Policy,
    ) -> Result<Stack, UpError> {
        for warning in &plan.warnings {
            self.sink.session(EventKind::Warning {
                message: warning.clone(),
            });
        }
        self.sink.session(EventKind::Planned {
            steps: plan.nodes.len(),
            kept: plan.kept.len(),
        });
        self.carry_out(plan, options, policy).await?;
        let stack = self.stack(Some(project)).await?;
        self.write_state(&stack)?;
        Ok(stack)
    }

    /// Looks at what is there, after coming by the images that are missing: what an
    /// image declares is part of the plan.
    async fn with_images(
        &self,
        project: &Project,
        options: &UpOptions,
        policy: Policy,
    ) -> Result<(Project, World), UpError> {
        let world = world::observe(&*self.engine, project, &self.name).await?;
        let none = Addresses::new();
        let images = plan::images(&request(project, &self.name, options, &none), &world)?;
        let resolved = images.resolve(project);
        if images.plan.nodes.is_empty() {
            return Ok((resolved, world));
        }
        self.carry_out(&images.plan, options, policy).await?;
        let world = world::observe(&*self.engine, project, &self.name).await?;
        Ok((resolved, world))
    }

    async fn carry_out(
        &self,
        plan: &Plan,
        options: &UpOptions,
        policy: Policy,
    ) -> Result<(), UpError> {
        let outcome = execute(self, plan, policy).await;
        if outcome.interrupted {
            return Err(UpError::Interrupted);
        }
        if let (Some(waiting_for), Some(after)) = (outcome.overdue, options.wait_timeout) {
            return Err(UpError::TimedOut { after, waiting_for });
        }
        let mut failures = outcome.failures.into_iter();
        let Some(first) = failures.next() else {
            return Ok(());
        };
        let failures = Failures {
            first,
            others: failures.collect(),
            skipped: outcome.skipped,
        };
        Err(UpError::Steps(Box::new(failures)))
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

/// An address for each worker, if they are to have one.
async fn addresses(
    engine: &dyn Engine,
    session: &SessionName,
    options: &UpOptions,
) -> Result<(Addresses, Hold), UpError> {
    if !options.own_address {
        return Ok(Default::default());
    }
    if !cfg!(target_os = "linux") || !engine.info().local {
        return Err(UpError::NoOwnAddress {
            endpoint: engine.info().endpoint.clone(),
        });
    }
    Ok(hold::addresses(engine, session, options.workers).await?)
}

fn request<'a>(
    project: &'a Project,
    session: &'a SessionName,
    options: &'a UpOptions,
    addresses: &'a Addresses,
) -> Request<'a> {
    Request {
        project,
        session,
        workers: options.workers,
        images: ImageOptions {
            pull: options.pull,
            build: options.build,
            now: Timestamp::now(),
        },
        addresses,
        remove_orphans: options.remove_orphans,
        known_services: &options.known_services,
    }
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
