//! What is decided once all files are one: implicit networks and dependencies, names,
//! and the values of variables that take theirs from the environment.

use super::{
    defaults::is_external,
    load::Environment,
    long::pairs_to_map,
    node::{Map, Node, Value},
};

/// Normalises the merged document of the project `name`.
pub(super) fn normalise(document: &mut Map, name: &str, environment: &Environment) {
    let mut uses_default = false;
    if let Some(Value::Map(services)) = document.get_mut("services").map(|node| &mut node.value) {
        for (_, entry) in services.iter_mut() {
            let Some(service) = entry.node.as_map_mut() else {
                continue;
            };
            uses_default |= attach_to_default(service);
            normalise_service(service, environment);
        }
    }
    declare_default_network(document, uses_default);
    document.set("name", name);
    for kind in ["networks", "volumes", "configs", "secrets"] {
        name_resources(document, kind, name);
    }
    drop_address_options(document);
}

/// Compose accepts options of the address manager and hands them to no engine.
fn drop_address_options(document: &mut Map) {
    let networks = document.get_mut("networks").and_then(Node::as_map_mut);
    for (_, entry) in networks.into_iter().flat_map(Map::iter_mut) {
        if let Some(ipam) = entry.node.get_mut("ipam").and_then(Node::as_map_mut) {
            ipam.remove("options");
        }
    }
}

/// Attaches a service without networks to the default one, and says whether it is on
/// the default one after all.
fn attach_to_default(service: &mut Map) -> bool {
    if service.contains("provider") || service.contains("network_mode") {
        return false;
    }
    if let Some(networks) = service.get("networks").and_then(Node::as_map)
        && !networks.is_empty()
    {
        return networks.contains("default");
    }
    let mut networks = Map::default();
    networks.set("default", Value::Null);
    service.set("networks", networks);
    true
}

fn declare_default_network(document: &mut Map, used: bool) {
    let declared = document
        .get("networks")
        .is_some_and(|it| it.get("default").is_some());
    if declared || !used {
        return;
    }
    if !document.contains("networks") {
        document.set("networks", Map::default());
    }
    if let Some(networks) = document.get_mut("networks").and_then(Node::as_map_mut) {
        networks.set("default", Value::Null);
    }
}

fn normalise_service(service: &mut Map, environment: &Environment) {
    if let Some(policy) = service.get_mut("pull_policy")
        && policy.as_str() == Some("if_not_present")
    {
        policy.value = "missing".into();
    }
    if let Some(build) = service.get_mut("build").and_then(Node::as_map_mut) {
        if !build.contains("dockerfile") && !build.contains("dockerfile_inline") {
            build.set("dockerfile", "Dockerfile");
        }
        if let Some(arguments) = build.get_mut("args") {
            take_from_environment(arguments, environment);
        }
    }
    if let Some(variables) = service.get_mut("environment") {
        take_from_environment(variables, environment);
    }
    add_implicit_dependencies(service);
}

/// Gives variables without a value the one of the environment, if it has one.
fn take_from_environment(variables: &mut Node, environment: &Environment) {
    pairs_to_map(variables);
    let Some(map) = variables.as_map_mut() else {
        return;
    };
    for (name, entry) in map.iter_mut() {
        if entry.node.is_null()
            && let Some(value) = environment.get(name)
        {
            entry.node.value = value.as_str().into();
        }
    }
}

/// A service that links to another, shares a namespace with it or mounts its volumes
/// starts after it.
fn add_implicit_dependencies(service: &mut Map) {
    let mut implied: Vec<(Node, bool)> = Vec::new();
    let list = |key| service.get(key).and_then(Node::as_list).unwrap_or_default();
    let texts = |key| {
        list(key)
            .iter()
            .filter_map(|item| Some((item.as_str()?, item.span)))
    };
    for (link, span) in texts("links") {
        // With more colons than one there is no alias, but a strange name.
        let name = match link.split_once(':') {
            Some((name, alias)) if !alias.contains(':') => name,
            _ => link,
        };
        implied.push((Node::new(name, span), true));
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let Some(node) = service.get(key) else {
            continue;
        };
        if let Some(name) = node.as_str().and_then(|mode| mode.strip_prefix("service:")) {
            implied.push((Node::new(name, node.span), true));
        }
    }
    for (from, span) in texts("volumes_from").filter(|(from, _)| !from.starts_with("container:")) {
        let name = from.split(':').next().unwrap_or(from);
        implied.push((Node::new(name, span), false));
    }
    if implied.is_empty() {
        return;
    }
    if !service.contains("depends_on") {
        service.set("depends_on", Map::default());
    }
    let Some(dependencies) = service.get_mut("depends_on").and_then(Node::as_map_mut) else {
        return;
    };
    for (name, restart) in implied {
        let Some(key) = name.as_str().filter(|key| !dependencies.contains(key)) else {
            continue;
        };
        let mut dependency = Map::default();
        dependency.set("condition", "service_started");
        dependency.set("restart", restart);
        dependency.set("required", true);
        dependencies.insert(key, name.span, Node::new(dependency, name.span));
    }
}

/// What has no name is called after the project and its key, or after its key alone
/// where it exists outside of the project.
fn name_resources(document: &mut Map, kind: &str, project: &str) {
    let Some(Value::Map(resources)) = document.get_mut(kind).map(|node| &mut node.value) else {
        return;
    };
    for (key, entry) in resources.iter_mut() {
        let node = &mut entry.node;
        if node.is_null() {
            node.value = Map::default().into();
        }
        let external = is_external(node);
        if let Some(map) = node.as_map_mut()
            && map.get("name").is_none_or(|name| name.as_str() == Some(""))
        {
            let name = if external {
                key.to_owned()
            } else {
                format!("{project}_{key}")
            };
            map.set("name", name);
        }
    }
}
