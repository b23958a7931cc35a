//! Fills in what Compose takes for granted in each file, and checks resources one by
//! one, before files that include this one see it.

use std::net::IpAddr;

use super::{
    diagnostic::Problem,
    node::{Map, Node, Span, Value},
};

/// Fills in defaults.
pub(super) fn apply(document: &mut Map) {
    each_mut(document, "services", |service| {
        if let Some(build) = service.get_mut("build").and_then(Node::as_map_mut) {
            set_if_missing(build, "context", ".");
        }
        for mount in items_mut(service, "secrets") {
            let source = mount.get_str("source").unwrap_or_default();
            let target = format!("/run/secrets/{source}");
            mount
                .as_map_mut()
                .into_iter()
                .for_each(|map| set_if_missing(map, "target", target.as_str()));
        }
        for port in items_mut(service, "ports").filter_map(Node::as_map_mut) {
            set_if_missing(port, "protocol", "tcp");
            set_if_missing(port, "mode", "ingress");
        }
        items_mut(service, "gpus").for_each(default_device_count);
        let resources = service
            .get_mut("deploy")
            .and_then(|deploy| deploy.get_mut("resources"));
        if let Some(reservations) = resources.and_then(|it| it.get_mut("reservations")) {
            items_mut(reservations, "devices").for_each(default_device_count);
        }
    });
}

/// A request that says neither how many devices nor which ones means all.
fn default_device_count(request: &mut Node) {
    if let Some(map) = request.as_map_mut()
        && !map.contains("device_ids")
    {
        set_if_missing(map, "count", "all");
    }
}

fn set_if_missing(map: &mut Map, key: &str, value: &str) {
    if !map.contains(key) {
        map.set(key, value);
    }
}

fn each_mut(document: &mut Map, kind: &str, mut change: impl FnMut(&mut Node)) {
    if let Some(Value::Map(resources)) = document.get_mut(kind).map(|node| &mut node.value) {
        resources
            .iter_mut()
            .for_each(|(_, entry)| change(&mut entry.node));
    }
}

fn items_mut<'a>(node: &'a mut Node, key: &str) -> impl Iterator<Item = &'a mut Node> {
    node.get_mut(key)
        .and_then(Node::as_list_mut)
        .into_iter()
        .flatten()
}

/// Checks what can be said about each resource by itself.
pub(super) fn check(document: &Map) -> Result<(), Problem> {
    for (name, key, volume) in resources(document, "volumes") {
        check_external(name, key, volume)?;
    }
    for (kind, sources) in [
        ("configs", &["file", "environment", "content"][..]),
        ("secrets", &["file", "environment"]),
    ] {
        for (name, key, resource) in resources(document, kind) {
            check_source(kind, name, key, resource, sources)?;
        }
    }
    for (name, _, service) in resources(document, "services") {
        check_service(name, service)?;
    }
    Ok(())
}

fn check_service(name: &str, service: &Node) -> Result<(), Problem> {
    for port in items(service.get("ports")) {
        check_address(name, port)?;
    }
    for request in device_requests(service) {
        check_device_request(name, request)?;
    }
    for mount in items(service.get("volumes")) {
        if mount.get_str("type") == Some("bind") && mount.get("source").is_none() {
            let message = format!("a bind mount of service `{name}` needs a `source`");
            return Err(Problem::error(mount.span, message));
        }
    }
    for rule in items(
        service
            .get("develop")
            .and_then(|develop| develop.get("watch")),
    ) {
        if let Some(path) = rule.get("path").filter(|path| path.as_str() == Some("")) {
            return Err(Problem::error(path.span, "a path to watch is empty"));
        }
    }
    let arguments = service.get("build").and_then(|build| build.get("args"));
    for variable in items(service.get("environment")).chain(items(arguments)) {
        check_variable(variable)?;
    }
    let replicas = service
        .get("deploy")
        .and_then(|deploy| deploy.get("replicas"));
    for count in [service.get("scale"), replicas].into_iter().flatten() {
        if matches!(count.value, Value::Int(..0)) {
            let message = format!("service `{name}` cannot have less than no containers");
            return Err(Problem::error(count.span, message));
        }
    }
    Ok(())
}

/// An item of a list of `NAME=value`. A space before the `=` is never meant.
fn check_variable(item: &Node) -> Result<(), Problem> {
    let text = item.as_str().unwrap_or_default();
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    if !name.ends_with(char::is_whitespace) {
        return Ok(());
    }
    let name = name.trim_end();
    Err(Problem::error(
        item.span,
        format!("there is a space behind the variable `{name}`"),
    ))
}

fn items(node: Option<&Node>) -> impl Iterator<Item = &Node> {
    node.and_then(Node::as_list).unwrap_or_default().iter()
}

/// What is external is defined elsewhere.
fn check_external(name: &str, key: Span, resource: &Node) -> Result<(), Problem> {
    let Some(map) = resource.as_map().filter(|_| is_external(resource)) else {
        return Ok(());
    };
    let allowed = |key: &str| matches!(key, "name" | "external") || key.starts_with("x-");
    match map.iter().find(|(key, _)| !allowed(key)) {
        None => Ok(()),
        Some((other, entry)) => {
            let message = format!("`volumes.{name}` is external and cannot have `{other}`");
            Err(Problem::error(entry.key, message).and(key, "external"))
        }
    }
}

/// Whether a resource says `external: true`.
pub(super) fn is_external(resource: &Node) -> bool {
    resource.get("external").and_then(Node::as_bool) == Some(true)
}

fn check_source(
    kind: &str,
    name: &str,
    key: Span,
    resource: &Node,
    sources: &[&str],
) -> Result<(), Problem> {
    // A secret cannot come from a variable without a name; a config can, and is empty.
    let given = |source: &&str| match resource.get(source) {
        Some(node) => !(kind == "secrets" && *source == "environment" && node.as_str() == Some("")),
        None => false,
    };
    let given: Vec<_> = sources.iter().copied().filter(given).collect();
    if is_external(resource) {
        return Ok(());
    }
    match given[..] {
        [_] => Ok(()),
        [] => {
            let list = sources.join("`, `");
            Err(Problem::error(
                key,
                format!("`{kind}.{name}` needs one of `{list}`"),
            ))
        }
        [first, second, ..] => {
            let place = |key| resource.as_map().and_then(|map| map.key_span(key));
            let message = format!("`{kind}.{name}` cannot have both `{first}` and `{second}`");
            Err(Problem::error(place(second).unwrap_or(key), message))
        }
    }
}

fn check_address(service: &str, port: &Node) -> Result<(), Problem> {
    let Some(node) = port.get("host_ip") else {
        return Ok(());
    };
    let text = node.as_str().unwrap_or_default();
    if text.is_empty() || text.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let message = format!("`{text}` in a port of service `{service}` is not an IP address");
    Err(Problem::error(node.span, message))
}

fn check_device_request(service: &str, request: &Node) -> Result<(), Problem> {
    match (request.get("count"), request.get("device_ids")) {
        (Some(count), Some(ids)) => {
            let message =
                format!("a device of service `{service}` has both `count` and `device_ids`");
            Err(Problem::error(count.span, message).and(ids.span, "the ids"))
        }
        _ => Ok(()),
    }
}

fn device_requests(service: &Node) -> impl Iterator<Item = &Node> {
    let reserved = service
        .get("deploy")
        .and_then(|deploy| deploy.get("resources")?.get("reservations")?.get("devices"));
    items(service.get("gpus")).chain(items(reserved))
}

/// Name, place of the key and value of every resource of a kind.
pub(super) fn resources<'a>(
    document: &'a Map,
    kind: &str,
) -> impl Iterator<Item = (&'a str, Span, &'a Node)> {
    let map = document.get(kind).and_then(Node::as_map);
    map.into_iter()
        .flat_map(Map::iter)
        .map(|(name, entry)| (name, entry.key, &entry.node))
}
