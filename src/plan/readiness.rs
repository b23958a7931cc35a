//! What a container has to be before others rely on it, and how that is seen.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::{
    engine::{Capabilities, Image},
    spec::{Condition, Expect, HealthTest, Healthcheck, Probe, Protocol, Service},
};

use super::PlanError;

/// Default of `x-stackrun.ready.timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// The engine's defaults for what a health check leaves open.
/// Source: Docker Engine API, `HealthConfig`.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_CHECK_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_RETRIES: u32 = 3;

/// How often the engine checks health while a container starts, where it can.
const START_INTERVAL: Duration = Duration::from_millis(100);

/// What is waited for, and how long at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// The condition that dependents name.
    pub condition: Condition,
    /// How the condition is seen.
    pub readiness: Readiness,
    /// From the container's start.
    pub timeout: Duration,
    /// Whether a container that exits with code 0 has done what it was for.
    pub may_complete: bool,
}

/// How a condition is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// The container runs.
    Running,
    /// The container has exited with code 0.
    Completed,
    /// The engine says that it is healthy.
    Health,
    /// The engine says that it is healthy, or the same check, which stackrun runs
    /// itself because the engine would run it too seldom, succeeds first.
    HealthOrExec {
        /// The check as a command line.
        command: Vec<String>,
        /// Time that one check may take.
        timeout: Duration,
    },
    /// A GET request from the host succeeds.
    Http {
        /// Path and query.
        path: String,
        /// Port in the container.
        port: u16,
        /// Which status codes count.
        expect: Expect,
    },
    /// A connection from the host stays open.
    Tcp {
        /// Port in the container.
        port: u16,
    },
    /// A command in the container exits with code 0.
    Exec {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// A line of output matches.
    Log {
        /// Regular expression.
        pattern: String,
    },
}

impl Wait {
    /// What `service` has to be for dependents that name `condition`.
    ///
    /// `image` is unknown as long as it has not been pulled.
    pub(super) fn new(
        service: &Service,
        condition: Condition,
        image: Option<&Image>,
        capabilities: Capabilities,
    ) -> Result<Self, PlanError> {
        let healthcheck = effective_healthcheck(service, image);
        let readiness = match condition {
            Condition::Started => Readiness::Running,
            Condition::CompletedSuccessfully => Readiness::Completed,
            Condition::Healthy => {
                match service
                    .ready
                    .as_ref()
                    .and_then(|ready| ready.probe.as_ref())
                {
                    Some(probe) => from_probe(service, probe, image)?,
                    None => from_healthcheck(healthcheck.as_ref(), capabilities),
                }
            }
        };
        let start_period = healthcheck
            .and_then(|check| check.start_period)
            .unwrap_or_default();
        let timeout = service
            .ready
            .as_ref()
            .and_then(|ready| ready.timeout)
            .unwrap_or(DEFAULT_TIMEOUT + start_period);
        Ok(Self {
            condition,
            readiness,
            timeout,
            may_complete: condition != Condition::Healthy,
        })
    }
}

/// Whether anything tells that the service is healthy.
pub(super) fn can_be_healthy(service: &Service, image: Option<&Image>) -> bool {
    let has_probe = service
        .ready
        .as_ref()
        .is_some_and(|ready| ready.probe.is_some());
    has_probe || effective_healthcheck(service, image).is_some_and(|check| is_a_check(&check))
}

/// The container port that a probe from the host connects to, if there is one.
pub(super) fn probe_port(
    service: &Service,
    image: Option<&Image>,
) -> Result<Option<u16>, PlanError> {
    let port = match service
        .ready
        .as_ref()
        .and_then(|ready| ready.probe.as_ref())
    {
        Some(Probe::Http { port, .. } | Probe::Tcp { port }) => *port,
        _ => return Ok(None),
    };
    port.or_else(|| first_port(service, image))
        .map(Some)
        .ok_or_else(|| PlanError::ProbeWithoutPort {
            service: service.name.clone(),
        })
}

/// The health check that a container is created with, tuned so that the engine
/// itself looks often while the container starts.
///
/// Engines ignore `start_interval` without a `start_period`, so one is added: as long
/// as an unhealthy container would need to be found out anyway.
pub(super) fn tuned_healthcheck(
    service: &Service,
    image: Option<&Image>,
    capabilities: Capabilities,
) -> Option<Healthcheck> {
    let declared = service.healthcheck.clone();
    if !capabilities.start_interval {
        return declared;
    }
    let effective = effective_healthcheck(service, image).filter(is_a_check)?;
    let interval = effective.interval.unwrap_or(DEFAULT_INTERVAL);
    let retries = effective.retries.unwrap_or(DEFAULT_RETRIES);
    Some(Healthcheck {
        start_interval: Some(effective.start_interval.unwrap_or(START_INTERVAL)),
        start_period: Some(effective.start_period.unwrap_or(interval * retries)),
        ..effective
    })
    .or(declared)
}

/// The file's health check, completed by the image's.
fn effective_healthcheck(service: &Service, image: Option<&Image>) -> Option<Healthcheck> {
    let of_image = image.and_then(|image| image.healthcheck.clone());
    let Some(of_file) = service.healthcheck.clone() else {
        return of_image;
    };
    let of_image = of_image.unwrap_or_default();
    Some(Healthcheck {
        test: of_file.test.or(of_image.test),
        interval: of_file.interval.or(of_image.interval),
        timeout: of_file.timeout.or(of_image.timeout),
        retries: of_file.retries.or(of_image.retries),
        start_period: of_file.start_period.or(of_image.start_period),
        start_interval: of_file.start_interval.or(of_image.start_interval),
    })
}

fn is_a_check(check: &Healthcheck) -> bool {
    matches!(
        check.test,
        Some(HealthTest::Command(_) | HealthTest::Shell(_))
    )
}

fn from_probe(
    service: &Service,
    probe: &Probe,
    image: Option<&Image>,
) -> Result<Readiness, PlanError> {
    let port = || -> Result<u16, PlanError> {
        Ok(probe_port(service, image)?.expect("host probes have a port or are refused"))
    };
    Ok(match probe {
        Probe::Http { path, expect, .. } => Readiness::Http {
            path: path.clone(),
            port: port()?,
            expect: *expect,
        },
        Probe::Tcp { .. } => Readiness::Tcp { port: port()? },
        Probe::Exec { command } => Readiness::Exec {
            command: command.clone(),
        },
        Probe::Log { pattern } => Readiness::Log {
            pattern: pattern.clone(),
        },
    })
}

fn from_healthcheck(check: Option<&Healthcheck>, capabilities: Capabilities) -> Readiness {
    let Some(check) = check else {
        return Readiness::Running;
    };
    let command = match &check.test {
        None | Some(HealthTest::Disabled) => return Readiness::Running,
        Some(HealthTest::Command(command)) => command.clone(),
        Some(HealthTest::Shell(line)) => vec!["/bin/sh".into(), "-c".into(), line.clone()],
    };
    if capabilities.start_interval && capabilities.health_by_itself {
        return Readiness::Health;
    }
    let timeout = check.timeout.unwrap_or(DEFAULT_CHECK_TIMEOUT);
    Readiness::HealthOrExec { command, timeout }
}

/// The first published TCP port, else the first that the file or the image exposes.
fn first_port(service: &Service, image: Option<&Image>) -> Option<u16> {
    let published = service
        .ports
        .iter()
        .find(|port| port.protocol == Protocol::Tcp);
    let exposed = || {
        service
            .expose
            .iter()
            .find_map(|port| port.split('/').next()?.parse().ok())
    };
    let of_image = || image.and_then(|image| image.exposed_ports.first().copied());
    published
        .map(|port| port.target)
        .or_else(exposed)
        .or_else(of_image)
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Completed => f.write_str("exit code 0"),
            Self::Health | Self::HealthOrExec { .. } => f.write_str("health check"),
            Self::Http {
                path,
                port,
                expect: Expect::Success,
            } => {
                write!(f, "GET :{port}{path}")
            }
            Self::Http {
                path,
                port,
                expect: Expect::Status(status),
            } => {
                write!(f, "GET :{port}{path} = {status}")
            }
            Self::Tcp { port } => write!(f, "connect to :{port}"),
            Self::Exec { command } => write!(f, "`{}`", command.join(" ")),
            Self::Log { pattern } => write!(f, "log line /{pattern}/"),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} by {} within {}",
            self.condition,
            self.readiness,
            crate::text::duration(self.timeout)
        )
    }
}
