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
    Extension, FileSource, Network, Project, Secret, Service, ServiceName, SharedFile, Volume,
};

/// Builds the project from the resolved tree of the enabled services.
pub(super) fn project(
    tree: &Map,
    setting: &Setting,
    disabled: &[&str],
    warnings: &mut Vec<Problem>,
) -> Result<Project, Problem> {
    let name = setting.name.as_str();
    let secrets = collect(tree, "secrets", |key, node| shared_file(setting, key, node));
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
    drop_missing_dependencies(&mut services);

    let enabled = services.keys().map(ServiceName::as_str).collect();
    let others = Services {
        enabled,
        disabled: disabled.to_vec(),
    };
    let stackrun = match tree.get(extension::KEY) {
        Some(node) => extension::top_level(node, &others, &setting.directory, warnings)?,
        None => Extension::default(),
    };
    Ok(Project {
        name: setting.name.clone(),
        directory: setting.directory.clone(),
        files: setting.files.iter().map(|file| file.path.clone()).collect(),
        networks: collect(tree, "networks", |key, node| {
            network(name, key, node, warnings)
        }),
        volumes: collect(tree, "volumes", |key, node| volume(name, key, node)),
        configs: collect(tree, "configs", |key, node| shared_file(setting, key, node)),
        secrets,
        services,
        stackrun,
    })
}

fn collect<T>(
    tree: &Map,
    kind: &str,
    mut read: impl FnMut(&str, &Node) -> T,
) -> IndexMap<String, T> {
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

fn network(project: &str, key: &str, node: &Node, warnings: &mut Vec<Problem>) -> Network {
    let ipam = node.get("ipam");
    let pools = ipam.and_then(|ipam| ipam.get("config")?.as_list());
    let pools = pools.unwrap_or_default();
    if !is_external(node) {
        warn_of_address_options(key, ipam, pools, warnings);
    }
    let texts = |key| pools.iter().filter_map(move |pool| pool.get_str(key));
    Network {
        name: given_name(project, key, node),
        external: is_external(node),
        driver: service::text(node, "driver"),
        driver_opts: service::texts_by_name(node, "driver_opts"),
        internal: service::flag(node, "internal"),
        attachable: service::flag(node, "attachable"),
        enable_ipv6: service::flag(node, "enable_ipv6"),
        subnets: texts("subnet").map(str::to_owned).collect(),
        gateway: texts("gateway").find_map(|gateway| gateway.parse().ok()),
        labels: service::texts_by_name(node, "labels"),
    }
}

/// A worker's subnet is not the file's, and stays with the engine's own manager.
fn warn_of_address_options(
    network: &str,
    ipam: Option<&Node>,
    pools: &[Node],
    warnings: &mut Vec<Problem>,
) {
    let driver = ipam.and_then(|ipam| ipam.get("driver"));
    let driver = driver.filter(|driver| !matches!(driver.as_str(), Some("" | "default")));
    let in_pools = ["ip_range", "aux_addresses"].into_iter().flat_map(|key| {
        pools
            .iter()
            .filter_map(move |pool| Some((key, pool.get(key)?)))
    });
    for (key, node) in driver
        .map(|node| ("driver", node))
        .into_iter()
        .chain(in_pools)
    {
        let message = format!(
            "`ipam` of network `{network}` has `{key}`, which has no effect: each worker has a \
             subnet of its own"
        );
        warnings.push(Problem::warning(node.span, message));
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

fn shared_file(setting: &Setting, key: &str, node: &Node) -> SharedFile {
    let source = if let Some(path) = node.get_str("file") {
        FileSource::File(PathBuf::from(path))
    } else if let Some(variable) = node.get_str("environment") {
        let value = setting.environment.get(variable);
        FileSource::Environment {
            name: variable.to_owned(),
            value: value.map(|value| Secret::new(value.clone())),
        }
    } else if let Some(content) = node.get_str("content") {
        FileSource::Content(Secret::new(content))
    } else {
        FileSource::External
    };
    SharedFile {
        name: given_name(setting.name.as_str(), key, node),
        source,
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
