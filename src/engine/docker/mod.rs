//! Docker Engine, and whatever speaks its API: Docker Desktop, Podman's service.
//!
//! One file a kind of resource; each holds functions from the domain's types to
//! bollard's and back. [`call`] is how all of them reach the engine.

mod archive;
mod build;
mod call;
mod container;
mod create;
mod credentials;
mod endpoint;
mod events;
mod exec;
mod files;
mod healthcheck;
mod image;
mod info;
mod libpod;
mod logs;
mod mounts;
mod network;
mod observe;
mod podman;
mod volume;
mod wire;
mod words;

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;
use ipnet::IpNet;
use jiff::Timestamp;

use crate::spec::{
    BuildSpec, ContainerSpec, ContainerState, NetworkSpec, Observed, SessionName, VolumeSpec,
    desired::TextFile,
};

use super::{
    BuildProgress, Engine, EngineEvent, EngineInfo, EngineKind, ExecProcess, ExecSpec, Image,
    LogOptions, OutputStream, PullProgress, Result, TerminalSize,
};

pub(super) use credentials::Credentials;

/// bollard gives up a request after so many seconds, streams included. Deadlines are
/// ours to set, call by call, so bollard's is out of the way.
pub(super) const BOLLARD_TIMEOUT: u64 = 10 * 365 * 24 * 60 * 60;

/// An engine that speaks Docker's API.
#[derive(Debug, Clone)]
pub(super) struct Docker {
    client: bollard::Docker,
    info: EngineInfo,
    credentials: Credentials,
}

impl Docker {
    /// Agrees with the engine on a version of the API and asks it what it is.
    pub(super) async fn new(
        client: bollard::Docker,
        endpoint: &str,
        credentials: Credentials,
    ) -> Result<Self> {
        let (client, info) = info::greet(client, endpoint).await?;
        Ok(Self {
            client: wire::corrected(client),
            info,
            credentials,
        })
    }

    fn is_podman(&self) -> bool {
        self.info.kind == EngineKind::Podman
    }

    /// Whether the engine speaks this minor version of API 1, or a later one.
    fn speaks(&self, minor: usize) -> bool {
        info::speaks(&self.client, minor)
    }
}

#[async_trait]
impl Engine for Docker {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    async fn observe(&self, session: Option<&SessionName>) -> Result<Observed> {
        observe::observe(&self.client, session).await
    }

    async fn subnets(&self) -> Result<Vec<IpNet>> {
        network::subnets(&self.client).await
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>> {
        image::inspect(self, reference).await
    }

    async fn pull(
        &self,
        reference: &str,
        platform: Option<&str>,
    ) -> BoxStream<'_, Result<PullProgress>> {
        image::pull(&self.client, &self.credentials, reference, platform).await
    }

    async fn build(&self, spec: &BuildSpec) -> BoxStream<'_, Result<BuildProgress>> {
        build::build(self, spec)
    }

    async fn load_image(&self, archive: &Path) -> Result<Vec<String>> {
        archive::load(self, archive).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<()> {
        network::create(self, spec).await
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        network::remove(&self.client, name).await
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        volume::create(&self.client, spec).await
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        volume::remove(&self.client, name).await
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<String> {
        container::create(self, spec).await
    }

    async fn write_files(&self, container: &str, files: &[TextFile]) -> Result<()> {
        files::write(&self.client, container, files).await
    }

    async fn attach(&self, container: &str) -> Result<OutputStream> {
        logs::attach(&self.client, container).await
    }

    async fn start_container(&self, container: &str) -> Result<()> {
        container::start(&self.client, container).await
    }

    async fn stop_container(&self, container: &str, grace: Option<Duration>) -> Result<()> {
        container::stop(&self.client, container, grace).await
    }

    async fn kill_container(&self, container: &str, signal: &str) -> Result<()> {
        container::kill(&self.client, container, signal).await
    }

    async fn remove_container(&self, container: &str) -> Result<()> {
        container::remove(&self.client, container).await
    }

    async fn inspect(&self, container: &str) -> Result<ContainerState> {
        container::inspect(&self.client, container).await
    }

    async fn logs(&self, container: &str, options: LogOptions) -> Result<OutputStream> {
        Ok(logs::logs(&self.client, container, options))
    }

    async fn exec(&self, container: &str, spec: &ExecSpec) -> Result<ExecProcess> {
        exec::start(&self.client, container, spec).await
    }

    async fn resize_exec(&self, exec: &str, size: TerminalSize) -> Result<()> {
        exec::resize(&self.client, exec, size).await
    }

    async fn exec_exit_code(&self, exec: &str) -> Result<Option<i64>> {
        exec::exit_code(&self.client, exec).await
    }

    fn events(
        &self,
        session: &SessionName,
        since: Timestamp,
    ) -> BoxStream<'static, Result<EngineEvent>> {
        events::events(&self.client, session, since)
    }

    async fn now(&self) -> Result<Timestamp> {
        info::now(&self.client).await
    }
}
