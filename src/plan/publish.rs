//! Where a container's ports are found on the host.

use std::net::Ipv4Addr;

use crate::{
    engine::Image,
    spec::{NetworkMode, Protocol, Service, desired::PublishRequest},
};

use super::{PlanError, readiness};

/// What the file publishes, and what a probe from the host needs, each once.
///
/// Two copies must not collide. A worker with an address of its own has the very ports
/// that the file names; without one, whatever the file names, it gets ephemeral ports of
/// 127.0.0.1: the literal, because random ports of IPv4 and IPv6 differ (moby#42442).
pub(super) fn publish(
    service: &Service,
    image: Option<&Image>,
    address: Option<Ipv4Addr>,
) -> Result<Vec<PublishRequest>, PlanError> {
    if matches!(
        service.network_mode,
        Some(NetworkMode::Host | NetworkMode::None)
    ) {
        return Ok(Vec::new());
    }
    let request = |target, protocol, host_port| PublishRequest {
        target,
        protocol,
        host_ip: address.unwrap_or(Ipv4Addr::LOCALHOST).into(),
        host_port,
    };
    let mut requests: Vec<_> = service
        .ports
        .iter()
        .map(|port| {
            let host_port = port.published.clone().filter(|_| address.is_some());
            request(port.target, port.protocol, host_port)
        })
        .collect();
    if let Some(port) = readiness::probe_port(service, image)?
        && !service
            .ports
            .iter()
            .any(|it| it.target == port && it.protocol == Protocol::Tcp)
    {
        requests.push(request(port, Protocol::Tcp, None));
    }
    requests.sort();
    requests.dedup();
    Ok(requests)
}
