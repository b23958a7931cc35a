//! A Compose project, loaded and resolved.

use std::{net::Ipv4Addr, path::PathBuf};

use indexmap::IndexMap;
use ipnet::Ipv4Net;
use serde::Serialize;

use super::{Secret, Service, ServiceName, SessionName};

/// The directory in a project's directory in which stackrun keeps its files. It belongs
/// into no repository and no image.
pub const STATE_DIRECTORY: &str = ".stackrun";

/// What one or more Compose files say, interpolated, merged and normalised.
///
/// Services are in the order of the file. Services of profiles that are not
/// active are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Project {
    /// The project's name: `-p`, `COMPOSE_PROJECT_NAME`, the file's `name`, or the
    /// name of its directory, in this order.
    pub name: SessionName,
    /// Where relative paths of the file start, absolute.
    pub directory: PathBuf,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// The enabled services.
    pub services: IndexMap<ServiceName, Service>,
    /// The networks that enabled services use, by key; `default` is there when a
    /// service names none.
    pub networks: IndexMap<String, Network>,
    /// The named volumes that the file declares.
    pub volumes: IndexMap<String, Volume>,
    /// The configs that the file declares.
    pub configs: IndexMap<String, SharedFile>,
    /// The secrets that the file declares.
    pub secrets: IndexMap<String, SharedFile>,
    /// The top-level `x-stackrun`.
    pub stackrun: Extension,
}

/// An entry of the top-level `networks`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file")]
pub struct Network {
    /// The `name` given in the file, if one is.
    pub name: Option<String>,
    /// Exists already and is shared between workers; never created or removed.
    pub external: bool,
    /// The network driver; the engine's default where absent.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: IndexMap<String, String>,
    /// No route to the outside.
    pub internal: bool,
    /// Whether containers outside of the project may join by hand.
    pub attachable: bool,
    /// Whether the network has IPv6 as well.
    pub enable_ipv6: bool,
    /// Subnets that the file asks for. Two workers cannot both have them, so they
    /// are replaced by subnets of stackrun's choice.
    pub subnets: Vec<String>,
    /// The gateway that the file asks for in its IPv4 subnet.
    pub gateway: Option<Ipv4Addr>,
    /// Labels from the file.
    pub labels: IndexMap<String, String>,
}

/// An entry of the top-level `volumes`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Volume {
    /// The `name` given in the file, if one is.
    pub name: Option<String>,
    /// Exists already and is shared between workers; never created or removed.
    pub external: bool,
    /// The volume driver; `local` where absent.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: IndexMap<String, String>,
    /// Labels from the file.
    pub labels: IndexMap<String, String>,
}

/// An entry of the top-level `configs` or `secrets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SharedFile {
    /// The `name` given in the file, if one is.
    pub name: Option<String>,
    /// Where the content comes from.
    pub source: FileSource,
}

/// Where the content of a config or a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSource {
    /// A file on the host, absolute.
    File(PathBuf),
    /// The value of an environment variable.
    Environment {
        /// The variable.
        name: String,
        /// Its value, if it is set.
        value: Option<Secret>,
    },
    /// Text in the Compose file.
    Content(Secret),
    /// Held by the platform, which Compose on a single engine does not support.
    External,
}

/// The top-level `x-stackrun` of a Compose file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Extension {
    /// How many workers `up` and `run` start when `--workers` is not given.
    pub workers: Option<u32>,
    /// Variables for the command of `run` and for `env`, each the URL of a service.
    pub env: IndexMap<String, AddressRef>,
    /// Where the subnets of the workers' networks are taken from.
    pub subnets: Option<SubnetPool>,
    /// Archives from which images are loaded when they are missing, by the image's name.
    /// Absolute paths.
    pub images: IndexMap<String, PathBuf>,
}

/// `backend` or `backend:5000`: a service, and which of its ports is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddressRef {
    /// The service.
    pub service: ServiceName,
    /// The port inside the container; the first published one where absent.
    pub port: Option<u16>,
}

/// A range of addresses, cut into small subnets for the workers' networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SubnetPool {
    /// The whole range.
    pub range: Ipv4Net,
}

impl SubnetPool {
    /// 65,536 addresses that neither Docker's default pools (172.17.0.0/16 to
    /// 172.31.0.0/16, 192.168.0.0/16) nor common VPN and cloud ranges use:
    /// room for 4,096 networks of 13 containers.
    pub const DEFAULT: Self = Self {
        range: Ipv4Net::new_assert(Ipv4Addr::new(10, 213, 0, 0), 16),
    };
}

impl Default for SubnetPool {
    fn default() -> Self {
        Self::DEFAULT
    }
}
