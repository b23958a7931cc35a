//! One worker's container of a service, with every name and label decided.

use std::{collections::BTreeMap, sync::Arc};

use sha2::{Digest, Sha256};

use crate::{
    engine::{Capabilities, Image},
    spec::{
        ContainerSpec, Endpoint, MountKind, NetworkAttachment, NetworkMode, Project, Service,
        ServiceName, VolumeMount, label,
    },
};

use super::{
    Naming, PlanError, Replica, Request, World, address, files::files, publish::publish, readiness,
};

/// Decides everything about one container.
pub(super) fn container(
    request: &Request<'_>,
    naming: &Naming<'_>,
    world: &World,
    replica: &Replica,
    service: &Arc<Service>,
) -> Result<ContainerSpec, PlanError> {
    let project = request.project;
    let image = world.images.get(&service.image);
    let files = files(project, service)?;
    let address = request.addresses.get(&replica.worker).copied();
    let place = Place {
        project,
        naming,
        replica,
        service,
    };
    let mut spec = ContainerSpec {
        name: naming.container(replica),
        labels: naming.labels(replica.worker),
        endpoints: place.endpoints(request.workers, world.capabilities)?,
        network_mode: place.network_mode(),
        pid_mode: place.namespace(service.pid.as_deref()),
        ipc_mode: place.namespace(service.ipc.as_deref()),
        publish: publish(service, image, address)?,
        volumes: place.volumes(),
        volumes_from: place.volumes_from(),
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
    if let Some(address) = address {
        spec.labels
            .insert(label::ADDRESS.to_owned(), address.to_string());
    }
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

/// How readiness is seen is stackrun's business, and so is what happens when a container
/// ends: changing it does not make another container.
fn without_readiness(service: &Service) -> Service {
    Service {
        ready: None,
        build: None,
        pull_policy: None,
        restart: None,
        replicas: 1,
        ..service.clone()
    }
}

/// One worker's copy of a service, among the things of the same worker.
struct Place<'a> {
    project: &'a Project,
    naming: &'a Naming<'a>,
    replica: &'a Replica,
    service: &'a Service,
}

impl Place<'_> {
    /// The service's networks, the one that is joined first in front.
    fn endpoints(
        &self,
        workers: u32,
        capabilities: Capabilities,
    ) -> Result<Vec<Endpoint>, PlanError> {
        let mut networks: Vec<_> = self.service.networks.iter().collect();
        networks.sort_by_key(|(_, attachment)| std::cmp::Reverse(attachment.priority));
        let endpoints = networks
            .into_iter()
            .map(|(key, attachment)| self.endpoint(key, attachment, workers, capabilities));
        let mut endpoints: Vec<_> = endpoints.collect::<Result<_, _>>()?;
        if let Some(mac_address) = self.service.mac_address.clone() {
            // The engine's own network takes no names, but a MAC address.
            if self.service.network_mode == Some(NetworkMode::Bridge) {
                endpoints.push(Endpoint {
                    network: "bridge".to_owned(),
                    ..Endpoint::default()
                });
            }
            if let Some(first) = endpoints.first_mut() {
                first.mac_address.get_or_insert(mac_address);
            }
        }
        Ok(endpoints)
    }

    fn endpoint(
        &self,
        key: &str,
        attachment: &NetworkAttachment,
        workers: u32,
        capabilities: Capabilities,
    ) -> Result<Endpoint, PlanError> {
        let service = self.service;
        let mut aliases = vec![service.name.to_string()];
        aliases.extend(attachment.aliases.iter().cloned());
        aliases.extend(service.container_name.clone());
        let (ipv4, ipv6) = match self.project.networks.get(key) {
            Some(network) => address::addresses(network, key, service, attachment, workers)?,
            None => (None, None),
        };
        let mut driver_opts: BTreeMap<_, _> = attachment.driver_opts.clone().into_iter().collect();
        if let Some(name) = attachment.interface_name.clone()
            && capabilities.interface_names
        {
            driver_opts.insert(INTERFACE_NAME.to_owned(), name);
        }
        Ok(Endpoint {
            network: self.network_name(key),
            aliases,
            links: self.links(),
            ipv4,
            ipv6,
            link_local: attachment.link_local_ips.clone(),
            mac_address: attachment.mac_address.clone(),
            gateway_priority: attachment.gateway_priority,
            driver_opts,
        })
    }

    /// Names that only this service has for others. Without a name of its own, a link
    /// says nothing: a service is found by its name anyway.
    fn links(&self) -> Vec<String> {
        let own = self.service.links.iter().filter_map(|link| {
            let (name, alias) = link.split_once(':')?;
            let service = name.parse().ok()?;
            Some(format!("{}:{alias}", self.container_of(service)))
        });
        let external = self.service.external_links.iter().map(|link| {
            let (container, alias) = link.split_once(':').unwrap_or((link, link));
            format!("{container}:{alias}")
        });
        own.chain(external).collect()
    }

    /// The first container of another service of the same worker.
    fn container_of(&self, service: ServiceName) -> String {
        self.naming.container(&Replica {
            worker: self.replica.worker,
            service,
            number: 1,
        })
    }

    fn network_name(&self, key: &str) -> String {
        match self.project.networks.get(key) {
            Some(network) if network.external => {
                network.name.clone().unwrap_or_else(|| key.to_owned())
            }
            _ => self.naming.resource(self.replica.worker, key),
        }
    }

    fn network_mode(&self) -> Option<String> {
        Some(match self.service.network_mode.as_ref()? {
            NetworkMode::None => "none".to_owned(),
            NetworkMode::Host => "host".to_owned(),
            NetworkMode::Bridge => "bridge".to_owned(),
            NetworkMode::Container(container) => format!("container:{container}"),
            NetworkMode::Service(name) => format!("container:{}", self.container_of(name.clone())),
        })
    }

    /// `service:NAME` of `pid` and `ipc` is a container of the same worker.
    fn namespace(&self, mode: Option<&str>) -> Option<String> {
        let mode = mode?;
        let service = mode
            .strip_prefix("service:")
            .and_then(|name| name.parse().ok());
        Some(match service {
            Some(service) => format!("container:{}", self.container_of(service)),
            None => mode.to_owned(),
        })
    }

    fn volumes(&self) -> Vec<VolumeMount> {
        let named = self
            .service
            .mounts
            .iter()
            .filter_map(|mount| match &mount.kind {
                MountKind::Volume {
                    key: Some(key),
                    nocopy,
                    subpath,
                } => Some((mount, key, nocopy, subpath)),
                _ => None,
            });
        named
            .map(|(mount, key, nocopy, subpath)| VolumeMount {
                volume: self.volume_name(key),
                target: mount.target.clone(),
                read_only: mount.read_only,
                nocopy: *nocopy,
                subpath: subpath.clone(),
            })
            .collect()
    }

    fn volume_name(&self, key: &str) -> String {
        match self.project.volumes.get(key) {
            Some(volume) if volume.external => {
                volume.name.clone().unwrap_or_else(|| key.to_owned())
            }
            _ => self.naming.resource(self.replica.worker, key),
        }
    }

    /// Containers outside are named as they are, services by their container.
    fn volumes_from(&self) -> Vec<String> {
        let source = |from: &String| {
            if let Some(container) = from.strip_prefix("container:") {
                return container.to_owned();
            }
            let (name, mode) = from.split_once(':').unwrap_or((from, "rw"));
            let container = name.parse().map(|service| self.container_of(service));
            format!("{}:{mode}", container.unwrap_or_else(|_| name.to_owned()))
        };
        self.service.volumes_from.iter().map(source).collect()
    }
}

/// The option by which the bridge driver learns the name of an interface.
const INTERFACE_NAME: &str = "com.docker.network.endpoint.ifname";
