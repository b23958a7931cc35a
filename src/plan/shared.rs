//! What workers share, so that their isolation ends there.

use serde::Serialize;

use crate::{
    spec::{MountKind, NetworkMode, Project, Service},
    text,
};

/// Something that workers share, so that their isolation ends there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shared {
    /// `external network`, `external volume`, `host directory`, `container` and the like.
    pub what: &'static str,
    /// Its name or path.
    pub name: String,
    /// The services that use it.
    pub services: Vec<String>,
}

/// What the workers of a project share.
pub(super) fn shared(project: &Project) -> Vec<Shared> {
    let mut found: Vec<Shared> = Vec::new();
    for service in project.services.values() {
        for (what, name) in shared_by(project, service) {
            let service = service.name.to_string();
            match found
                .iter_mut()
                .find(|it| it.what == what && it.name == name)
            {
                Some(shared) if shared.services.contains(&service) => {}
                Some(shared) => shared.services.push(service),
                None => found.push(Shared {
                    what,
                    name,
                    services: vec![service],
                }),
            }
        }
    }
    found
}

fn shared_by(project: &Project, service: &Service) -> Vec<(&'static str, String)> {
    let networks = service.networks.keys();
    let networks = networks
        .filter(|key| project.networks.get(*key).is_some_and(|it| it.external))
        .map(|key| ("external network", key.clone()));
    let mounts = service.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume { key: Some(key), .. } => {
            let external = project.volumes.get(key).is_some_and(|it| it.external);
            external.then(|| ("external volume", key.clone()))
        }
        MountKind::Bind { source, .. } if source.ends_with("docker.sock") => {
            Some(("socket of the engine", source.display().to_string()))
        }
        MountKind::Bind { source, .. } if !mount.read_only => {
            Some(("host directory", source.display().to_string()))
        }
        _ => None,
    });
    let host = matches!(
        service.network_mode,
        Some(NetworkMode::Host | NetworkMode::Bridge)
    );
    let host = host.then(|| ("network mode", "host or bridge".to_owned()));
    let mut all: Vec<_> = networks.chain(mounts).chain(host).collect();
    all.extend(containers(service).map(|name| ("container", name)));
    all
}

/// Containers outside of the project.
fn containers(service: &Service) -> impl Iterator<Item = String> {
    let network = match &service.network_mode {
        Some(NetworkMode::Container(container)) => Some(container.as_str()),
        _ => None,
    };
    let modes = [service.pid.as_deref(), service.ipc.as_deref()];
    let joined = modes.into_iter().flatten();
    let joined = joined.chain(service.volumes_from.iter().map(String::as_str));
    let joined = joined.filter_map(|mode| mode.strip_prefix("container:"));
    let links = service.external_links.iter().map(String::as_str);
    let all = network.into_iter().chain(joined).chain(links);
    all.map(|it| it.split(':').next().unwrap_or(it).to_owned())
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
