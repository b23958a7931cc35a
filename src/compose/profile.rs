//! Which services take part: by profile, and by name.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    defaults::resources,
    diagnostic::Problem,
    node::{Map, Node, Span},
};

/// Every profile that a service names, sorted.
pub(super) fn all(tree: &Map) -> Vec<String> {
    let profiles: BTreeSet<_> = resources(tree, "services")
        .flat_map(|(_, _, service)| profiles_of(service))
        .collect();
    profiles.into_iter().collect()
}

/// Removes the services whose profiles are not active, and returns their names and
/// profiles. Services that are asked for by name activate their own profiles.
pub(super) fn select(
    tree: &mut Map,
    active: &[String],
    wanted: &[String],
) -> Result<BTreeMap<String, Vec<String>>, Problem> {
    let mut active: BTreeSet<String> = active.iter().cloned().collect();
    for name in wanted {
        let service = tree.get("services").and_then(|services| services.get(name));
        let Some(service) = service else {
            let known = resources(tree, "services").map(|(name, _, _)| name);
            return Err(
                Problem::error(Span::NONE, format!("there is no service `{name}`"))
                    .suggest(name, known),
            );
        };
        active.extend(profiles_of(service));
    }
    let mut disabled = BTreeMap::new();
    if let Some(services) = tree.get_mut("services").and_then(Node::as_map_mut) {
        services.retain(|name, entry| {
            let own = profiles_of(&entry.node);
            let enabled = own.is_empty()
                || active.contains("*")
                || own.iter().any(|profile| active.contains(profile));
            if !enabled {
                disabled.insert(name.to_owned(), own);
            }
            enabled
        });
    }
    Ok(disabled)
}

/// Removes all services but the wanted ones and those that they depend on.
pub(super) fn keep_only(tree: &mut Map, wanted: &[String]) {
    let Some(services) = tree.get_mut("services").and_then(Node::as_map_mut) else {
        return;
    };
    if wanted.is_empty() {
        return;
    }
    let mut kept: BTreeSet<String> = BTreeSet::new();
    let mut pending: Vec<String> = wanted.to_vec();
    while let Some(name) = pending.pop() {
        let dependencies = services
            .get(&name)
            .and_then(|service| service.get("depends_on"));
        let dependencies = dependencies
            .and_then(Node::as_map)
            .into_iter()
            .flat_map(Map::keys);
        let dependencies: Vec<_> = dependencies.map(str::to_owned).collect();
        if kept.insert(name) {
            pending.extend(dependencies);
        }
    }
    services.retain(|name, _| kept.contains(name));
}

fn profiles_of(service: &Node) -> Vec<String> {
    let profiles = service
        .get("profiles")
        .and_then(Node::as_list)
        .unwrap_or_default();
    profiles
        .iter()
        .filter_map(Node::as_str)
        .map(str::to_owned)
        .collect()
}
