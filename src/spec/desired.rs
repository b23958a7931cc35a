//! What is to exist on an engine, with every name, label and address decided.

use std::{
    collections::BTreeMap,
    fmt::Display,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    sync::Arc,
};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::Serialize;

use super::{Healthcheck, Protocol, Secret, Service};

/// Labels in the order in which they are shown.
pub type Labels = BTreeMap<String, String>;

/// A container to create.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContainerSpec {
    /// Name, unique on the engine.
    pub name: String,
    /// All labels: stackrun's, Compose's and the file's.
    pub labels: Labels,
    /// Networks to join, the one that gives the default route first. With a
    /// `network_mode`, the engine's own network at most.
    pub endpoints: Vec<Endpoint>,
    /// `network_mode` as the engine takes it, where the service has one.
    pub network_mode: Option<String>,
    /// `pid` as the engine takes it.
    pub pid_mode: Option<String>,
    /// `ipc` as the engine takes it.
    pub ipc_mode: Option<String>,
    /// Container ports to publish on the host.
    pub publish: Vec<PublishRequest>,
    /// Named volumes.
    pub volumes: Vec<VolumeMount>,
    /// Containers whose volumes are mounted as well, as `name[:ro]`.
    pub volumes_from: Vec<String>,
    /// Configs and secrets that are files of the host.
    pub file_binds: Vec<FileBind>,
    /// Configs and secrets that are written into the container before it starts.
    pub text_files: Vec<TextFile>,
    /// Health check, tuned for start-up. Absent: the image's.
    pub healthcheck: Option<Healthcheck>,
    /// Everything that is the same in every worker.
    #[serde(skip)]
    pub service: Arc<Service>,
}

/// A container port to publish.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PublishRequest {
    /// Port in the container.
    pub target: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Host address.
    pub host_ip: IpAddr,
    /// Host port, or a range of which the engine takes a free one. Absent: any free one.
    pub host_port: Option<String>,
}

/// A container's place in a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Endpoint {
    /// Name of the network on the engine.
    pub network: String,
    /// Names under which the container is found there.
    pub aliases: Vec<String>,
    /// Names that this container alone has for others there, as `container:alias`.
    pub links: Vec<String>,
    /// Its IPv4 address; the engine's choice where absent.
    pub ipv4: Option<Pinned<Ipv4Addr>>,
    /// Its IPv6 address; the engine's choice where absent.
    pub ipv6: Option<Pinned<Ipv6Addr>>,
    /// Further addresses, which mean something on the network's link only.
    pub link_local: Vec<IpAddr>,
    /// Its MAC address; the engine's choice where absent.
    pub mac_address: Option<String>,
    /// The endpoint with the highest one has the default route.
    pub gateway_priority: Option<i64>,
    /// Options of the network's driver.
    pub driver_opts: BTreeMap<String, String>,
}

/// An address that is not left to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pinned<A> {
    /// This one, in a network that is not a worker's own.
    Address(A),
    /// The one with this number in the network's subnet, whatever subnet that is: it is
    /// known for sure only when the network is there.
    Host(u128),
}

impl<A: Display> Pinned<A> {
    /// The address as text, where it is known.
    pub fn address(self) -> Option<String> {
        match self {
            Self::Address(address) => Some(address.to_string()),
            Self::Host(_) => None,
        }
    }
}

/// A named volume in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeMount {
    /// Name of the volume on the engine.
    pub volume: String,
    /// Absolute path in the container.
    pub target: String,
    /// Whether the container may only read.
    pub read_only: bool,
    /// Do not copy what the image has at the target.
    pub nocopy: bool,
    /// Path inside the volume.
    pub subpath: Option<String>,
}

/// A file of the host that a container may read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileBind {
    /// Absolute path on the host.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub target: String,
}

/// A file to write into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TextFile {
    /// Absolute path in the container.
    pub target: String,
    /// What is in it.
    pub text: Secret,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Permission bits.
    pub mode: u32,
}

/// A network to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkSpec {
    /// Name, unique on the engine.
    pub name: String,
    /// Its addresses.
    pub subnet: Ipv4Net,
    /// The network driver; the engine's default where absent.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// No route to the outside.
    pub internal: bool,
    /// Whether containers may join by hand.
    pub attachable: bool,
    /// Number of the gateway in the subnet; the engine's choice where absent.
    pub gateway: Option<u32>,
    /// Whether the network has IPv6 as well.
    pub enable_ipv6: bool,
    /// Its IPv6 addresses; the engine's choice where absent.
    pub subnet_v6: Option<Ipv6Net>,
    /// All labels.
    pub labels: Labels,
}

/// A volume to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeSpec {
    /// Name, unique on the engine.
    pub name: String,
    /// The volume driver; `local` where absent.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// All labels.
    pub labels: Labels,
}
