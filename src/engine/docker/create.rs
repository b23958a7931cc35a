//! From a container's spec to the body of the engine's create request.

use std::{collections::HashMap, time::Duration};

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest as EngineRequest, EndpointIpamConfig,
    EndpointSettings, HostConfig, HostConfigLogConfig, NetworkingConfig, PortBinding, PortMap,
    ResourcesBlkioWeightDevice, ResourcesUlimits, ThrottleDevice,
};
use indexmap::IndexMap;

use crate::{
    engine::Capabilities,
    spec::{Blkio, BlkioDevice, ContainerSpec, Endpoint, Pinned, Resources, Service},
};

use super::{healthcheck, mounts};

/// The body for `spec`, with a place in each of `endpoints`.
pub(super) fn body(
    spec: &ContainerSpec,
    endpoints: &[Endpoint],
    capabilities: Capabilities,
) -> ContainerCreateBody {
    let service = &*spec.service;
    ContainerCreateBody {
        image: Some(service.image.clone()),
        cmd: service.command.clone(),
        entrypoint: service.entrypoint.as_deref().map(entrypoint),
        env: some(environment(service)),
        user: service.user.clone(),
        working_dir: service.working_dir.clone(),
        hostname: service.hostname.clone(),
        domainname: service.domainname.clone(),
        tty: Some(service.tty),
        open_stdin: Some(service.stdin_open),
        labels: Some(spec.labels.clone().into_iter().collect()),
        stop_signal: service.stop_signal.clone(),
        stop_timeout: service.stop_grace_period.map(whole_seconds),
        healthcheck: spec
            .healthcheck
            .as_ref()
            .map(|check| healthcheck::to_engine(check, capabilities.start_interval)),
        exposed_ports: some(exposed_ports(spec)),
        host_config: Some(host_config(spec, capabilities)),
        networking_config: networking(endpoints, capabilities),
        ..ContainerCreateBody::default()
    }
}

/// A container's place in a network.
pub(super) fn endpoint_settings(
    endpoint: &Endpoint,
    capabilities: Capabilities,
) -> EndpointSettings {
    EndpointSettings {
        aliases: some(endpoint.aliases.clone()),
        links: some(endpoint.links.clone()),
        ipam_config: ipam(endpoint),
        mac_address: endpoint
            .mac_address
            .clone()
            .filter(|_| capabilities.endpoint_mac_address),
        gw_priority: endpoint
            .gateway_priority
            .filter(|_| capabilities.gateway_priority),
        driver_opts: some_map(endpoint.driver_opts.clone().into_iter().collect()),
        ..EndpointSettings::default()
    }
}

/// Addresses that are not left to the engine. Those that are told by their number have
/// been looked up before.
fn ipam(endpoint: &Endpoint) -> Option<EndpointIpamConfig> {
    let link_local = endpoint.link_local.iter().map(ToString::to_string);
    let config = EndpointIpamConfig {
        ipv4_address: endpoint.ipv4.and_then(Pinned::address),
        ipv6_address: endpoint.ipv6.and_then(Pinned::address),
        link_local_ips: some(link_local.collect()),
    };
    (config != EndpointIpamConfig::default()).then_some(config)
}

/// Seconds are what the engine counts in; a fraction is rounded up.
pub(super) fn whole_seconds(duration: Duration) -> i64 {
    let partial = u64::from(duration.subsec_nanos() > 0);
    i64::try_from(duration.as_secs().saturating_add(partial)).unwrap_or(i64::MAX)
}

/// To the engine, an empty list means the image's entrypoint, and one empty word means
/// none.
fn entrypoint(words: &[String]) -> Vec<String> {
    match words {
        [] => vec![String::new()],
        words => words.to_vec(),
    }
}

fn environment(service: &Service) -> Vec<String> {
    let variables = service.environment.iter();
    variables
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// There is no restart policy among it: a container that has ended is over, so that its
/// exit code is seen.
fn host_config(spec: &ContainerSpec, capabilities: Capabilities) -> HostConfig {
    let service = &*spec.service;
    let unconfined = service.security_opt.iter().any(|it| it == SYSTEM_PATHS);
    HostConfig {
        network_mode: network_mode(spec),
        port_bindings: port_bindings(spec),
        mounts: some(mounts::mounts(spec, capabilities)),
        binds: some(mounts::binds(service)),
        tmpfs: some_map(mounts::tmpfs(service)),
        volumes_from: some(spec.volumes_from.clone()),
        init: service.init,
        extra_hosts: some(extra_hosts(service)),
        dns: some(service.dns.clone()),
        dns_search: some(service.dns_search.clone()),
        dns_options: some(service.dns_opt.clone()),
        readonly_rootfs: Some(service.read_only),
        shm_size: service.shm_size.map(signed),
        storage_opt: some_map(strings(&service.storage_opt)),
        annotations: some_map(strings(&service.annotations)).filter(|_| capabilities.annotations),
        privileged: Some(service.privileged),
        cap_add: some(service.cap_add.clone()),
        cap_drop: some(service.cap_drop.clone()),
        security_opt: some(security_opt(service)),
        masked_paths: unconfined.then(Vec::new),
        readonly_paths: unconfined.then(Vec::new),
        group_add: some(service.group_add.clone()),
        devices: some(devices(service)),
        device_cgroup_rules: some(service.device_cgroup_rules.clone()),
        device_requests: some(device_requests(service)),
        sysctls: some_map(strings(&service.sysctls)),
        ulimits: some(ulimits(service)),
        pid_mode: spec.pid_mode.clone(),
        ipc_mode: spec.ipc_mode.clone(),
        uts_mode: service.uts.clone(),
        userns_mode: service.userns_mode.clone(),
        cgroupns_mode: service.cgroup.as_deref().and_then(|mode| mode.parse().ok()),
        cgroup_parent: service.cgroup_parent.clone(),
        runtime: service.runtime.clone(),
        isolation: service.isolation.as_deref().and_then(|it| it.parse().ok()),
        log_config: log_config(service),
        ..resources(&service.resources, &service.blkio)
    }
}

/// Not an option of the engine's, but of its command line: it hides no path of `/proc`
/// and `/sys`, and keeps none from being written.
const SYSTEM_PATHS: &str = "systempaths=unconfined";

fn security_opt(service: &Service) -> Vec<String> {
    let options = service.security_opt.iter();
    options.filter(|it| *it != SYSTEM_PATHS).cloned().collect()
}

fn resources(resources: &Resources, blkio: &Blkio) -> HostConfig {
    HostConfig {
        nano_cpus: resources.cpus.map(nano_cpus),
        memory: resources.memory.map(signed),
        memory_reservation: resources.memory_reservation.map(signed),
        memory_swap: resources.memory_swap,
        memory_swappiness: resources.memory_swappiness.map(i64::from),
        pids_limit: resources.pids,
        cpu_shares: resources.cpu_shares.map(signed),
        cpu_quota: resources.cpu_quota,
        cpu_period: resources.cpu_period,
        cpu_realtime_period: resources.cpu_rt_period,
        cpu_realtime_runtime: resources.cpu_rt_runtime,
        cpuset_cpus: resources.cpuset.clone(),
        cpu_count: resources.cpu_count,
        cpu_percent: resources.cpu_percent,
        // The engine warns where the kernel cannot do it, even at `false`.
        oom_kill_disable: resources.oom_kill_disable.then_some(true),
        oom_score_adj: resources.oom_score_adj.map(i64::from),
        blkio_weight: blkio.weight,
        blkio_weight_device: some(weights(&blkio.weight_device)),
        blkio_device_read_bps: some(rates(&blkio.device_read_bps)),
        blkio_device_write_bps: some(rates(&blkio.device_write_bps)),
        blkio_device_read_iops: some(rates(&blkio.device_read_iops)),
        blkio_device_write_iops: some(rates(&blkio.device_write_iops)),
        ..HostConfig::default()
    }
}

fn weights(devices: &[BlkioDevice]) -> Vec<ResourcesBlkioWeightDevice> {
    let weight = |device: &BlkioDevice| ResourcesBlkioWeightDevice {
        path: Some(device.path.clone()),
        weight: usize::try_from(device.value).ok(),
    };
    devices.iter().map(weight).collect()
}

fn rates(devices: &[BlkioDevice]) -> Vec<ThrottleDevice> {
    let rate = |device: &BlkioDevice| ThrottleDevice {
        path: Some(device.path.clone()),
        rate: Some(signed(device.value)),
    };
    devices.iter().map(rate).collect()
}

/// A container is born into its first network; without this, into the engine's
/// default one as well.
fn network_mode(spec: &ContainerSpec) -> Option<String> {
    let first = spec.endpoints.first();
    spec.network_mode
        .clone()
        .or_else(|| first.map(|endpoint| endpoint.network.clone()))
}

fn networking(endpoints: &[Endpoint], capabilities: Capabilities) -> Option<NetworkingConfig> {
    let settings: HashMap<_, _> = endpoints
        .iter()
        .map(|endpoint| {
            let settings = endpoint_settings(endpoint, capabilities);
            (endpoint.network.clone(), settings)
        })
        .collect();
    Some(NetworkingConfig {
        endpoints_config: Some(some_map(settings)?),
    })
}

fn exposed_ports(spec: &ContainerSpec) -> Vec<String> {
    let published = spec
        .publish
        .iter()
        .map(|port| format!("{}/{}", port.target, port.protocol));
    let exposed = spec.service.expose.iter().map(|port| with_protocol(port));
    // In another container's network nothing can be exposed, and the engine says so.
    let shares_network = network_mode(spec).is_some_and(|mode| mode.starts_with("container:"));
    let mut ports: Vec<_> = published
        .chain(exposed.filter(|_| !shares_network))
        .collect();
    ports.sort();
    ports.dedup();
    ports
}

fn with_protocol(port: &str) -> String {
    if port.contains('/') {
        port.to_owned()
    } else {
        format!("{port}/tcp")
    }
}

/// An empty host port has the engine choose a free one.
fn port_bindings(spec: &ContainerSpec) -> Option<PortMap> {
    let mut bindings = PortMap::new();
    for port in &spec.publish {
        let key = format!("{}/{}", port.target, port.protocol);
        let binding = PortBinding {
            host_ip: Some(port.host_ip.to_string()),
            host_port: Some(port.host_port.clone().unwrap_or_default()),
        };
        let all = bindings.entry(key).or_default();
        all.get_or_insert_default().push(binding);
    }
    some_map(bindings)
}

/// The engine separates name and address by a colon.
fn extra_hosts(service: &Service) -> Vec<String> {
    let entries = service.extra_hosts.iter();
    entries.map(|entry| entry.replacen('=', ":", 1)).collect()
}

fn devices(service: &Service) -> Vec<DeviceMapping> {
    let devices = service.devices.iter();
    devices
        .map(|device| DeviceMapping {
            path_on_host: Some(device.source.clone()),
            path_in_container: Some(device.target.clone()),
            cgroup_permissions: Some(device.permissions.clone()),
        })
        .collect()
}

fn device_requests(service: &Service) -> Vec<EngineRequest> {
    let requests = service.device_requests.iter();
    requests
        .map(|request| EngineRequest {
            driver: request.driver.clone(),
            count: request.count,
            device_ids: some(request.ids.clone()),
            // A list of alternatives, of which Compose knows one.
            capabilities: some(vec![request.capabilities.clone()]),
            options: some_map(strings(&request.options)),
        })
        .collect()
}

fn ulimits(service: &Service) -> Vec<ResourcesUlimits> {
    let ulimits = service.ulimits.iter();
    ulimits
        .map(|(name, limit)| ResourcesUlimits {
            name: Some(name.clone()),
            soft: Some(limit.soft),
            hard: Some(limit.hard),
        })
        .collect()
}

fn log_config(service: &Service) -> Option<HostConfigLogConfig> {
    let logging = service.logging.as_ref()?;
    Some(HostConfigLogConfig {
        typ: logging.driver.clone(),
        config: some_map(strings(&logging.options)),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast from float saturates, and no machine has 9 billion CPUs"
)]
fn nano_cpus(cpus: f64) -> i64 {
    (cpus * 1e9).round() as i64
}

/// The engine's sizes are signed.
pub(super) fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn strings(map: &IndexMap<String, String>) -> HashMap<String, String> {
    map.clone().into_iter().collect()
}

/// An empty list is left out of the body: to the engine, absent is its default.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn some_map<V>(map: HashMap<String, V>) -> Option<HashMap<String, V>> {
    (!map.is_empty()).then_some(map)
}

#[cfg(test)]
mod tests;
