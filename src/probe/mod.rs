//! Sees whether a container is what others rely on.
//!
//! Level-triggered: look first, then wait for a reason to look again. A wait ends at
//! once when it cannot succeed any more, and it remembers what it saw last, for the
//! error.

mod exec;
mod http;
mod log;
mod tcp;

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use regex::bytes::Regex;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    engine::{Engine, EngineError, ExecSpec},
    logs::Target,
    plan::{Readiness, Wait},
    spec::{ContainerState, Health, Protocol},
};

pub use exec::run as run_to_end;

/// A container that is waited for.
pub struct Subject<'a> {
    /// Where it is.
    pub engine: &'a dyn Engine,
    /// The engine's id of it.
    pub container: &'a str,
    /// What it was when last looked at.
    pub state: ContainerState,
    /// Wakes when something happens to it.
    pub changes: tokio::sync::watch::Receiver<u64>,
    /// Its log.
    pub log: &'a Target,
    /// When it was started.
    pub started: Instant,
    /// It ran before this process did, which has not seen all of its output.
    pub ran_before: bool,
    /// Gives the wait up.
    pub cancel: &'a CancellationToken,
    /// Told what was tried last and what came of it, when that changes.
    pub on_status: &'a (dyn Fn(&str) + Sync),
}

/// How a wait has succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The service is ready.
    Ready,
    /// The service has done its work and exited with code 0.
    Completed,
}

/// Why a wait has not succeeded.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// The container has ended.
    #[error("{}", describe_exit(*.exit_code, *.oom_killed))]
    Exited {
        /// Its exit code.
        exit_code: i64,
        /// The kernel killed it for want of memory.
        oom_killed: bool,
    },
    /// The engine gave up on its health.
    #[error("its health check says unhealthy")]
    Unhealthy {
        /// What the last check printed.
        output: Option<String>,
    },
    /// Time is up.
    #[error("was not ready within {}", crate::text::duration(*.after))]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
        /// What came of the last try.
        last: Option<String>,
    },
    /// A probe from the host has no way to the port.
    #[error("port {port} is not published on the host")]
    Unreachable {
        /// Port in the container.
        port: u16,
    },
    /// Somebody else's failure, or a signal, ended the wait.
    #[error("the wait was given up")]
    Cancelled,
    /// The engine could not be asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// `exited with code 3`, `was killed by signal 9 (out of memory)`.
pub fn describe_exit(exit_code: i64, oom_killed: bool) -> String {
    let why = if oom_killed { " (out of memory)" } else { "" };
    match exit_code {
        129..=192 => format!("was killed by signal {}{why}", exit_code - 128),
        _ => format!("exited with code {exit_code}{why}"),
    }
}

/// Waits until the container is what `wait` asks for.
pub async fn wait_for(mut subject: Subject<'_>, wait: &Wait) -> Result<Reached, NotReady> {
    let deadline = subject.started + wait.timeout;
    let last = LastStatus::new(subject.on_status);
    let attempts = Attempts {
        engine: subject.engine,
        container: subject.container,
        log: subject.log,
        readiness: &wait.readiness,
        ran_before: subject.ran_before,
        ended_before: subject.state.finished_at,
        last: &last,
    };
    let mut port = find_port(&wait.readiness, &subject.state);
    let mut success = Box::pin(attempts.until_success(port));
    loop {
        if let Some(verdict) = judge(&subject.state, wait, &last) {
            return verdict;
        }
        tokio::select! {
            biased;
            () = subject.cancel.cancelled() => return Err(NotReady::Cancelled),
            result = &mut success => return result.map(|()| Reached::Ready),
            changed = subject.changes.changed() => {
                if changed.is_err() {
                    // Nobody is left who could wake us: look now and then.
                    sleep(Duration::from_millis(200)).await;
                }
                subject.state = subject.engine.inspect(subject.container).await?;
                // A container that was restarted has other ports.
                let now = find_port(&wait.readiness, &subject.state);
                if now != port && now.is_some() {
                    port = now;
                    success = Box::pin(attempts.until_success(port));
                }
            }
            () = sleep_until(deadline) => {
                return Err(NotReady::TimedOut { after: wait.timeout, last: last.take() });
            }
        }
    }
}

/// What the state alone says.
fn judge(
    state: &ContainerState,
    wait: &Wait,
    last: &LastStatus<'_>,
) -> Option<Result<Reached, NotReady>> {
    let completes = wait.readiness == Readiness::Completed || wait.may_complete;
    if state.status.is_over() {
        return Some(if state.exit_code == 0 && completes && !state.oom_killed {
            Ok(Reached::Completed)
        } else {
            Err(NotReady::Exited {
                exit_code: state.exit_code,
                oom_killed: state.oom_killed,
            })
        });
    }
    match &wait.readiness {
        Readiness::Running if state.status.is_up() => Some(Ok(Reached::Ready)),
        Readiness::Health | Readiness::HealthOrExec { .. } => match state.health {
            Some(Health::Healthy) => Some(Ok(Reached::Ready)),
            Some(Health::Unhealthy) => Some(Err(NotReady::Unhealthy {
                output: state.health_output.clone(),
            })),
            health => {
                if let Some(health) = health {
                    last.set(&format!("health is {health}"));
                }
                None
            }
        },
        _ => None,
    }
}

/// Where on the host a probe finds its port.
fn find_port(readiness: &Readiness, state: &ContainerState) -> Option<SocketAddr> {
    let (Readiness::Http { port, .. } | Readiness::Tcp { port }) = readiness else {
        return None;
    };
    let published = state
        .ports
        .iter()
        .find(|published| published.target == *port && published.protocol == Protocol::Tcp)?;
    Some(SocketAddr::new(published.host_ip, published.host_port))
}

struct Attempts<'a> {
    engine: &'a dyn Engine,
    container: &'a str,
    log: &'a Target,
    readiness: &'a Readiness,
    ran_before: bool,
    /// When its last run ended, by the engine's clock. The time of its start is of no use:
    /// Docker notes it when the program may have written something already.
    ended_before: Option<Timestamp>,
    last: &'a LastStatus<'a>,
}

impl Attempts<'_> {
    /// Tries until it works. Conditions that only the engine can tell about never
    /// work here.
    async fn until_success(&self, address: Option<SocketAddr>) -> Result<(), NotReady> {
        match self.readiness {
            Readiness::Running | Readiness::Completed | Readiness::Health => {
                std::future::pending().await
            }
            Readiness::Http { path, port, expect } => {
                let address = address.ok_or(NotReady::Unreachable { port: *port })?;
                self.repeat(FROM_HOST, || http::get(address, path, *expect))
                    .await
            }
            Readiness::Tcp { port } => {
                let address = address.ok_or(NotReady::Unreachable { port: *port })?;
                self.repeat(FROM_HOST, || tcp::connect(address)).await
            }
            Readiness::HealthOrExec { command, timeout } => {
                let spec = command_of(command);
                self.repeat(BY_EXEC, || {
                    exec::run(self.engine, self.container, &spec, *timeout)
                })
                .await
            }
            Readiness::Exec { command } => {
                let (spec, timeout) = (command_of(command), Duration::from_secs(30));
                self.repeat(BY_EXEC, || {
                    exec::run(self.engine, self.container, &spec, timeout)
                })
                .await
            }
            Readiness::Log { pattern } => self.log_line(pattern).await,
        }
    }

    async fn log_line(&self, pattern: &str) -> Result<(), NotReady> {
        let Ok(regex) = Regex::new(pattern) else {
            // The loader compiles every pattern; a project made by hand may differ.
            self.last
                .set(&format!("`{pattern}` is not a regular expression"));
            return std::future::pending().await;
        };
        self.last.set("no line has matched");
        if self.ran_before {
            let kept = log::kept_line(self.engine, self.container, self.ended_before, &regex);
            if let Err(why) = kept.await {
                self.last.set(&why);
                std::future::pending::<()>().await;
            }
            return Ok(());
        }
        let mut found = self.log.watch_for(regex);
        if found.wait_for(|found| *found).await.is_err() {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn repeat<F>(&self, backoff: Backoff, attempt: impl Fn() -> F) -> Result<(), NotReady>
    where
        F: Future<Output = Result<(), String>>,
    {
        let mut pause = backoff.first;
        loop {
            match attempt().await {
                Ok(()) => return Ok(()),
                Err(status) => self.last.set(&status),
            }
            sleep(pause).await;
            pause = (pause * 2).min(backoff.longest);
        }
    }
}

fn command_of(words: &[String]) -> ExecSpec {
    ExecSpec {
        command: words.to_vec(),
        ..ExecSpec::default()
    }
}

/// Pauses between attempts, doubling.
#[derive(Clone, Copy)]
struct Backoff {
    first: Duration,
    longest: Duration,
}

/// An attempt from the host costs next to nothing.
const FROM_HOST: Backoff = Backoff {
    first: Duration::from_millis(2),
    longest: Duration::from_millis(50),
};

/// An exec costs the engine some 50 ms and keeps it from starting other containers.
const BY_EXEC: Backoff = Backoff {
    first: Duration::from_millis(10),
    longest: Duration::from_millis(250),
};

/// What came of the last attempt, told once as long as it stays the same.
struct LastStatus<'a> {
    status: Mutex<Option<String>>,
    on_change: &'a (dyn Fn(&str) + Sync),
}

impl<'a> LastStatus<'a> {
    fn new(on_change: &'a (dyn Fn(&str) + Sync)) -> Self {
        Self {
            status: Mutex::default(),
            on_change,
        }
    }

    fn set(&self, status: &str) {
        let mut current = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_deref() != Some(status) {
            *current = Some(status.to_owned());
            (self.on_change)(status);
        }
    }

    fn take(&self) -> Option<String> {
        self.status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
