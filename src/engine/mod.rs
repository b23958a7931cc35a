//! What a container engine can be asked to do.
//!
//! The trait is small and dumb on purpose: one method, one call. Ordering, waiting,
//! retrying and cleaning up happen once, in `session`, for all engines.
//! An engine never sees a plan, the order of workers or a terminal.

mod config;
mod connect;
mod docker;
mod error;

use std::{path::Path, pin::Pin, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;
use tokio::io::AsyncWrite;

use crate::spec::{
    BuildSpec, ContainerSpec, ContainerState, Health, Healthcheck, NetworkSpec, Observed,
    SessionName, VolumeSpec, desired::TextFile,
};

pub use connect::{Attempt, ConnectError, ConnectRequest, EngineChoice, connect};
pub use error::{EngineError, Refusal, Reply, StepFailure};

/// Shorthand for the result of an engine call.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// A container engine.
///
/// Every method is one request and returns as soon as the engine has answered.
/// Methods that remove treat a thing that is not there as removed.
#[async_trait]
pub trait Engine: Send + Sync {
    /// What this engine is, as it was when the connection was made.
    fn info(&self) -> &EngineInfo;

    /// Lists what carries stackrun's labels: of one session, or of all.
    async fn observe(&self, session: Option<&SessionName>) -> Result<Observed>;

    /// Lists the address ranges of all networks of the engine.
    async fn subnets(&self) -> Result<Vec<IpNet>>;

    /// Looks an image up in the local store.
    async fn image(&self, reference: &str) -> Result<Option<Image>>;

    /// Pulls an image; the stream ends when it is there.
    async fn pull(
        &self,
        reference: &str,
        platform: Option<&str>,
    ) -> BoxStream<'_, Result<PullProgress>>;

    /// Builds an image; the stream ends when it is there, and whoever drops the stream
    /// ends the build. What the engine's builder cannot honour is refused before
    /// anything is sent. A context that is another service's image has to be given as
    /// an image.
    async fn build(&self, spec: &BuildSpec) -> BoxStream<'_, Result<BuildProgress>>;

    /// Loads the images of an archive, as `docker save` writes it, or of an OCI layout:
    /// a directory, or an archive of one. Returns their names.
    async fn load_image(&self, archive: &Path) -> Result<Vec<String>>;

    /// Creates a network.
    async fn create_network(&self, spec: &NetworkSpec) -> Result<()>;

    /// Removes a network.
    async fn remove_network(&self, name: &str) -> Result<()>;

    /// Creates a volume; one of the same name that is there is left as it is.
    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()>;

    /// Removes a volume.
    async fn remove_volume(&self, name: &str) -> Result<()>;

    /// Creates a container and returns its id.
    async fn create_container(&self, spec: &ContainerSpec) -> Result<String>;

    /// Writes files into a container, running or not.
    async fn write_files(&self, container: &str, files: &[TextFile]) -> Result<()>;

    /// Opens the container's output. Called before the container starts, it yields
    /// every byte that the container writes; it ends with the container.
    async fn attach(&self, container: &str) -> Result<OutputStream>;

    /// Starts a container; one that runs is left as it is.
    async fn start_container(&self, container: &str) -> Result<()>;

    /// Asks a container to stop, and kills it when `grace` is over. Returns when it
    /// has stopped.
    async fn stop_container(&self, container: &str, grace: Option<Duration>) -> Result<()>;

    /// Sends a signal to the first process of a container.
    async fn kill_container(&self, container: &str, signal: &str) -> Result<()>;

    /// Removes a container with its anonymous volumes, killing it if it runs.
    async fn remove_container(&self, container: &str) -> Result<()>;

    /// Inspects a container.
    async fn inspect(&self, container: &str) -> Result<ContainerState>;

    /// Reads what the engine has kept of a container's output, with its time stamps.
    /// A failure, even to find the container, is an item of the stream. What is not
    /// UTF-8 may have been replaced: Docker's default log driver keeps text.
    async fn logs(&self, container: &str, options: LogOptions) -> Result<OutputStream>;

    /// Runs a command in a running container.
    async fn exec(&self, container: &str, spec: &ExecSpec) -> Result<ExecProcess>;

    /// Tells a command's terminal its size.
    async fn resize_exec(&self, exec: &str, size: TerminalSize) -> Result<()>;

    /// The exit code of a command, or nothing while it runs.
    async fn exec_exit_code(&self, exec: &str) -> Result<Option<i64>>;

    /// What happens to the containers of a session, from `since` on. The engine is
    /// asked when the stream is first polled, and remembers only so much of what went
    /// before. The stream does not end by itself unless the connection fails.
    fn events(
        &self,
        session: &SessionName,
        since: Timestamp,
    ) -> BoxStream<'static, Result<EngineEvent>>;

    /// The engine's clock.
    async fn now(&self) -> Result<Timestamp>;
}

/// What an engine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngineInfo {
    /// Which product it is.
    pub kind: EngineKind,
    /// Where it was found, as a URL.
    pub endpoint: String,
    /// Its version.
    pub version: String,
    /// The version of the API that is spoken with it.
    pub api_version: String,
    /// Operating system and architecture, as `linux/amd64`.
    pub platform: String,
    /// Kernel of the machine that it runs on.
    pub kernel: String,
    /// 1 or 2, where it tells.
    pub cgroup_version: Option<u8>,
    /// Storage driver.
    pub storage_driver: String,
    /// Where containers' output is kept by default.
    pub logging_driver: String,
    /// Runs without root.
    pub rootless: bool,
    /// Shares the kernel and the network of this process's host, so that the host's
    /// routes matter to it.
    pub local: bool,
    /// Whether containers of a network find each other by name, where it can be told.
    pub resolves_names: Option<bool>,
    /// What it can do beyond the common ground.
    pub capabilities: Capabilities,
}

/// Which product an engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// Docker Engine, or Docker Desktop's.
    Docker,
    /// Podman's Docker-compatible service.
    Podman,
}

impl std::fmt::Display for EngineKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Docker => "Docker",
            Self::Podman => "Podman",
        })
    }
}

/// What an engine can do beyond the common ground. Used where it is there, never
/// depended on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is there or not")]
pub struct Capabilities {
    /// Hands annotations to the OCI runtime (Docker API 1.43).
    pub annotations: bool,
    /// Gives each network of a container a MAC address of its own (Docker API 1.44).
    pub endpoint_mac_address: bool,
    /// Checks health at `start_interval` while a container starts (Docker API 1.44).
    pub start_interval: bool,
    /// Mounts a path inside a volume (Docker API 1.45).
    pub volume_subpath: bool,
    /// Mounts images (Docker API 1.48).
    pub image_mounts: bool,
    /// Lets a container choose the network that has the default route (Docker API
    /// 1.48).
    pub gateway_priority: bool,
    /// Lets a container name its interfaces (Docker API 1.49).
    pub interface_names: bool,
    /// Checks health by itself. Podman has systemd do it, and where there is none,
    /// nobody does.
    pub health_by_itself: bool,
    /// Builds images with BuildKit, and stackrun can ask it to.
    pub buildkit: bool,
}

/// An image in the local store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Content digest of its configuration.
    pub id: String,
    /// Its health check, if it declares one.
    pub healthcheck: Option<Healthcheck>,
    /// TCP ports that it declares with `EXPOSE`.
    pub exposed_ports: Vec<u16>,
    /// Size of all layers, in bytes.
    pub size: u64,
    /// When it was built, where it tells.
    pub created: Option<Timestamp>,
    /// When it was pulled, built or loaded here under its latest name, where the engine
    /// tells.
    pub tagged: Option<Timestamp>,
}

/// One step of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullProgress {
    /// Layer, where the step is about one.
    pub layer: Option<String>,
    /// The engine's words.
    pub status: String,
    /// Bytes done and total, where known.
    pub bytes: Option<(u64, u64)>,
}

/// Something that happened during a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildProgress {
    /// The step, in the engine's words: `[2/3] COPY . .`. Empty where it tells of none.
    pub step: String,
    /// What is new about it.
    pub update: BuildUpdate,
}

/// What is new about a step of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildUpdate {
    /// It has begun.
    Started,
    /// It did not have to be run.
    Cached,
    /// It has been run.
    Done,
    /// It wrote a line.
    Line {
        /// Where.
        stream: StdStream,
        /// What, without the line feed.
        text: String,
    },
    /// Something is on its way, or has arrived.
    Transfer {
        /// The engine's words: `transferring context:`.
        what: String,
        /// Bytes done.
        done: u64,
        /// Bytes in total, where known.
        total: Option<u64>,
    },
}

/// Standard output or standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StdStream {
    /// Standard output; everything, where the container has a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of a container's output: no line, no character is promised to be whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFrame {
    /// Where it was written.
    pub stream: StdStream,
    /// When the engine received it, where the engine tells.
    pub at: Option<Timestamp>,
    /// What was written.
    pub bytes: Bytes,
}

/// A container's or command's output.
pub type OutputStream = BoxStream<'static, Result<OutputFrame>>;

/// Which part of a container's output is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogOptions {
    /// Go on with what is still to come.
    pub follow: bool,
    /// Nothing before this moment.
    pub since: Option<Timestamp>,
    /// Nothing after this moment.
    pub until: Option<Timestamp>,
    /// Only so many of the last lines.
    pub tail: Option<u64>,
}

/// A command to run in a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecSpec {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Give it a terminal.
    pub tty: bool,
    /// Keep its standard input open.
    pub stdin: bool,
    /// `user[:group]`; the container's where absent.
    pub user: Option<String>,
    /// Working directory; the container's where absent.
    pub working_dir: Option<String>,
    /// Further environment variables, as `NAME=value`.
    pub environment: Vec<String>,
    /// Give it all capabilities.
    pub privileged: bool,
}

/// A command that runs in a container.
pub struct ExecProcess {
    /// The engine's id.
    pub id: String,
    /// What it writes; ends with it.
    pub output: OutputStream,
    /// Its standard input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// Size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// Something happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// The container's id.
    pub container: String,
    /// When, by the engine's clock.
    pub at: Timestamp,
    /// What.
    pub kind: EngineEventKind,
}

/// What happened to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineEventKind {
    /// Its process was started.
    Started,
    /// Its process has ended.
    Died,
    /// A process of it was killed for want of memory.
    OutOfMemory,
    /// Its health check has a new verdict.
    Health(Health),
    /// It was removed.
    Removed,
}
