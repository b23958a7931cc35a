//! The resolved tree to the types of [`crate::spec`]: the last phase.

use std::path::PathBuf;

use indexmap::IndexMap;

use super::{
    build::Surroundings,
    canonical::image_of,
    defaults::{is_external, resources},
    diagnostic::Problem,
    discover::Setting,
    extension::{self, Services},
    node::{Map, Node},
    service,
};
use crate::spec::{
    Extension, FileSource, Network, Project, Service, ServiceName, SharedFile, Volume,
};

/// Builds the project from the resolved tree of the enabled services.
pub(super) fn project(
    tree: &Map,
    setting: &Setting,
    disabled: &[&str],
    warnings: &mut Vec<Problem>,
) -> Result<Project, Problem> {
    let name = setting.name.as_str();
    let secrets = collect(tree, "secrets", |key, node| shared_file(name, key, node));
    let around = Surroundings {
        secrets: &secrets,
        environment: &setting.environment,
        directory: &setting.directory,
    };
    let mut services = IndexMap::new();
    for (key, span, node) in resources(tree, "services") {
        if node.get("provider").is_some() {
            let message = format!("service `{key}` has a `provider`, which stackrun does not run");
            warnings.push(Problem::warning(span, message));
            continue;
        }
        let service_name: ServiceName = key
            .parse()
            .map_err(|_| Problem::error(span, format!("illegal service name `{key}`")))?;
        let image = image_of(name, key, node);
        services.insert(
            service_name.clone(),
            service::service(service_name, image, node, &around, warnings)?,
        );
    }
    mount_volumes_from(&mut services, tree);
    drop_missing_dependencies(&mut services);

    let enabled = services.keys().map(ServiceName::as_str).collect();
    let others = Services {
        enabled,
        disabled: disabled.to_vec(),
    };
    let stackrun = match tree.get(extension::KEY) {
        Some(node) => extension::top_level(node, &others, warnings)?,
        None => Extension::default(),
    };
    Ok(Project {
        name: setting.name.clone(),
        directory: setting.directory.clone(),
        files: setting.files.iter().map(|file| file.path.clone()).collect(),
        networks: collect(tree, "networks", |key, node| network(name, key, node)),
        volumes: collect(tree, "volumes", |key, node| volume(name, key, node)),
        configs: collect(tree, "configs", |key, node| shared_file(name, key, node)),
        secrets,
        services,
        stackrun,
    })
}

fn collect<T>(tree: &Map, kind: &str, read: impl Fn(&str, &Node) -> T) -> IndexMap<String, T> {
    resources(tree, kind)
        .map(|(key, _, node)| (key.to_owned(), read(key, node)))
        .collect()
}

/// The name of a resource where the file gives one, rather than the one that it would
/// have anyway.
fn given_name(project: &str, key: &str, node: &Node) -> Option<String> {
    let implied = if is_external(node) {
        key.to_owned()
    } else {
        format!("{project}_{key}")
    };
    node.get_str("name")
        .filter(|name| *name != implied)
        .map(str::to_owned)
}

fn network(project: &str, key: &str, node: &Node) -> Network {
    let pools = node
        .get("ipam")
        .and_then(|ipam| ipam.get("config")?.as_list());
    let subnets = pools
        .unwrap_or_default()
        .iter()
        .filter_map(|pool| pool.get_str("subnet"));
    Network {
        name: given_name(project, key, node),
        external: is_external(node),
        driver: service::text(node, "driver"),
        driver_opts: service::texts_by_name(node, "driver_opts"),
        internal: service::flag(node, "internal"),
        attachable: service::flag(node, "attachable"),
        enable_ipv6: service::flag(node, "enable_ipv6"),
        subnets: subnets.map(str::to_owned).collect(),
        labels: service::texts_by_name(node, "labels"),
    }
}

fn volume(project: &str, key: &str, node: &Node) -> Volume {
    Volume {
        name: given_name(project, key, node),
        external: is_external(node),
        driver: service::text(node, "driver"),
        driver_opts: service::texts_by_name(node, "driver_opts"),
        labels: service::texts_by_name(node, "labels"),
    }
}

fn shared_file(project: &str, key: &str, node: &Node) -> SharedFile {
    let source = if let Some(path) = node.get_str("file") {
        FileSource::File(PathBuf::from(path))
    } else if let Some(variable) = node.get_str("environment") {
        FileSource::Environment(variable.to_owned())
    } else if let Some(content) = node.get_str("content") {
        FileSource::Content(content.to_owned())
    } else {
        FileSource::External
    };
    SharedFile {
        name: given_name(project, key, node),
        source,
    }
}

/// `volumes_from: [other:ro]` mounts what another service mounts, but for what the
/// service mounts itself.
fn mount_volumes_from(services: &mut IndexMap<ServiceName, Service>, tree: &Map) {
    for (key, _, node) in resources(tree, "services") {
        let from = node
            .get("volumes_from")
            .and_then(Node::as_list)
            .unwrap_or_default();
        for item in from.iter().filter_map(Node::as_str) {
            let (other, mode) = item.split_once(':').unwrap_or((item, "rw"));
            let Some(mounts) = services.get(other).map(|other| other.mounts.clone()) else {
                continue;
            };
            let Some(service) = services.get_mut(key) else {
                continue;
            };
            for mut mount in mounts {
                if service.mounts.iter().all(|own| own.target != mount.target) {
                    mount.read_only |= mode == "ro";
                    service.mounts.push(mount);
                }
            }
        }
    }
}

/// An optional dependency on a service that is not there is none. Whether the others
/// are there has been checked.
fn drop_missing_dependencies(services: &mut IndexMap<ServiceName, Service>) {
    let names: std::collections::BTreeSet<_> = services.keys().cloned().collect();
    for service in services.values_mut() {
        service.depends_on.retain(|name, _| names.contains(name));
    }
}
