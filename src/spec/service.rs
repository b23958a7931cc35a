//! One service of a project: every key of the Compose Specification that an engine
//! can honour, in its normalised form.
//!
//! Source of names and meanings: the Compose Specification, `05-services.md`.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use indexmap::IndexMap;
use serde::Serialize;

use super::{Build, ServiceName};

/// A service as the file asks for it. Absent means: the image's or the engine's
/// default.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file")]
pub struct Service {
    /// The key in the file.
    pub name: ServiceName,
    /// The image to run. Where only `build` is given, the name that Compose would
    /// give to the built image.
    pub image: String,
    /// How to build the image.
    pub build: Option<Build>,
    /// When to pull the image.
    pub pull_policy: Option<PullPolicy>,
    /// `os/arch[/variant]` of the image.
    pub platform: Option<String>,

    /// Arguments, replacing the image's.
    pub command: Option<Vec<String>>,
    /// Entrypoint, replacing the image's; an empty list clears it.
    pub entrypoint: Option<Vec<String>>,
    /// Environment variables, with values resolved.
    pub environment: IndexMap<String, String>,
    /// `user[:group]`, by name or number.
    pub user: Option<String>,
    /// Working directory inside the container.
    pub working_dir: Option<String>,
    /// Host name inside the container.
    pub hostname: Option<String>,
    /// Domain name inside the container.
    pub domainname: Option<String>,
    /// The name that the file gives to the container. Made unique per worker.
    pub container_name: Option<String>,
    /// How many containers of the service a worker has.
    pub replicas: u32,
    /// Allocate a terminal.
    pub tty: bool,
    /// Keep standard input open.
    pub stdin_open: bool,
    /// Run an init process as process 1.
    pub init: Option<bool>,
    /// Labels from the file.
    pub labels: IndexMap<String, String>,

    /// Services to wait for before this one starts.
    pub depends_on: IndexMap<ServiceName, Dependency>,
    /// How the engine checks the container's health. Absent: the image's.
    pub healthcheck: Option<Healthcheck>,
    /// How stackrun sees that the service is ready (`x-stackrun.ready`). Absent: by
    /// the health check, or by having started where there is none.
    pub ready: Option<Ready>,
    /// Signal that asks the container to stop; the image's or `SIGTERM` where absent.
    pub stop_signal: Option<String>,
    /// How long a stop may take before the container is killed.
    pub stop_grace_period: Option<Duration>,
    /// What the engine does when the container exits.
    pub restart: Option<RestartPolicy>,

    /// Ports that are published on the host.
    pub ports: Vec<Port>,
    /// Ports that are open to other services only.
    pub expose: Vec<String>,
    /// Networks by key; empty with a `network_mode`.
    pub networks: IndexMap<String, NetworkAttachment>,
    /// A network other than the project's own.
    pub network_mode: Option<NetworkMode>,
    /// Entries for `/etc/hosts`, as `name=address`.
    pub extra_hosts: Vec<String>,
    /// Name servers.
    pub dns: Vec<String>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// Resolver options.
    pub dns_opt: Vec<String>,
    /// Links as `service[:alias]`.
    pub links: Vec<String>,

    /// Volumes, binds and in-memory file systems.
    pub mounts: Vec<Mount>,
    /// Configs, by key of the top-level `configs`.
    pub configs: Vec<FileMount>,
    /// Secrets, by key of the top-level `secrets`.
    pub secrets: Vec<FileMount>,
    /// Mount the root file system read-only.
    pub read_only: bool,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,

    /// Give the container all capabilities and devices.
    pub privileged: bool,
    /// Capabilities to add.
    pub cap_add: Vec<String>,
    /// Capabilities to drop.
    pub cap_drop: Vec<String>,
    /// Security options, as the engine takes them.
    pub security_opt: Vec<String>,
    /// Supplementary groups.
    pub group_add: Vec<String>,
    /// Host devices.
    pub devices: Vec<Device>,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: IndexMap<String, String>,
    /// Resource limits of processes.
    pub ulimits: IndexMap<String, Ulimit>,
    /// Limits on CPU, memory and processes.
    pub resources: Resources,
    /// `host`, `service:NAME` or `container:ID`.
    pub pid: Option<String>,
    /// `host`, `shareable`, `service:NAME` or `container:ID`.
    pub ipc: Option<String>,
    /// `host`.
    pub uts: Option<String>,
    /// `host`.
    pub userns_mode: Option<String>,
    /// `host` or `private`.
    pub cgroup: Option<String>,
    /// Parent of the container's control group.
    pub cgroup_parent: Option<String>,
    /// OCI runtime.
    pub runtime: Option<String>,
    /// Where the engine keeps the container's output.
    pub logging: Option<Logging>,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// At every `up`.
    Always,
    /// Only when the engine does not have it.
    Missing,
    /// Never; a missing image is an error.
    Never,
    /// Build it, even when it is there.
    Build,
}

/// An entry of `depends_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// What has to be true of the other service.
    pub condition: Condition,
    /// Whether a missing or failed dependency is an error or only a warning.
    pub required: bool,
    /// Whether this service restarts when the other one is recreated.
    pub restart: bool,
}

/// What a dependent waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Condition {
    /// The container runs.
    #[serde(rename = "service_started")]
    Started,
    /// The service is ready.
    #[serde(rename = "service_healthy")]
    Healthy,
    /// The container has exited with code 0.
    #[serde(rename = "service_completed_successfully")]
    CompletedSuccessfully,
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Started => "service_started",
            Self::Healthy => "service_healthy",
            Self::CompletedSuccessfully => "service_completed_successfully",
        })
    }
}

/// `healthcheck`. An absent value means the image's, or else the engine's default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Healthcheck {
    /// What to run; absent: the image's.
    pub test: Option<HealthTest>,
    /// Time between two checks.
    pub interval: Option<Duration>,
    /// Time that one check may take.
    pub timeout: Option<Duration>,
    /// Failures in a row that make the container unhealthy.
    pub retries: Option<u32>,
    /// Time after start in which failures do not count.
    pub start_period: Option<Duration>,
    /// Time between two checks within the start period.
    pub start_interval: Option<Duration>,
}

/// `healthcheck.test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthTest {
    /// `NONE` or `disable: true`: no health check, not even the image's.
    Disabled,
    /// A program and its arguments.
    Command(Vec<String>),
    /// A line for the container's shell.
    Shell(String),
}

/// `x-stackrun.ready` of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// What to try. Absent: the health check, or having started.
    pub probe: Option<Probe>,
    /// Time from the container's start until it must have succeeded.
    pub timeout: Option<Duration>,
}

/// One way to see that a service is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// A GET request from the host.
    Http {
        /// Path and query, starting with `/`.
        path: String,
        /// Port in the container; the first published one where absent.
        port: Option<u16>,
        /// Which status codes count as ready.
        expect: Expect,
    },
    /// A connection from the host that stays open.
    Tcp {
        /// Port in the container; the first published one where absent.
        port: Option<u16>,
    },
    /// A program run in the container that exits with code 0.
    Exec {
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// A line of the container's output that matches.
    Log {
        /// A regular expression in the syntax of the `regex` crate.
        pattern: String,
    },
}

/// The status codes that an HTTP probe takes for success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// 200 to 299.
    Success,
    /// Exactly this one.
    Status(u16),
}

impl Expect {
    /// Whether `status` is what was expected.
    pub fn accepts(self, status: u16) -> bool {
        match self {
            Self::Success => (200..300).contains(&status),
            Self::Status(expected) => status == expected,
        }
    }
}

/// `restart`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    /// Never.
    No,
    /// Whatever the exit code.
    Always,
    /// Whatever the exit code, unless it was stopped by hand.
    UnlessStopped,
    /// When the exit code is not 0, so many times at most.
    OnFailure(Option<u32>),
}

/// A published port. The file's host port and address are kept for `config`; each
/// worker gets an ephemeral port on 127.0.0.1 instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Port in the container.
    pub target: u16,
    /// Host port or range that the file asks for.
    pub published: Option<String>,
    /// Host address that the file asks for.
    pub host_ip: Option<String>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Name of the port, if the file gives one.
    pub name: Option<String>,
    /// Protocol spoken on top, such as `http` or `https`.
    pub app_protocol: Option<String>,
}

/// Transport protocol of a port.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// How a service joins one network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct NetworkAttachment {
    /// Names under which the service is found there, besides its own.
    pub aliases: Vec<String>,
    /// Address that the file asks for.
    pub ipv4_address: Option<Ipv4Addr>,
    /// MAC address that the file asks for.
    pub mac_address: Option<String>,
    /// The network with the highest priority is joined first.
    pub priority: i32,
}

/// `network_mode`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// No network.
    None,
    /// The host's network, shared between all workers.
    Host,
    /// The engine's default bridge, shared between all workers.
    Bridge,
    /// The network of another service of the same worker.
    Service(ServiceName),
    /// The network of a container outside of the project.
    Container(String),
}

/// An entry of `volumes` or `tmpfs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Where, absolute, in the container.
    pub target: String,
    /// Whether the container may only read.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// A volume by its key in the top-level `volumes`; absent: an anonymous one.
    Volume {
        /// The key.
        key: Option<String>,
        /// Do not copy what the image has at the target.
        nocopy: bool,
        /// Path inside the volume.
        subpath: Option<String>,
    },
    /// A file or directory of the host.
    Bind {
        /// Absolute path on the host.
        source: PathBuf,
        /// Create a directory where nothing is.
        create_host_path: bool,
        /// Mount propagation.
        propagation: Option<String>,
        /// SELinux relabelling: `z` or `Z`.
        selinux: Option<String>,
    },
    /// A file system in memory.
    Tmpfs {
        /// Size limit in bytes.
        size: Option<u64>,
        /// Permission bits of its root.
        mode: Option<u32>,
        /// Further mount options, as in `tmpfs: /run:noexec`.
        options: Option<String>,
    },
}

/// A config or secret in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileMount {
    /// Key in the top-level `configs` or `secrets`.
    pub source: String,
    /// Absolute path in the container.
    pub target: String,
    /// Owner.
    pub uid: Option<String>,
    /// Group.
    pub gid: Option<String>,
    /// Permission bits.
    pub mode: Option<u32>,
}

/// An entry of `devices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Path on the host.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// Any of `r`, `w`, `m`.
    pub permissions: String,
}

/// An entry of `ulimits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ulimit {
    /// Soft limit; -1 is unlimited.
    pub soft: i64,
    /// Hard limit; -1 is unlimited.
    pub hard: i64,
}

/// Limits from `deploy.resources` and their older spellings.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Resources {
    /// CPUs; 0.5 is half of one.
    pub cpus: Option<f64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Bytes that are kept free for the container.
    pub memory_reservation: Option<u64>,
    /// Bytes of memory and swap together; -1 is unlimited.
    pub memory_swap: Option<i64>,
    /// Percent, 0 to 100.
    pub memory_swappiness: Option<u8>,
    /// Processes; -1 is unlimited.
    pub pids: Option<i64>,
    /// Relative weight.
    pub cpu_shares: Option<u64>,
    /// Microseconds of CPU time a period.
    pub cpu_quota: Option<i64>,
    /// Microseconds.
    pub cpu_period: Option<i64>,
    /// Keep the container when memory runs out.
    pub oom_kill_disable: bool,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}

/// `logging`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Logging {
    /// Log driver; the engine's default where absent.
    pub driver: Option<String>,
    /// Options of the driver.
    pub options: IndexMap<String, String>,
}
