//! Addresses that a file gives to its containers. Two workers cannot both have them, so
//! each has the ones with the same numbers in subnets of its own.

use std::{
    fmt::Display,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sha2::{Digest, Sha256};

use crate::spec::{Network, NetworkAttachment, Pinned, Project, Service};

use super::PlanError;

/// The addresses of a service in a network.
pub(super) type Addresses = (Option<Pinned<Ipv4Addr>>, Option<Pinned<Ipv6Addr>>);

/// Decides the addresses of a service in a network.
pub(super) fn addresses(
    network: &Network,
    key: &str,
    service: &Service,
    attachment: &NetworkAttachment,
    workers: u32,
) -> Result<Addresses, PlanError> {
    let copies = workers.saturating_mul(service.replicas);
    let check = |address: IpAddr| {
        if network.external && copies > 1 {
            return Err(PlanError::AddressOfMany {
                service: service.name.clone(),
                address,
                network: key.to_owned(),
            });
        }
        match number(network, address) {
            _ if network.external => Ok(None),
            Some(number) if address.is_ipv4() || network.enable_ipv6 => Ok(Some(number)),
            _ => Err(PlanError::AddressWithoutSubnet {
                service: service.name.clone(),
                address,
                network: key.to_owned(),
            }),
        }
    };
    let v4 = attachment.ipv4_address;
    let v4 = v4.map(|it| Ok::<_, PlanError>(pinned(it, check(it.into())?)));
    let v6 = attachment.ipv6_address;
    let v6 = v6.map(|it| Ok::<_, PlanError>(pinned(it, check(it.into())?)));
    Ok((v4.transpose()?, v6.transpose()?))
}

fn pinned<A>(address: A, number: Option<u128>) -> Pinned<A> {
    number.map_or(Pinned::Address(address), Pinned::Host)
}

/// The number of an address in that subnet of the file which has it.
fn number(network: &Network, address: IpAddr) -> Option<u128> {
    let subnets = network.subnets.iter().filter_map(|it| it.parse().ok());
    subnets
        .filter(|subnet: &IpNet| subnet.contains(&address))
        .find_map(|subnet| match (subnet.network(), address) {
            (IpAddr::V4(first), IpAddr::V4(it)) => Some((u32::from(it) - u32::from(first)).into()),
            (IpAddr::V6(first), IpAddr::V6(it)) => Some(u128::from(it) - u128::from(first)),
            _ => None,
        })
}

/// The IPv4 numbers that services have in a network.
fn numbers(project: &Project, key: &str) -> Vec<u32> {
    let Some(network) = project.networks.get(key) else {
        return Vec::new();
    };
    let attachments = project
        .services
        .values()
        .filter_map(|it| it.networks.get(key));
    attachments
        .filter_map(|it| number(network, it.ipv4_address?.into()))
        .filter_map(|number| u32::try_from(number).ok())
        .collect()
}

/// For how many containers a worker's subnet needs room, so that it has all the numbers
/// that the file uses: that of the gateway may come after them.
pub(super) fn room(project: &Project, key: &str, members: usize) -> usize {
    let last = numbers(project, key).into_iter().max().unwrap_or_default();
    members.max(last as usize)
}

/// The number of the gateway, where it matters. The file's counts as far as the worker's
/// subnet has it; the engine would take the first, which may be someone's.
pub(super) fn gateway(project: &Project, key: &str, subnet: Ipv4Net) -> Option<u32> {
    let network = project.networks.get(key)?;
    let last = u32::from(subnet.broadcast()) - u32::from(subnet.network());
    let asked = number(network, network.gateway?.into())?;
    let asked = u32::try_from(asked).ok().filter(|asked| *asked < last);
    let first_is_taken = numbers(project, key).contains(&1);
    asked.or_else(|| first_is_taken.then_some(last - 1))
}

/// A subnet for a network with IPv6. They are so many that one made from the network's
/// name, which is unique on the engine, is free.
pub(super) fn subnet_v6(network: &Network, name: &str) -> Option<Ipv6Net> {
    const USUAL: u8 = 64;
    const LARGEST: u8 = 48;
    if !network.enable_ipv6 {
        return None;
    }
    let asked = network
        .subnets
        .iter()
        .find_map(|it| it.parse::<Ipv6Net>().ok());
    let prefix = asked.map_or(USUAL, |it| it.prefix_len().clamp(LARGEST, USUAL));
    let digest = Sha256::digest(name.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    // RFC 4193: fd, then random bits.
    bytes[0] = 0xfd;
    Some(Ipv6Net::new_assert(bytes.into(), prefix).trunc())
}

/// Says of each address what becomes of it.
pub(super) fn warnings(project: &Project) -> Vec<String> {
    let mut warnings = Vec::new();
    for service in project.services.values() {
        for (key, attachment) in &service.networks {
            let Some(network) = project.networks.get(key).filter(|it| !it.external) else {
                continue;
            };
            let mut say = |address: &dyn Display, number: &dyn Display| {
                warnings.push(format!(
                    "`{}` asks for the address {address} in the network `{key}`: in each worker it \
                     has number {number} of the worker's own subnet instead",
                    service.name
                ));
            };
            if let Some(it) = attachment.ipv4_address
                && let Some(number) = number(network, it.into())
            {
                say(&it, &number);
            }
            if let Some(it) = attachment.ipv6_address
                && let Some(number) = number(network, it.into())
            {
                say(&it, &Ipv6Addr::from(number));
            }
        }
    }
    warnings
}
