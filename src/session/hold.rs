//! Holds loopback addresses against other processes, until containers do by their labels.

use std::{collections::HashMap, net::Ipv4Addr};

use crate::{
    engine::{Engine, EngineError},
    plan::{self, Addresses},
    spec::SessionName,
};

/// Addresses that no other stackrun on this host takes as long as this lives. It ends
/// with the process, however the process ends.
#[derive(Debug, Default)]
pub(super) struct Hold {
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "nothing is held")
    )]
    held: HashMap<Ipv4Addr, Lock>,
}

/// Chooses and holds an address for each worker.
///
/// Held first, looked at afterwards: another session that has let go of an address in
/// between has containers that say so.
pub(super) async fn addresses(
    engine: &dyn Engine,
    session: &SessionName,
    workers: u32,
) -> Result<(Addresses, Hold), EngineError> {
    let mut hold = Hold::default();
    loop {
        let before = engine.observe(None).await?;
        let chosen = plan::addresses(session, workers, &before, |it| hold.take(it));
        let now = engine.observe(None).await?;
        if plan::addresses(session, workers, &now, |it| hold.take(it)) == chosen {
            return Ok((chosen, hold));
        }
    }
}

impl Hold {
    /// Whether the address is free, or held by this process already.
    fn take(&mut self, address: Ipv4Addr) -> bool {
        if self.held.contains_key(&address) {
            return true;
        }
        let lock = lock(address);
        lock.is_some_and(|lock| self.held.insert(address, lock).is_none())
    }
}

#[cfg(target_os = "linux")]
type Lock = std::os::unix::net::UnixListener;

/// A name in the kernel, not in the file system: nothing is left of it when the process
/// is gone.
#[cfg(target_os = "linux")]
fn lock(address: Ipv4Addr) -> Option<Lock> {
    use std::os::{linux::net::SocketAddrExt as _, unix::net::SocketAddr};
    let name = SocketAddr::from_abstract_name(format!("stackrun/{address}")).ok()?;
    Lock::bind_addr(&name).ok()
}

#[cfg(not(target_os = "linux"))]
type Lock = ();

#[cfg(not(target_os = "linux"))]
fn lock(_address: Ipv4Addr) -> Option<Lock> {
    Some(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_holder_at_a_time() {
        let address = Ipv4Addr::new(127, 99, 0, 1);
        let (mut one, mut other) = (Hold::default(), Hold::default());
        assert!(one.take(address));
        assert!(one.take(address));
        assert!(!other.take(address));
        drop(one);
        assert!(other.take(address));
    }
}
