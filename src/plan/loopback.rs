//! Loopback addresses of their own for workers, on which they publish the very ports that
//! the file names.
//!
//! Linux answers on every address of 127.0.0.0/8 without any being set up.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use sha2::{Digest, Sha256};

use crate::spec::{Observed, SessionName, WorkerId, label, observed::Labelled};

/// The address of each worker.
pub type Addresses = BTreeMap<WorkerId, Ipv4Addr>;

/// 127.64.0.0/10: clear of 127.0.0.1, and of the name servers that Linux distributions
/// put at 127.0.0.53 and 127.0.1.1.
const FIRST: u32 = u32::from_be_bytes([127, 64, 0, 0]);
const COUNT: u32 = 1 << 22;

/// Chooses an address for each worker: the one that it has, else one that no other
/// worker of any session has and that `take` agrees to. `observed` is everything on the
/// engine.
pub fn addresses(
    session: &SessionName,
    workers: u32,
    observed: &Observed,
    mut take: impl FnMut(Ipv4Addr) -> bool,
) -> Addresses {
    let (own, others) = in_use(session, observed);
    let mut taken: BTreeSet<Ipv4Addr> = own.values().copied().chain(others).collect();
    let mut candidates = candidates(session);
    let mut addresses = Addresses::new();
    for worker in WorkerId::first(workers) {
        let kept = own.get(&worker).copied();
        let address = kept.or_else(|| candidates.find(|it| !taken.contains(it) && take(*it)));
        // Four million are not used up by a thousand workers at a time.
        if let Some(address) = address {
            taken.insert(address);
            addresses.insert(worker, address);
        }
    }
    addresses
}

/// The addresses of the session's own workers, and those of all others.
fn in_use(session: &SessionName, observed: &Observed) -> (Addresses, Vec<Ipv4Addr>) {
    let mut own = Addresses::new();
    let mut others = Vec::new();
    for container in &observed.containers {
        let address = container.labels.get(label::ADDRESS);
        let Some(address) = address.and_then(|address| address.parse().ok()) else {
            continue;
        };
        match container.worker() {
            Some(worker) if container.session().as_ref() == Some(session) => {
                own.insert(worker, address);
            }
            _ => others.push(address),
        }
    }
    (own, others)
}

/// Every address of the range once, from a place that depends on the session: two
/// sessions that start at the same moment seldom want the same.
fn candidates(session: &SessionName) -> impl Iterator<Item = Ipv4Addr> {
    let digest = Sha256::digest(session.as_str());
    let start = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let numbers = (0..COUNT).map(move |offset| FIRST + (start.wrapping_add(offset)) % COUNT);
    // The first and the last of a subnet are left alone by habit.
    let is_usual = |address: &Ipv4Addr| !matches!(address.octets()[3], 0 | 255);
    numbers.map(Ipv4Addr::from).filter(is_usual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{ObservedContainer, Status, desired::Labels};

    fn session(name: &str) -> SessionName {
        name.parse().expect("a legal name")
    }

    fn container(session: &str, worker: u32, address: Ipv4Addr) -> ObservedContainer {
        ObservedContainer {
            id: String::new(),
            name: String::new(),
            image: String::new(),
            labels: Labels::from([
                (label::SESSION.to_owned(), session.to_owned()),
                (label::WORKER.to_owned(), worker.to_string()),
                (label::ADDRESS.to_owned(), address.to_string()),
            ]),
            status: Status::Running,
            exit_code: None,
            health: None,
            ports: Vec::new(),
        }
    }

    #[test]
    fn a_worker_keeps_its_address_and_gets_no_other_ones() {
        let nothing = Observed::default();
        let first = addresses(&session("a"), 3, &nothing, |_| true);
        let unique: BTreeSet<_> = first.values().collect();
        assert_eq!(unique.len(), 3);
        assert!(first.values().all(Ipv4Addr::is_loopback));
        // Worker 1 is there; what the other session has is what this one would like.
        let wanted = first[&WorkerId(0)];
        let observed = Observed {
            containers: vec![
                container("a", 1, first[&WorkerId(1)]),
                container("b", 0, wanted),
            ],
            ..Observed::default()
        };
        let again = addresses(&session("a"), 3, &observed, |_| true);
        assert_eq!(again[&WorkerId(1)], first[&WorkerId(1)]);
        assert!(again.values().all(|it| *it != wanted));
    }

    #[test]
    fn an_address_that_is_refused_is_not_used() {
        let mut refused = None;
        let chosen = addresses(&session("a"), 1, &Observed::default(), |address| {
            refused.replace(address).is_some()
        });
        assert_ne!(chosen.get(&WorkerId(0)), None);
        assert_eq!(chosen.get(&WorkerId(0)), refused.as_ref());
    }
}
