//! What an engine says is there.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Protocol, ServiceName, SessionName, WorkerId, desired::Labels, label};

/// Everything on an engine that carries stackrun's labels, as of one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observed {
    /// Containers, running or not.
    pub containers: Vec<ObservedContainer>,
    /// Networks.
    pub networks: Vec<ObservedNetwork>,
    /// Volumes.
    pub volumes: Vec<ObservedVolume>,
}

impl Observed {
    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }

    /// What is here and not in `other`: containers by their ids, the rest by name.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let has_container = |id: &str| other.containers.iter().any(|c| c.id == id);
        let has_network = |name: &str| other.networks.iter().any(|n| n.name == name);
        let has_volume = |name: &str| other.volumes.iter().any(|v| v.name == name);
        let mut rest = self.clone();
        rest.containers.retain(|c| !has_container(&c.id));
        rest.networks.retain(|n| !has_network(&n.name));
        rest.volumes.retain(|v| !has_volume(&v.name));
        rest
    }

    /// Kind and name of everything: `network parts-3fa9c1-w0-default`.
    pub fn names(&self) -> Vec<String> {
        let containers = self
            .containers
            .iter()
            .map(|c| format!("container {}", c.name));
        let networks = self.networks.iter().map(|n| format!("network {}", n.name));
        let volumes = self.volumes.iter().map(|v| format!("volume {}", v.name));
        containers.chain(networks).chain(volumes).collect()
    }

    /// The sessions that anything belongs to, and whose they are.
    pub fn sessions(&self) -> BTreeMap<SessionName, Owner> {
        fn owner(thing: &impl Labelled) -> Option<(SessionName, Owner)> {
            let label = |name| thing.labels().get(name).cloned().unwrap_or_default();
            let owner = Owner {
                project: label(label::PROJECT),
                directory: label(label::DIRECTORY).into(),
            };
            Some((thing.session()?, owner))
        }
        let containers = self.containers.iter().filter_map(owner);
        let networks = self.networks.iter().filter_map(owner);
        let volumes = self.volumes.iter().filter_map(owner);
        containers.chain(networks).chain(volumes).collect()
    }
}

/// Where a session comes from, as its labels say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The project's name.
    pub project: String,
    /// The project's directory.
    pub directory: PathBuf,
}

/// A container that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedContainer {
    /// The engine's id.
    pub id: String,
    /// Name, without a leading slash.
    pub name: String,
    /// The image as it was named when the container was created.
    pub image: String,
    /// All labels.
    pub labels: Labels,
    /// What it is doing.
    pub status: Status,
    /// Exit code, where the list of containers tells it.
    pub exit_code: Option<i64>,
    /// Health, where the list of containers tells it.
    pub health: Option<Health>,
    /// Published ports, while it runs.
    pub ports: Vec<PublishedPort>,
}

/// A network that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedNetwork {
    /// Name.
    pub name: String,
    /// All labels.
    pub labels: Labels,
    /// Its address ranges.
    pub subnets: Vec<IpNet>,
}

/// A volume that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedVolume {
    /// Name.
    pub name: String,
    /// All labels.
    pub labels: Labels,
}

/// Reads stackrun's labels.
pub trait Labelled {
    /// All labels.
    fn labels(&self) -> &Labels;

    /// The session, if the label is there and legal.
    fn session(&self) -> Option<SessionName> {
        self.labels().get(label::SESSION)?.parse().ok()
    }

    /// The worker, if the label is there and a number.
    fn worker(&self) -> Option<WorkerId> {
        self.labels().get(label::WORKER)?.parse().ok().map(WorkerId)
    }

    /// The service, if the label is there and legal.
    fn service(&self) -> Option<ServiceName> {
        self.labels().get(label::SERVICE)?.parse().ok()
    }
}

impl Labelled for ObservedContainer {
    fn labels(&self) -> &Labels {
        &self.labels
    }
}

impl Labelled for ObservedNetwork {
    fn labels(&self) -> &Labels {
        &self.labels
    }
}

impl Labelled for ObservedVolume {
    fn labels(&self) -> &Labels {
        &self.labels
    }
}

/// One container, inspected.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerState {
    /// The engine's id.
    pub id: String,
    /// What it is doing.
    pub status: Status,
    /// Exit code of the last run; meaningless while it runs.
    pub exit_code: i64,
    /// The kernel killed a process of it for want of memory.
    pub oom_killed: bool,
    /// The engine's words when it could not start or stop it.
    pub error: String,
    /// When it was last started.
    pub started_at: Option<Timestamp>,
    /// When it last ended.
    pub finished_at: Option<Timestamp>,
    /// Health, where it has a health check.
    pub health: Option<Health>,
    /// What the last health check printed.
    pub health_output: Option<String>,
    /// The health check that the engine runs, from the image or the file.
    pub healthcheck: Option<super::Healthcheck>,
    /// How often the engine restarted it.
    pub restart_count: u32,
    /// Published ports, while it runs.
    pub ports: Vec<PublishedPort>,
    /// Its address in each of its networks.
    pub addresses: Vec<IpAddr>,
}

/// What a container is doing, in the engine's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Created, never started.
    Created,
    /// Its process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Between two runs, by its restart policy.
    Restarting,
    /// Being removed.
    Removing,
    /// Its process has ended.
    Exited,
    /// The engine could not remove it.
    Dead,
}

impl Status {
    /// Whether it has a process, or will have one again without our doing.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }

    /// Whether its process has ended for good.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Exited | Self::Dead | Self::Removing)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        })
    }
}

/// The verdict of a container's health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No verdict yet.
    Starting,
    /// The last check succeeded.
    Healthy,
    /// Too many checks in a row failed.
    Unhealthy,
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        })
    }
}

/// A container port and where it is found on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Port in the container.
    pub target: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Host address.
    pub host_ip: IpAddr,
    /// Host port.
    pub host_port: u16,
}
