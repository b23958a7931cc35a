//! Gathers what a plan depends on.

use std::{collections::BTreeMap, fs, net::Ipv4Addr};

use futures::{StreamExt, TryStreamExt, stream};
use ipnet::{IpNet, Ipv4Net};

use crate::{
    engine::{Engine, EngineError},
    plan::{self, World},
    spec::{Project, SessionName},
};

/// Questions to the engine under way at a time.
const QUESTIONS: usize = 8;

/// Looks at what is there.
pub(super) async fn observe(
    engine: &dyn Engine,
    project: &Project,
    session: &SessionName,
) -> Result<World, EngineError> {
    let images = stream::iter(plan::image_names(project))
        .map(|name| async move { Ok((name.clone(), engine.image(&name).await?)) })
        .buffer_unordered(QUESTIONS)
        .try_filter_map(|(name, image)| async move { Ok(image.map(|image| (name, image))) })
        .try_collect::<BTreeMap<_, _>>();
    let (images, observed, mut taken) =
        tokio::try_join!(images, engine.observe(Some(session)), engine.subnets())?;
    if engine.info().local {
        taken.extend(host_routes());
    }
    Ok(World {
        observed,
        images,
        taken,
        capabilities: engine.info().capabilities,
    })
}

/// The address ranges that this host has a route to, where that can be known.
fn host_routes() -> Vec<IpNet> {
    fs::read_to_string("/proc/net/route")
        .map(|table| parse_routes(&table))
        .unwrap_or_default()
}

/// Reads the kernel's table: a header, then `iface destination gateway flags … mask …`
/// with addresses as hexadecimal numbers in the byte order of the machine.
fn parse_routes(table: &str) -> Vec<IpNet> {
    let route = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let destination = address(fields.nth(1)?)?;
        let mask = address(fields.nth(5)?)?;
        Ipv4Net::with_netmask(destination, mask).ok().map(IpNet::V4)
    };
    table.lines().skip(1).filter_map(route).collect()
}

fn address(hex: &str) -> Option<Ipv4Addr> {
    u32::from_str_radix(hex, 16)
        .ok()
        .map(|number| Ipv4Addr::from(number.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn routes_are_read_from_the_kernels_table() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     tun0\t0000D50A\t00000000\t0001\t0\t0\t0\t0080FFFF\t0\t0\t0\n\
                     garbage\n";
        let routes: Vec<String> = parse_routes(table)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(routes, ["0.0.0.0/0", "10.213.0.0/17"]);
    }
}
