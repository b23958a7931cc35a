//! Small subnets from a pool, clear of everything that is taken.
//!
//! Engines have a pool of their own, but Docker's default ends at about 31
//! networks, and leaves the host's VPN routes out of account.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use sha2::{Digest, Sha256};

use crate::spec::SubnetPool;

/// Hands out subnets of a pool that overlap nothing, each once.
#[derive(Debug, Clone, Default)]
pub struct SubnetAllocator {
    pool: SubnetPool,
    taken: Vec<(u32, u32)>,
    start: u32,
}

/// No subnet is left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no free /{prefix} subnet is left in the pool {pool}")]
pub struct PoolExhausted {
    /// The pool.
    pub pool: Ipv4Net,
    /// The size that was wanted, as a prefix length.
    pub prefix: u8,
}

/// The smallest subnet: 16 addresses, 13 containers.
const SMALLEST: u8 = 28;

impl SubnetAllocator {
    /// Prepares to allocate from `pool`.
    ///
    /// `salt` decides where the search begins, so that two sessions that start at
    /// the same moment seldom try the same subnet.
    pub fn new(pool: SubnetPool, taken: &[IpNet], salt: &str) -> Self {
        let taken = taken.iter().filter_map(|net| match net {
            // A default route covers everything and says nothing.
            IpNet::V4(net) if net.prefix_len() > 0 => Some(bounds(*net)),
            _ => None,
        });
        let digest = Sha256::digest(salt.as_bytes());
        let start = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        Self {
            pool,
            taken: taken.collect(),
            start,
        }
    }

    /// Takes a subnet with room for `containers`.
    pub fn allocate(&mut self, containers: usize) -> Result<Ipv4Net, PoolExhausted> {
        let pool = self.pool.range;
        let prefix = prefix_for(containers).max(pool.prefix_len());
        let size = 1_u64 << (32 - prefix);
        let slots = (1_u64 << (32 - pool.prefix_len())) / size;
        let base = u64::from(u32::from(pool.network()));
        for offset in 0..slots {
            let slot = (u64::from(self.start) + offset) % slots;
            let first = base + slot * size;
            let (Ok(first), Ok(last)) = (u32::try_from(first), u32::try_from(first + size - 1))
            else {
                continue;
            };
            if self.is_free(first, last) {
                self.taken.push((first, last));
                return Ok(Ipv4Net::new_assert(Ipv4Addr::from(first), prefix));
            }
        }
        Err(PoolExhausted { pool, prefix })
    }

    fn is_free(&self, first: u32, last: u32) -> bool {
        self.taken
            .iter()
            .all(|(from, to)| last < *from || *to < first)
    }
}

fn bounds(net: Ipv4Net) -> (u32, u32) {
    (u32::from(net.network()), u32::from(net.broadcast()))
}

/// Network, gateway and broadcast address are not for containers.
fn prefix_for(containers: usize) -> u8 {
    let needed = containers as u64 + 3;
    (1..=SMALLEST)
        .rev()
        .find(|prefix| 1_u64 << (32 - prefix) >= needed)
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pool(range: &str) -> SubnetPool {
        SubnetPool {
            range: range.parse().unwrap(),
        }
    }

    #[test]
    fn a_subnet_has_room_for_its_containers() {
        assert_eq!(
            [1, 13, 14, 29, 253, 254].map(prefix_for),
            [28, 28, 27, 27, 24, 23]
        );
    }

    #[test]
    fn an_exhausted_pool_says_so() {
        let mut subnets = SubnetAllocator::new(pool("10.0.0.0/27"), &[], "");
        assert!(subnets.allocate(3).is_ok());
        assert!(subnets.allocate(3).is_ok());
        let error = subnets.allocate(3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no free /28 subnet is left in the pool 10.0.0.0/27"
        );
    }

    #[test]
    fn a_default_route_takes_nothing() {
        let default_route = "0.0.0.0/0".parse().unwrap();
        let mut subnets = SubnetAllocator::new(pool("10.0.0.0/24"), &[default_route], "");
        assert!(subnets.allocate(1).is_ok());
    }

    proptest! {
        #[test]
        fn subnets_overlap_neither_each_other_nor_what_is_taken(
            salt in ".{0,8}",
            taken in proptest::collection::vec((0_u32..65_536, 20_u8..=32), 0..20),
            sizes in proptest::collection::vec(1_usize..40, 1..64),
        ) {
            let taken: Vec<IpNet> = taken
                .into_iter()
                .map(|(host, prefix)| {
                    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 213, 0, 0)) + host);
                    IpNet::V4(Ipv4Net::new_assert(address, prefix).trunc())
                })
                .collect();
            let mut subnets = SubnetAllocator::new(SubnetPool::DEFAULT, &taken, &salt);
            let mut all = taken.clone();
            for size in sizes {
                let Ok(subnet) = subnets.allocate(size) else { continue };
                prop_assert!(SubnetPool::DEFAULT.range.contains(&subnet));
                let subnet = IpNet::V4(subnet);
                for other in &all {
                    prop_assert!(!other.contains(&subnet) && !subnet.contains(other));
                }
                all.push(subnet);
            }
        }
    }
}
