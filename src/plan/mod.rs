//! Decides what is to be done, without doing any of it.
//!
//! ```text
//! Project × workers × World ──▶ Plan: a DAG of actions, each with its cause
//! ```
//!
//! Every name, label, subnet and published port is decided here; nothing later
//! invents one. No clock, no randomness, no I/O: the same input gives the same
//! plan, and a test compares its text.

mod address;
mod container;
mod down;
mod files;
mod image;
mod loopback;
mod namespace;
mod naming;
mod order;
mod publish;
mod readiness;
mod shared;
mod subnet;
mod up;
mod verdict;
mod warning;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use serde::Serialize;

use crate::{
    engine::{Capabilities, Image},
    spec::{
        BuildSpec, ContainerSpec, Hook, NetworkSpec, Observed, Project, ServiceName, SessionName,
        VolumeSpec, WorkerId,
    },
    text,
};

pub use down::{Volumes, down, replica_of};
pub use image::{ImageOptions, Images, image_names, images};
pub use loopback::{Addresses, addresses};
pub use naming::Naming;
pub use order::{Cycle, start_order};
pub use readiness::{Readiness, Wait};
pub use shared::Shared;
pub use subnet::{PoolExhausted, SubnetAllocator};
pub use up::up;

/// What is wanted: so many copies of a project.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The project, already narrowed to the services that are wanted.
    pub project: &'a Project,
    /// The name under which it is found again.
    pub session: &'a SessionName,
    /// How many copies.
    pub workers: u32,
    /// How images are come by.
    pub images: ImageOptions,
    /// Addresses on which workers publish the very ports that the file names. Empty: all
    /// publish on 127.0.0.1, at ports that the engine chooses.
    pub addresses: &'a Addresses,
    /// Remove containers of services that the project no longer has.
    pub remove_orphans: bool,
    /// Every service of the project file, wanted now or not: what is not among them
    /// is an orphan.
    pub known_services: &'a [ServiceName],
}

/// What is there, as far as a plan depends on it.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// What carries the session's labels.
    pub observed: Observed,
    /// The images that the engine has, by the name that the project uses.
    pub images: BTreeMap<String, Image>,
    /// Address ranges that no new network may overlap: other networks', and the
    /// host's routes.
    pub taken: Vec<IpNet>,
    /// What the engine can do.
    pub capabilities: Capabilities,
}

/// Number of a node in its plan.
pub type NodeId = usize;

/// A DAG of actions. A node's needs always come before it.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The nodes; a node's id is its index.
    pub nodes: Vec<Node>,
    /// Containers that stay as they are, and why: shown, not acted on.
    pub kept: Vec<Kept>,
    /// Where another subnet is taken from when the engine refuses a planned one.
    pub subnets: SubnetAllocator,
    /// What the user should know before anything happens.
    pub warnings: Vec<String>,
}

/// One step of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct Node {
    /// What is done.
    pub action: Action,
    /// What has to be done before.
    pub needs: Vec<Need>,
    /// Why.
    pub cause: String,
    /// A failure is a warning: everything that needs it can do without.
    pub tolerated: bool,
}

/// An edge of the DAG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Need {
    /// The node that comes first.
    pub node: NodeId,
    /// Whether this one goes on when that one has failed.
    pub optional: bool,
}

/// One effect, about one engine call.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Action {
    /// Pull an image, once for all workers.
    PullImage {
        /// Its name.
        reference: String,
        /// `os/arch[/variant]`, if the file asks for one.
        platform: Option<String>,
        /// The services that run from it.
        services: Vec<ServiceName>,
    },
    /// Build an image, once for all workers.
    BuildImage {
        /// Its name, and how it is built.
        spec: Box<BuildSpec>,
        /// The services that run from it.
        services: Vec<ServiceName>,
    },
    /// Load an image from an archive.
    LoadImage {
        /// Its name.
        reference: String,
        /// The archive.
        archive: PathBuf,
        /// The services that run from it.
        services: Vec<ServiceName>,
    },
    /// Create a network.
    CreateNetwork {
        /// Whose it is.
        worker: WorkerId,
        /// What to create.
        spec: NetworkSpec,
    },
    /// Create a volume.
    CreateVolume {
        /// Whose it is.
        worker: WorkerId,
        /// What to create.
        spec: VolumeSpec,
    },
    /// Create a container.
    CreateContainer {
        /// Which copy of which service it is.
        replica: Replica,
        /// What to create.
        spec: Box<ContainerSpec>,
    },
    /// Open a container's output, start it, and learn its ports.
    StartContainer {
        /// Which copy of which service it is.
        replica: Replica,
        /// Name on the engine.
        container: String,
        /// What runs in it afterwards.
        post_start: Vec<Hook>,
    },
    /// Wait until a container is what others rely on.
    AwaitContainer {
        /// Which copy of which service it is.
        replica: Replica,
        /// Name on the engine.
        container: String,
        /// For what, and how long.
        wait: Wait,
    },
    /// Stop a container.
    StopContainer {
        /// Which copy of which service it is.
        replica: Replica,
        /// Name on the engine.
        container: String,
        /// What runs in it before.
        pre_stop: Vec<Hook>,
    },
    /// Remove a container.
    RemoveContainer {
        /// Which copy of which service it is.
        replica: Replica,
        /// Name on the engine.
        container: String,
    },
    /// Remove a network.
    RemoveNetwork {
        /// Whose it was.
        worker: WorkerId,
        /// Name on the engine.
        name: String,
    },
    /// Remove a volume.
    RemoveVolume {
        /// Whose it was.
        worker: WorkerId,
        /// Name on the engine.
        name: String,
    },
}

/// One container of one service of one worker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Replica {
    /// The worker.
    pub worker: WorkerId,
    /// The service.
    pub service: ServiceName,
    /// From 1.
    pub number: u32,
}

/// A container that a plan leaves alone.
#[derive(Debug, Clone, Serialize)]
pub struct Kept {
    /// Which copy of which service it is.
    pub replica: Replica,
    /// Name on the engine.
    pub container: String,
    /// Why nothing has to be done.
    pub cause: String,
}

/// A project that cannot be brought up, known before anything was tried.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Services depend on each other in a circle.
    #[error(transparent)]
    Cycle(#[from] Cycle),
    /// No room for another network.
    #[error(transparent)]
    PoolExhausted(#[from] PoolExhausted),
    /// A dependent waits for health, and there is nothing to tell it by.
    #[error(
        "`{dependent}` waits for `{service}` to be healthy, but `{service}` has no health check"
    )]
    NothingToWaitFor {
        /// Who waits.
        dependent: ServiceName,
        /// For whom.
        service: ServiceName,
    },
    /// The content of a config or secret cannot be had.
    #[error("{kind} `{name}` of `{service}`: {why}")]
    File {
        /// `config` or `secret`.
        kind: &'static str,
        /// Its key.
        name: String,
        /// Who wants it.
        service: ServiceName,
        /// What is wrong with it.
        why: String,
    },
    /// An image is not there, and must not be fetched or built.
    #[error("image `{image}` of {} is not there, and {why}", text::list(.services))]
    ImageMissing {
        /// The image.
        image: String,
        /// The services that run from it.
        services: Vec<ServiceName>,
        /// What keeps stackrun from getting it.
        why: &'static str,
    },
    /// Images are built from each other in a circle.
    #[error("the images {} are built from each other", text::list(.images))]
    BuildCycle {
        /// The images.
        images: Vec<String>,
    },
    /// An address without a subnet that it could be counted in.
    #[error(
        "`{service}` asks for the address {address}, but the file gives no subnet with it to the \
         network `{network}`"
    )]
    AddressWithoutSubnet {
        /// The service.
        service: ServiceName,
        /// The address.
        address: IpAddr,
        /// The network's key.
        network: String,
    },
    /// An address in a network that is not a worker's own, for more than one container.
    #[error(
        "`{service}` asks for the address {address} of the external network `{network}`, which \
         only one container can have"
    )]
    AddressOfMany {
        /// The service.
        service: ServiceName,
        /// The address.
        address: IpAddr,
        /// The network's key.
        network: String,
    },
    /// A probe needs a port, and the service has none.
    #[error("`x-stackrun.ready` of `{service}` names no port, and the service publishes none")]
    ProbeWithoutPort {
        /// The service.
        service: ServiceName,
    },
}

impl Action {
    /// The worker that the action is for; none for what all workers share.
    pub fn worker(&self) -> Option<WorkerId> {
        match self {
            Self::PullImage { .. } | Self::BuildImage { .. } | Self::LoadImage { .. } => None,
            Self::CreateNetwork { worker, .. }
            | Self::CreateVolume { worker, .. }
            | Self::RemoveNetwork { worker, .. }
            | Self::RemoveVolume { worker, .. } => Some(*worker),
            _ => self.replica().map(|replica| replica.worker),
        }
    }

    /// The container that the action is about, if it is about one.
    pub fn replica(&self) -> Option<&Replica> {
        match self {
            Self::CreateContainer { replica, .. }
            | Self::StartContainer { replica, .. }
            | Self::AwaitContainer { replica, .. }
            | Self::StopContainer { replica, .. }
            | Self::RemoveContainer { replica, .. } => Some(replica),
            _ => None,
        }
    }

    /// The image that the action is about, and the services that run from it.
    pub fn image(&self) -> Option<(&str, &[ServiceName])> {
        match self {
            Self::PullImage { services, .. }
            | Self::BuildImage { services, .. }
            | Self::LoadImage { services, .. } => Some((self.target(), services)),
            _ => None,
        }
    }

    /// The name of what the action is about, on the engine.
    pub fn target(&self) -> &str {
        match self {
            Self::PullImage { reference, .. } | Self::LoadImage { reference, .. } => reference,
            Self::BuildImage { spec, .. } => &spec.image,
            Self::CreateNetwork { spec, .. } => &spec.name,
            Self::CreateVolume { spec, .. } => &spec.name,
            Self::CreateContainer { spec, .. } => &spec.name,
            Self::StartContainer { container, .. }
            | Self::AwaitContainer { container, .. }
            | Self::StopContainer { container, .. }
            | Self::RemoveContainer { container, .. } => container,
            Self::RemoveNetwork { name, .. } | Self::RemoveVolume { name, .. } => name,
        }
    }

    /// The action as two words: `create container`.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::PullImage { .. } => "pull image",
            Self::BuildImage { .. } => "build image",
            Self::LoadImage { .. } => "load image",
            Self::CreateNetwork { .. } => "create network",
            Self::CreateVolume { .. } => "create volume",
            Self::CreateContainer { .. } => "create container",
            Self::StartContainer { .. } => "start container",
            Self::AwaitContainer { .. } => "wait",
            Self::StopContainer { .. } => "stop container",
            Self::RemoveContainer { .. } => "remove container",
            Self::RemoveNetwork { .. } => "remove network",
            Self::RemoveVolume { .. } => "remove volume",
        }
    }
}

impl Plan {
    fn add(&mut self, action: Action, needs: Vec<Need>, cause: impl Into<String>) -> NodeId {
        debug_assert!(needs.iter().all(|need| need.node < self.nodes.len()));
        self.nodes.push(Node {
            action,
            needs,
            cause: cause.into(),
            tolerated: false,
        });
        self.nodes.len() - 1
    }

    /// This plan and another one, which need nothing of each other.
    #[must_use]
    pub fn then(mut self, other: Self) -> Self {
        self.subnets = other.subnets.clone();
        self.append(other);
        self
    }

    fn append(&mut self, other: Self) {
        let offset = self.nodes.len();
        let nodes = other.nodes.into_iter().map(|mut node| {
            for need in &mut node.needs {
                need.node += offset;
            }
            node
        });
        self.nodes.extend(nodes);
        self.kept.extend(other.kept);
        self.warnings.extend(other.warnings);
    }

    /// Whether anything would be created, started, stopped or removed. Waiting alone
    /// changes nothing.
    pub fn changes_anything(&self) -> bool {
        self.nodes
            .iter()
            .any(|node| !matches!(node.action, Action::AwaitContainer { .. }))
    }
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.worker, self.service)?;
        if self.number > 1 {
            write!(f, "#{}", self.number)?;
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = self.verb();
        match self {
            Self::PullImage { .. } | Self::BuildImage { .. } => {
                write!(f, "{verb} {}", self.target())
            }
            Self::LoadImage {
                reference, archive, ..
            } => write!(f, "{verb} {reference} from {}", archive.display()),
            Self::CreateNetwork { worker, spec } => {
                write!(f, "{worker} {verb} {} {}", spec.name, spec.subnet)
            }
            Self::CreateVolume { worker, spec } => write!(f, "{worker} {verb} {}", spec.name),
            Self::CreateContainer { replica, spec } => {
                write!(f, "{replica} {verb} {}", spec.name)
            }
            Self::AwaitContainer { replica, wait, .. } => write!(f, "{replica} {verb} {wait}"),
            Self::StartContainer {
                replica, container, ..
            }
            | Self::StopContainer {
                replica, container, ..
            }
            | Self::RemoveContainer { replica, container } => {
                write!(f, "{replica} {verb} {container}")
            }
            Self::RemoveNetwork { worker, name } | Self::RemoveVolume { worker, name } => {
                write!(f, "{worker} {verb} {name}")
            }
        }
    }
}

/// One line a node: `[1,2] -> #3 w0/backend create container parts-w0-backend, not found`.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, node) in self.nodes.iter().enumerate() {
            if !node.needs.is_empty() {
                let needs: Vec<String> = node
                    .needs
                    .iter()
                    .map(|need| format!("{}{}", need.node, if need.optional { "?" } else { "" }))
                    .collect();
                write!(f, "[{}] -> ", needs.join(","))?;
            }
            writeln!(f, "#{id} {}, {}", node.action, node.cause)?;
        }
        for kept in &self.kept {
            writeln!(
                f,
                "keep {} {}, {}",
                kept.replica, kept.container, kept.cause
            )?;
        }
        Ok(())
    }
}
