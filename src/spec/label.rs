//! The labels on everything that stackrun creates. A session is found, listed and
//! removed by these alone; no state on disk is needed.

/// Session name.
pub const SESSION: &str = "dev.stackrun.session";
/// Project name.
pub const PROJECT: &str = "dev.stackrun.project";
/// Absolute directory of the project, where `.stackrun/` is.
pub const DIRECTORY: &str = "dev.stackrun.directory";
/// Number of the worker, from 0.
pub const WORKER: &str = "dev.stackrun.worker";
/// Service name.
pub const SERVICE: &str = "dev.stackrun.service";
/// Number of the container among the replicas of its service, from 1.
pub const REPLICA: &str = "dev.stackrun.replica";
/// Loopback address on which the worker publishes its ports, where it has one of its own.
pub const ADDRESS: &str = "dev.stackrun.address";
/// Digest of everything that the container was created from.
pub const CONFIG_HASH: &str = "dev.stackrun.config-hash";
/// The services that this one depends on, separated by commas: stopping in reverse
/// order must not need the Compose file.
pub const DEPENDS_ON: &str = "dev.stackrun.depends-on";
/// What runs in the container before it is stopped, as a JSON list of [`Hook`](super::Hook):
/// stopping must not need the Compose file.
pub const PRE_STOP: &str = "dev.stackrun.pre-stop";
/// Key of a network in the Compose file.
pub const NETWORK: &str = "dev.stackrun.network";
/// Key of a volume in the Compose file.
pub const VOLUME: &str = "dev.stackrun.volume";

/// Compose's project label, set to `<session>-w<worker>` so that Docker's own tools
/// group a worker's containers.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
/// Compose's service label.
pub const COMPOSE_SERVICE: &str = "com.docker.compose.service";
