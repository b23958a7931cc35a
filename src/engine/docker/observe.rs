//! Everything on the engine that carries stackrun's labels.

use std::collections::HashMap;

use bollard::{
    models::{
        ContainerSummary, ContainerSummaryStateEnum, Network, PortSummary, PortSummaryTypeEnum,
        Volume,
    },
    query_parameters::{ListContainersOptions, ListNetworksOptions, ListVolumesOptions},
};
use futures::FutureExt;

use crate::{
    engine::Result,
    spec::{
        Health, Observed, ObservedContainer, ObservedNetwork, ObservedVolume, Protocol,
        PublishedPort, SessionName, Status, label,
    },
};

use super::{
    call::{ORDINARY, call},
    network, words,
};

/// Lists what belongs to a session, or to any.
pub(super) async fn observe(
    client: &bollard::Docker,
    session: Option<&SessionName>,
) -> Result<Observed> {
    let filters = Some(filters(session));
    let containers = ListContainersOptions {
        all: true,
        filters: filters.clone(),
        ..ListContainersOptions::default()
    };
    let networks = ListNetworksOptions {
        filters: filters.clone(),
    };
    let volumes = ListVolumesOptions { filters };
    let (containers, networks, volumes) = tokio::try_join!(
        call(
            "list containers",
            ORDINARY,
            client
                .list_containers(Some(containers))
                .map(words::understood)
        ),
        call(
            "list networks",
            ORDINARY,
            client.list_networks(Some(networks))
        ),
        call("list volumes", ORDINARY, client.list_volumes(Some(volumes))),
    )?;
    Ok(Observed {
        containers: containers.into_iter().map(observed_container).collect(),
        networks: networks.into_iter().map(observed_network).collect(),
        volumes: volumes
            .volumes
            .unwrap_or_default()
            .into_iter()
            .map(observed_volume)
            .collect(),
    })
}

fn filters(session: Option<&SessionName>) -> HashMap<String, Vec<String>> {
    let wanted = match session {
        Some(session) => format!("{}={session}", label::SESSION),
        None => label::SESSION.to_owned(),
    };
    HashMap::from([("label".to_owned(), vec![wanted])])
}

fn observed_container(summary: ContainerSummary) -> ObservedContainer {
    let words = summary.status.unwrap_or_default();
    let names = summary.names.unwrap_or_default();
    let name = names
        .first()
        .map_or("", |name| name.trim_start_matches('/'));
    ObservedContainer {
        id: summary.id.unwrap_or_default(),
        name: name.to_owned(),
        image: summary.image.unwrap_or_default(),
        labels: summary.labels.unwrap_or_default().into_iter().collect(),
        status: status(summary.state),
        exit_code: exit_code(&words),
        health: health(&words),
        ports: ports(summary.ports.unwrap_or_default()),
    }
}

fn observed_network(network: Network) -> ObservedNetwork {
    ObservedNetwork {
        name: network.name.unwrap_or_default(),
        labels: network.labels.unwrap_or_default().into_iter().collect(),
        subnets: network::ranges(network.ipam),
    }
}

fn observed_volume(volume: Volume) -> ObservedVolume {
    ObservedVolume {
        name: volume.name,
        labels: volume.labels.into_iter().collect(),
    }
}

fn status(state: Option<ContainerSummaryStateEnum>) -> Status {
    use ContainerSummaryStateEnum as Engine;
    match state {
        Some(Engine::RUNNING | Engine::STOPPING) => Status::Running,
        Some(Engine::PAUSED) => Status::Paused,
        Some(Engine::RESTARTING) => Status::Restarting,
        Some(Engine::REMOVING) => Status::Removing,
        Some(Engine::EXITED) => Status::Exited,
        Some(Engine::DEAD) => Status::Dead,
        Some(Engine::CREATED | Engine::EMPTY) | None => Status::Created,
    }
}

/// Only a sentence for people tells the exit code: `Exited (137) 3 minutes ago`.
fn exit_code(words: &str) -> Option<i64> {
    let rest = words.strip_prefix("Exited (")?;
    rest.split_once(')')?.0.parse().ok()
}

/// And so it is with the health: `Up 3 minutes (health: starting)`. Only API 1.52 gave
/// it a field of its own.
fn health(words: &str) -> Option<Health> {
    let (_, verdict) = words.strip_suffix(')')?.rsplit_once('(')?;
    match verdict {
        "healthy" => Some(Health::Healthy),
        "unhealthy" => Some(Health::Unhealthy),
        "health: starting" | "starting" => Some(Health::Starting),
        _ => None,
    }
}

fn ports(summaries: Vec<PortSummary>) -> Vec<PublishedPort> {
    let mut ports: Vec<_> = summaries.into_iter().filter_map(port).collect();
    ports.sort();
    ports
}

fn port(summary: PortSummary) -> Option<PublishedPort> {
    let protocol = match summary.typ? {
        PortSummaryTypeEnum::TCP => Protocol::Tcp,
        PortSummaryTypeEnum::UDP => Protocol::Udp,
        PortSummaryTypeEnum::SCTP => Protocol::Sctp,
        PortSummaryTypeEnum::EMPTY => return None,
    };
    Some(PublishedPort {
        target: summary.private_port,
        protocol,
        host_ip: summary.ip?.parse().ok()?,
        host_port: summary.public_port?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_tells_the_exit_code() {
        assert_eq!(exit_code("Exited (137) 3 minutes ago"), Some(137));
        assert_eq!(exit_code("Up 3 minutes"), None);
    }

    #[test]
    fn the_sentence_tells_the_health() {
        let verdicts = [
            "Up 3 minutes (healthy)",
            "Up 1 second (health: starting)",
            "Up 3 minutes (unhealthy)",
            "Up 3 minutes (Paused)",
            "Up 3 minutes",
        ]
        .map(health);
        assert_eq!(
            verdicts,
            [
                Some(Health::Healthy),
                Some(Health::Starting),
                Some(Health::Unhealthy),
                None,
                None
            ]
        );
    }
}
