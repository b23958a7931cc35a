//! Networks.

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use ipnet::IpNet;

use crate::{
    engine::{Result, docker::Docker},
    spec::NetworkSpec,
};

use super::{
    call::{ORDINARY, call, gone_is_fine, refused},
    endpoint,
};

/// Creates a network.
pub(super) async fn create(docker: &Docker, spec: &NetworkSpec) -> Result<()> {
    let attempted = format!("create network `{}`", spec.name);
    // Before API 1.44, engines let two networks have the same name unless a check is
    // asked for, which bollard cannot do.
    if !docker.speaks(44) && exists(&docker.client, &spec.name).await? {
        let message = format!("network with name {} already exists", spec.name);
        return Err(refused(&attempted, 409, message));
    }
    call(
        &attempted,
        ORDINARY,
        docker.client.create_network(request(spec)),
    )
    .await?;
    Ok(())
}

/// Removes a network.
pub(super) async fn remove(client: &bollard::Docker, name: &str) -> Result<()> {
    let attempted = format!("remove network `{name}`");
    gone_is_fine(call(&attempted, ORDINARY, client.remove_network(name)).await)
}

/// The address ranges of all networks.
pub(super) async fn subnets(client: &bollard::Docker) -> Result<Vec<IpNet>> {
    let networks = call("list networks", ORDINARY, client.list_networks(None)).await?;
    let ipams = networks.into_iter().filter_map(|network| network.ipam);
    Ok(ipams.flat_map(|ipam| ranges(Some(ipam))).collect())
}

/// The address ranges of one network.
pub(super) async fn ranges_of(client: &bollard::Docker, name: &str) -> Result<Vec<IpNet>> {
    let attempted = format!("look for network `{name}`");
    let network = call(&attempted, ORDINARY, client.inspect_network(name, None)).await?;
    Ok(ranges(network.ipam))
}

/// The address ranges that a network was given.
pub(super) fn ranges(ipam: Option<Ipam>) -> Vec<IpNet> {
    let configs = ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    let subnets = configs.into_iter().filter_map(|config| config.subnet);
    subnets.filter_map(|subnet| subnet.parse().ok()).collect()
}

async fn exists(client: &bollard::Docker, name: &str) -> Result<bool> {
    let attempted = format!("look for network `{name}`");
    match call(&attempted, ORDINARY, client.inspect_network(name, None)).await {
        // A prefix of an id finds a network as well.
        Ok(network) => Ok(network.name.as_deref() == Some(name)),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

fn request(spec: &NetworkSpec) -> NetworkCreateRequest {
    let gateway = spec
        .gateway
        .and_then(|number| endpoint::nth_v4(spec.subnet, number.into()));
    let config = IpamConfig {
        subnet: Some(spec.subnet.to_string()),
        gateway: gateway.map(|gateway| gateway.to_string()),
        ..IpamConfig::default()
    };
    let config_v6 = spec.subnet_v6.map(|subnet| IpamConfig {
        subnet: Some(subnet.to_string()),
        ..IpamConfig::default()
    });
    NetworkCreateRequest {
        name: spec.name.clone(),
        driver: spec.driver.clone(),
        options: Some(spec.driver_opts.clone().into_iter().collect()),
        internal: Some(spec.internal),
        attachable: Some(spec.attachable),
        enable_ipv6: Some(spec.enable_ipv6),
        ipam: Some(Ipam {
            config: Some([config].into_iter().chain(config_v6).collect()),
            ..Ipam::default()
        }),
        labels: Some(spec.labels.clone().into_iter().collect()),
        ..NetworkCreateRequest::default()
    }
}
