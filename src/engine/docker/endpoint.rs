//! What a container's places in networks need beyond the create request: addresses that
//! are told by their number, and a MAC address where engines used to want it.

use std::net::{Ipv4Addr, Ipv6Addr};

use bollard::{BollardRequest, models::ContainerCreateBody};
use bytes::Bytes;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    engine::Result,
    spec::{ContainerSpec, Endpoint, Pinned},
};

use super::{Docker, call::refused, network};

/// The endpoints of a container with every address known: the engine is asked which
/// subnet a network has in the end.
pub(super) async fn located(docker: &Docker, spec: &ContainerSpec) -> Result<Vec<Endpoint>> {
    let mut endpoints = spec.endpoints.clone();
    for endpoint in &mut endpoints {
        let by_number = matches!(endpoint.ipv4, Some(Pinned::Host(_)))
            || matches!(endpoint.ipv6, Some(Pinned::Host(_)));
        if by_number {
            let ranges = network::ranges_of(&docker.client, &endpoint.network).await?;
            locate(endpoint, &ranges).map_err(|number| {
                let network = &endpoint.network;
                let message = format!(
                    "no subnet of the network `{network}` has an address with the number \
                     {number}; the network has to be removed to get a larger one"
                );
                refused(&format!("create container `{}`", spec.name), 400, message)
            })?;
        }
    }
    Ok(endpoints)
}

/// Fills in addresses; fails with a number that no range has.
fn locate(endpoint: &mut Endpoint, ranges: &[IpNet]) -> std::result::Result<(), u128> {
    if let Some(Pinned::Host(number)) = endpoint.ipv4 {
        let found = ranges.iter().find_map(|range| match range {
            IpNet::V4(range) => nth_v4(*range, number),
            IpNet::V6(_) => None,
        });
        endpoint.ipv4 = Some(Pinned::Address(found.ok_or(number)?));
    }
    if let Some(Pinned::Host(number)) = endpoint.ipv6 {
        let found = ranges.iter().find_map(|range| match range {
            IpNet::V6(range) => nth_v6(*range, number),
            IpNet::V4(_) => None,
        });
        endpoint.ipv6 = Some(Pinned::Address(found.ok_or(number)?));
    }
    Ok(())
}

/// The address with a number in a subnet.
pub(super) fn nth_v4(range: Ipv4Net, number: u128) -> Option<Ipv4Addr> {
    let address = u32::from(range.network()).checked_add(u32::try_from(number).ok()?)?;
    Some(Ipv4Addr::from(address)).filter(|address| range.contains(address))
}

fn nth_v6(range: Ipv6Net, number: u128) -> Option<Ipv6Addr> {
    let address = u128::from(range.network()).checked_add(number)?;
    Some(Ipv6Addr::from(address)).filter(|address| range.contains(address))
}

/// The client that creates the container. Engines before API 1.44 want a MAC address in
/// a place that bollard does not know, so the request is put together here.
pub(super) fn client(
    docker: &Docker,
    body: &ContainerCreateBody,
    endpoints: &[Endpoint],
) -> bollard::Docker {
    let client = docker.client.clone();
    let mac_address = endpoints
        .first()
        .and_then(|endpoint| endpoint.mac_address.as_ref())
        .filter(|_| !docker.info.capabilities.endpoint_mac_address);
    let Some(mac_address) = mac_address else {
        return client;
    };
    let mut body = serde_json::to_value(body).expect("plain data with string keys becomes JSON");
    body["MacAddress"] = mac_address.as_str().into();
    let body = Bytes::from(body.to_string());
    let version = format!("/v{}", client.client_version());
    client.with_request_modifier(move |request| with_body(request, &version, body.clone()))
}

/// Takes the place of the client's other corrections, of which this request needs the
/// version in its path.
fn with_body(mut request: BollardRequest, version: &str, body: Bytes) -> BollardRequest {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    if let Some(target) = &parts.path_and_query
        && !target.as_str().starts_with("/v1.")
    {
        parts.path_and_query = format!("{version}{target}").parse().ok();
    }
    if let Ok(uri) = parts.try_into() {
        *request.uri_mut() = uri;
    }
    *request.body_mut() = bollard::body_full(body);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_leads_to_an_address_of_the_subnet() {
        let mut endpoint = Endpoint {
            ipv4: Some(Pinned::Host(10)),
            ipv6: Some(Pinned::Host(0x10)),
            ..Endpoint::default()
        };
        let ranges = ["10.0.0.16/28", "fd00:1::/64"].map(|range| range.parse().expect("a range"));
        locate(&mut endpoint, &ranges).expect("both are there");
        assert_eq!(
            endpoint.ipv4.and_then(Pinned::address),
            Some("10.0.0.26".into())
        );
        assert_eq!(
            endpoint.ipv6.and_then(Pinned::address),
            Some("fd00:1::10".into())
        );
    }

    #[test]
    fn a_number_that_the_subnet_does_not_have_is_told() {
        let mut endpoint = Endpoint {
            ipv4: Some(Pinned::Host(16)),
            ..Endpoint::default()
        };
        let ranges = ["10.0.0.16/28".parse().expect("a range")];
        assert_eq!(locate(&mut endpoint, &ranges), Err(16));
    }
}
