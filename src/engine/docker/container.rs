//! Containers: their life, and what they are doing.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use bollard::{
    models::{
        ContainerInspectResponse, ContainerStateStatusEnum, EndpointSettings,
        Health as HealthState, HealthStatusEnum, NetworkConnectRequest, PortMap,
    },
    query_parameters::{
        CreateContainerOptions, InspectContainerOptions, KillContainerOptions,
        RemoveContainerOptions, StopContainerOptions, WaitContainerOptions,
    },
};
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;

use crate::{
    engine::{EngineError, Refusal, Result, docker::Docker},
    spec::{
        ContainerSpec, ContainerState, Endpoint, Health, MountKind, Protocol, PublishedPort,
        Recursive, Status,
    },
};

use super::{
    call::{GENEROUS, ORDINARY, call, gone_is_fine, refused, shown},
    create, endpoint, healthcheck, podman, words,
};

/// What the engine grants a container that was created without a grace period.
pub(super) const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// What a stop may take beyond its grace period.
const AFTER_GRACE: Duration = Duration::from_secs(30);

/// Creates a container and has it join its networks.
pub(super) async fn create(docker: &Docker, spec: &ContainerSpec) -> Result<String> {
    let attempted = format!("create container `{}`", spec.name);
    refuse_what_is_too_new(docker, spec, &attempted)?;
    let endpoints = endpoint::located(docker, spec).await?;
    let (with_create, later) = split_endpoints(docker, &endpoints);
    let options = CreateContainerOptions {
        name: Some(spec.name.clone()),
        platform: spec.service.platform.clone().unwrap_or_default(),
    };
    let mut body = create::body(spec, with_create, docker.info.capabilities);
    if docker.is_podman() {
        body = podman::adapted(docker, spec, body).await?;
    }
    let client = endpoint::client(docker, &body, with_create);
    let request = client.create_container(Some(options), body);
    let id = call(&attempted, GENEROUS, request).await?.id;
    for endpoint in later {
        if let Err(error) = connect(docker, spec, &id, endpoint).await {
            // Half a container must not stand in the way of a second attempt. The
            // first error is the one to hear about.
            let _ = remove(&docker.client, &id).await;
            return Err(error);
        }
    }
    Ok(id)
}

/// What an old engine would not refuse but misunderstand.
fn refuse_what_is_too_new(docker: &Docker, spec: &ContainerSpec, attempted: &str) -> Result<()> {
    let can = docker.info.capabilities;
    let subpath = spec.volumes.iter().find_map(|mount| mount.subpath.as_ref());
    if let (Some(subpath), false) = (subpath, can.volume_subpath) {
        let message = format!("mounting `{subpath}` inside a volume takes Docker API 1.45");
        return Err(refused(attempted, 400, message));
    }
    let mounts = &spec.service.mounts;
    let read_only = mounts.iter().find(|mount| {
        let strict = Some(Recursive::ReadOnly);
        matches!(&mount.kind, MountKind::Bind { recursive, .. } if *recursive == strict)
    });
    if let (Some(mount), false) = (read_only, docker.speaks(44)) {
        let target = &mount.target;
        let message = format!("making all mounts below `{target}` read-only takes Docker API 1.44");
        return Err(refused(attempted, 400, message));
    }
    let image = mounts.iter().find_map(|mount| match &mount.kind {
        MountKind::Image { image, .. } => Some(image),
        _ => None,
    });
    if let (Some(image), false) = (image, can.image_mounts) {
        let message = format!("mounting the image `{image}` takes Docker API 1.48");
        return Err(refused(attempted, 400, message));
    }
    Ok(())
}

/// Before API 1.44, a container can be created in one network only.
fn split_endpoints<'a>(
    docker: &Docker,
    endpoints: &'a [Endpoint],
) -> (&'a [Endpoint], &'a [Endpoint]) {
    let all = endpoints.len();
    let at_once = if docker.speaks(44) { all } else { all.min(1) };
    endpoints.split_at(at_once)
}

async fn connect(
    docker: &Docker,
    spec: &ContainerSpec,
    id: &str,
    endpoint: &Endpoint,
) -> Result<()> {
    let attempted = format!(
        "connect container `{}` to network `{}`",
        spec.name, endpoint.network
    );
    let request = NetworkConnectRequest {
        container: id.to_owned(),
        endpoint_config: Some(create::endpoint_settings(
            endpoint,
            docker.info.capabilities,
        )),
    };
    let request = docker.client.connect_network(&endpoint.network, request);
    call(&attempted, GENEROUS, request).await
}

/// Starts a container. The engine's "it runs already" is success to bollard.
pub(super) async fn start(client: &bollard::Docker, container: &str) -> Result<()> {
    let attempted = format!("start container `{}`", shown(container));
    call(
        &attempted,
        GENEROUS,
        client.start_container(container, None),
    )
    .await
}

/// Stops a container.
pub(super) async fn stop(
    client: &bollard::Docker,
    container: &str,
    grace: Option<Duration>,
) -> Result<()> {
    let attempted = format!("stop container `{}`", shown(container));
    let deadline = match grace {
        Some(grace) => grace,
        None => own_grace(client, container).await?,
    };
    let seconds = grace.map(create::whole_seconds);
    let options = StopContainerOptions {
        t: seconds.map(|seconds| i32::try_from(seconds).unwrap_or(i32::MAX)),
        ..StopContainerOptions::default()
    };
    let request = client.stop_container(container, Some(options));
    call(&attempted, deadline.saturating_add(AFTER_GRACE), request).await
}

/// The grace period that a container was created with.
async fn own_grace(client: &bollard::Docker, container: &str) -> Result<Duration> {
    let inspected = inspect_raw(client, container).await?;
    let seconds = inspected.config.and_then(|config| config.stop_timeout);
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Ok(seconds.map_or(DEFAULT_GRACE, Duration::from_secs))
}

/// Sends a signal.
pub(super) async fn kill(client: &bollard::Docker, container: &str, signal: &str) -> Result<()> {
    let attempted = format!("send {signal} to container `{}`", shown(container));
    let options = KillContainerOptions {
        signal: signal.to_owned(),
    };
    let request = client.kill_container(container, Some(options));
    call(&attempted, ORDINARY, request).await
}

/// Removes a container and waits until it is gone.
pub(super) async fn remove(client: &bollard::Docker, container: &str) -> Result<()> {
    let attempted = format!("remove container `{}`", shown(container));
    let options = RemoveContainerOptions {
        force: true,
        v: true,
        link: false,
    };
    let request = client.remove_container(container, Some(options));
    match gone_is_fine(call(&attempted, GENEROUS, request).await) {
        Err(error) if is_being_removed(&error) => {
            let gone = call(&attempted, GENEROUS, is_gone(client, container)).await;
            gone_is_fine(gone)
        }
        other => other,
    }
}

/// Someone else was first. The state of the container does not tell: as long as its
/// process is being killed, Docker 20.10 says that it runs.
fn is_being_removed(error: &EngineError) -> bool {
    matches!(error, EngineError::Refused { refusal: Refusal::Conflict, reply, .. }
        if reply.message.contains("already in progress"))
}

async fn is_gone(client: &bollard::Docker, container: &str) -> Result<(), bollard::errors::Error> {
    use bollard::errors::Error::DockerContainerWaitError;
    let options = WaitContainerOptions {
        condition: "removed".to_owned(),
    };
    let mut wait = client.wait_container(container, Some(options)).boxed();
    match wait.next().await {
        // bollard takes the exit code of the container for an error of the wait.
        None | Some(Ok(_) | Err(DockerContainerWaitError { .. })) => Ok(()),
        Some(Err(error)) => Err(error),
    }
}

/// Inspects a container.
pub(super) async fn inspect(client: &bollard::Docker, container: &str) -> Result<ContainerState> {
    Ok(state(inspect_raw(client, container).await?))
}

async fn inspect_raw(
    client: &bollard::Docker,
    container: &str,
) -> Result<ContainerInspectResponse> {
    let attempted = format!("inspect container `{}`", shown(container));
    let options = None::<InspectContainerOptions>;
    let request = client.inspect_container(container, options);
    call(&attempted, ORDINARY, request.map(words::understood)).await
}

fn state(inspected: ContainerInspectResponse) -> ContainerState {
    let state = inspected.state.unwrap_or_default();
    let network = inspected.network_settings.unwrap_or_default();
    let config = inspected.config.unwrap_or_default();
    let status = status(state.status);
    // Podman goes on naming the ports of a container that is over.
    let ports = network.ports.filter(|_| status.is_up());
    ContainerState {
        id: inspected.id.unwrap_or_default(),
        status,
        exit_code: state.exit_code.unwrap_or_default(),
        oom_killed: state.oom_killed.unwrap_or_default(),
        error: state.error.unwrap_or_default(),
        started_at: state.started_at.as_deref().and_then(moment),
        finished_at: state.finished_at.as_deref().and_then(moment),
        health: state.health.as_ref().and_then(health),
        health_output: state.health.and_then(last_output),
        healthcheck: config.healthcheck.map(healthcheck::from_engine),
        restart_count: inspected
            .restart_count
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or_default(),
        ports: published_ports(ports.unwrap_or_default()),
        addresses: addresses(network.networks.unwrap_or_default()),
    }
}

fn status(status: Option<ContainerStateStatusEnum>) -> Status {
    use ContainerStateStatusEnum as Engine;
    match status {
        Some(Engine::RUNNING | Engine::STOPPING) => Status::Running,
        Some(Engine::PAUSED) => Status::Paused,
        Some(Engine::RESTARTING) => Status::Restarting,
        Some(Engine::REMOVING) => Status::Removing,
        Some(Engine::EXITED) => Status::Exited,
        Some(Engine::DEAD) => Status::Dead,
        Some(Engine::CREATED | Engine::EMPTY) | None => Status::Created,
    }
}

fn health(state: &HealthState) -> Option<Health> {
    match state.status? {
        HealthStatusEnum::STARTING => Some(Health::Starting),
        HealthStatusEnum::HEALTHY => Some(Health::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Health::Unhealthy),
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    }
}

fn last_output(state: HealthState) -> Option<String> {
    state.log?.pop()?.output
}

/// The year 1 is Go's way to say never.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let moment: Timestamp = text.parse().ok()?;
    (moment > Timestamp::UNIX_EPOCH).then_some(moment)
}

fn published_ports(map: PortMap) -> Vec<PublishedPort> {
    let mut ports = Vec::new();
    for (port, bindings) in map {
        let Some((target, protocol)) = parse_port(&port) else {
            continue;
        };
        for binding in bindings.unwrap_or_default() {
            let host_ip = binding.host_ip.and_then(|ip| ip.parse().ok());
            let host_port = binding.host_port.and_then(|port| port.parse().ok());
            if let (Some(host_ip), Some(host_port)) = (host_ip, host_port) {
                ports.push(PublishedPort {
                    target,
                    protocol,
                    host_ip,
                    host_port,
                });
            }
        }
    }
    ports.sort();
    ports
}

/// `5000/tcp`.
pub(super) fn parse_port(port: &str) -> Option<(u16, Protocol)> {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return None,
    };
    Some((number.parse().ok()?, protocol))
}

fn addresses(networks: HashMap<String, EndpointSettings>) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = networks
        .into_values()
        .flat_map(|endpoint| [endpoint.ip_address, endpoint.global_ipv6_address])
        .filter_map(|address| address?.parse().ok())
        .collect();
    addresses.sort();
    addresses
}
