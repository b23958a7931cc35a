//! One worker's container of a service, with every name and label decided.

use std::{net::Ipv4Addr, sync::Arc};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    engine::Image,
    spec::{
        ContainerSpec, Endpoint, MountKind, NetworkMode, Project, Protocol, Service, VolumeMount,
        desired::PublishRequest, label,
    },
    text,
};

use super::{Naming, PlanError, Replica, World, files::files, readiness};

/// Something that workers share, so that their isolation ends there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shared {
    /// `network`, `volume`, `host directory`, `host network`.
    pub what: &'static str,
    /// Its name or path.
    pub name: String,
    /// The services that use it.
    pub services: Vec<String>,
}

/// Decides everything about one container.
pub(super) fn container(
    project: &Project,
    naming: &Naming<'_>,
    world: &World,
    replica: &Replica,
    service: &Arc<Service>,
) -> Result<ContainerSpec, PlanError> {
    let image = world.images.get(&service.image);
    let files = files(project, service)?;
    let mut spec = ContainerSpec {
        name: naming.container(replica),
        labels: naming.labels(replica.worker),
        endpoints: endpoints(project, naming, replica, service),
        network_mode: network_mode(naming, replica, service),
        publish: publish(service, image)?,
        volumes: volumes(project, naming, replica, service),
        file_binds: files.binds,
        text_files: files.texts,
        healthcheck: readiness::tuned_healthcheck(service, image, world.capabilities),
        service: Arc::clone(service),
    };
    let dependencies: Vec<&str> = service.depends_on.keys().map(AsRef::as_ref).collect();
    spec.labels.extend([
        (label::SERVICE.to_owned(), service.name.to_string()),
        (label::REPLICA.to_owned(), replica.number.to_string()),
        (label::DEPENDS_ON.to_owned(), dependencies.join(",")),
        (label::COMPOSE_SERVICE.to_owned(), service.name.to_string()),
    ]);
    if !service.pre_stop.is_empty() {
        let hooks = serde_json::to_string(&service.pre_stop).expect("plain data becomes JSON");
        spec.labels.insert(label::PRE_STOP.to_owned(), hooks);
    }
    // The file's labels come last and cannot take the place of ours.
    for (name, value) in &service.labels {
        spec.labels
            .entry(name.clone())
            .or_insert_with(|| value.clone());
    }
    spec.labels
        .insert(label::CONFIG_HASH.to_owned(), config_hash(&spec, image));
    Ok(spec)
}

/// Digest of what the container is made from, the image's content included.
fn config_hash(spec: &ContainerSpec, image: Option<&Image>) -> String {
    let service = without_readiness(&spec.service);
    // Texts hide when they are serialised.
    let texts: Vec<&str> = spec
        .text_files
        .iter()
        .map(|file| file.text.expose())
        .collect();
    let parts = (spec, service, image.map(|image| &image.id), texts);
    let json = serde_json::to_vec(&parts).expect("plain data with string keys becomes JSON");
    Sha256::digest(json)
        .iter()
        .take(16)
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// How readiness is seen is stackrun's business: changing it does not make another
/// container.
fn without_readiness(service: &Service) -> Service {
    Service {
        ready: None,
        build: None,
        pull_policy: None,
        replicas: 1,
        ..service.clone()
    }
}

fn endpoints(
    project: &Project,
    naming: &Naming<'_>,
    replica: &Replica,
    service: &Service,
) -> Vec<Endpoint> {
    let mut networks: Vec<_> = service.networks.iter().collect();
    networks.sort_by_key(|(_, attachment)| std::cmp::Reverse(attachment.priority));
    networks
        .into_iter()
        .map(|(key, attachment)| {
            let mut aliases = vec![service.name.to_string()];
            aliases.extend(attachment.aliases.iter().cloned());
            aliases.extend(service.container_name.clone());
            Endpoint {
                network: network_name(project, naming, replica, key),
                aliases,
            }
        })
        .collect()
}

fn network_name(project: &Project, naming: &Naming<'_>, replica: &Replica, key: &str) -> String {
    match project.networks.get(key) {
        Some(network) if network.external => network.name.clone().unwrap_or_else(|| key.to_owned()),
        _ => naming.resource(replica.worker, key),
    }
}

fn network_mode(naming: &Naming<'_>, replica: &Replica, service: &Service) -> Option<String> {
    Some(match service.network_mode.as_ref()? {
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::Bridge => "bridge".to_owned(),
        NetworkMode::Container(container) => format!("container:{container}"),
        NetworkMode::Service(name) => {
            let other = Replica {
                worker: replica.worker,
                service: name.clone(),
                number: 1,
            };
            format!("container:{}", naming.container(&other))
        }
    })
}

/// What the file publishes, and what a probe from the host needs, each once. Whatever
/// host port the file names, every worker gets an ephemeral one: two copies must not
/// collide. The literal 127.0.0.1, because random ports of IPv4 and IPv6 differ
/// (moby#42442).
fn publish(service: &Service, image: Option<&Image>) -> Result<Vec<PublishRequest>, PlanError> {
    if matches!(
        service.network_mode,
        Some(NetworkMode::Host | NetworkMode::None)
    ) {
        return Ok(Vec::new());
    }
    let declared = service
        .ports
        .iter()
        .map(|port| (port.target, port.protocol));
    let probed = readiness::probe_port(service, image)?.map(|port| (port, Protocol::Tcp));
    let mut requests: Vec<_> = declared
        .chain(probed)
        .map(|(target, protocol)| PublishRequest {
            target,
            protocol,
            host_ip: Ipv4Addr::LOCALHOST.into(),
        })
        .collect();
    requests.sort();
    requests.dedup();
    Ok(requests)
}

fn volumes(
    project: &Project,
    naming: &Naming<'_>,
    replica: &Replica,
    service: &Service,
) -> Vec<VolumeMount> {
    let named = service.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume {
            key: Some(key),
            nocopy,
            subpath,
        } => Some((mount, key, nocopy, subpath)),
        _ => None,
    });
    named
        .map(|(mount, key, nocopy, subpath)| VolumeMount {
            volume: volume_name(project, naming, replica, key),
            target: mount.target.clone(),
            read_only: mount.read_only,
            nocopy: *nocopy,
            subpath: subpath.clone(),
        })
        .collect()
}

fn volume_name(project: &Project, naming: &Naming<'_>, replica: &Replica, key: &str) -> String {
    match project.volumes.get(key) {
        Some(volume) if volume.external => volume.name.clone().unwrap_or_else(|| key.to_owned()),
        _ => naming.resource(replica.worker, key),
    }
}

/// What the workers of a project share.
pub(super) fn shared(project: &Project) -> Vec<Shared> {
    let mut found: Vec<Shared> = Vec::new();
    let mut note = |what: &'static str, name: String, service: &Service| {
        let service = service.name.to_string();
        match found
            .iter_mut()
            .find(|shared| shared.what == what && shared.name == name)
        {
            Some(shared) => shared.services.push(service),
            None => found.push(Shared {
                what,
                name,
                services: vec![service],
            }),
        }
    };
    for service in project.services.values() {
        for key in service.networks.keys() {
            if project
                .networks
                .get(key)
                .is_some_and(|network| network.external)
            {
                note("external network", key.clone(), service);
            }
        }
        for mount in &service.mounts {
            match &mount.kind {
                MountKind::Volume { key: Some(key), .. }
                    if project
                        .volumes
                        .get(key)
                        .is_some_and(|volume| volume.external) =>
                {
                    note("external volume", key.clone(), service);
                }
                MountKind::Bind { source, .. } if !mount.read_only => {
                    note("host directory", source.display().to_string(), service);
                }
                _ => {}
            }
        }
        if matches!(
            service.network_mode,
            Some(NetworkMode::Host | NetworkMode::Bridge)
        ) {
            note("network mode", "host or bridge".to_owned(), service);
        }
    }
    found
}

impl std::fmt::Display for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "all workers share the {} `{}` (used by {})",
            self.what,
            self.name,
            text::list(&self.services)
        )
    }
}
