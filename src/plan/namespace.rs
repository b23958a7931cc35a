//! Containers that live in the namespaces of others.

use crate::spec::{ContainerSpec, NetworkMode, Service, ServiceName};

/// The services whose namespaces a service shares.
pub(super) fn namespaces(service: &Service) -> impl Iterator<Item = ServiceName> {
    let network = match &service.network_mode {
        Some(NetworkMode::Service(name)) => Some(name.clone()),
        _ => None,
    };
    let modes = [&service.pid, &service.ipc].into_iter().flatten();
    let modes = modes.filter_map(|mode| mode.strip_prefix("service:")?.parse().ok());
    network.into_iter().chain(modes)
}

/// `network_mode: service:x` and its like join a container that must be there when this
/// one is created, and be running when it starts.
pub(super) fn joins_another(spec: &ContainerSpec) -> bool {
    let modes = [&spec.network_mode, &spec.pid_mode, &spec.ipc_mode];
    let mut modes = modes.into_iter().flatten();
    modes.any(|mode| mode.starts_with("container:")) || !spec.volumes_from.is_empty()
}
