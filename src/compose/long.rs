//! Short syntax to long: after this phase every key has one shape.
//!
//! Only shapes change here. Values such as durations and sizes stay as they were
//! written until [`super::values`].

use super::{
    diagnostic::Problem,
    merge::{default_dependency, into_list},
    node::{Map, Node, Span, Value},
    port, volume,
};

/// How many ports all services together may publish; a range gives one each.
const MAX_PORTS: usize = 100_000;

/// Rewrites a validated document.
pub(super) fn expand(document: &mut Map) -> Result<(), Problem> {
    let mut ports = 0;
    if let Some(Value::Map(services)) = document.get_mut("services").map(|node| &mut node.value) {
        for (_, entry) in services.iter_mut() {
            if let Value::Map(service) = &mut entry.node.value {
                expand_service(service, &mut ports)?;
            }
        }
    }
    for kind in ["networks", "volumes", "secrets", "configs"] {
        let Some(Value::Map(resources)) = document.get_mut(kind).map(|node| &mut node.value) else {
            continue;
        };
        for (_, entry) in resources.iter_mut() {
            expand_external(&mut entry.node)?;
        }
    }
    Ok(())
}

fn expand_service(service: &mut Map, ports: &mut usize) -> Result<(), Problem> {
    for (key, entry) in service.iter_mut() {
        let node = &mut entry.node;
        match key {
            "build" => expand_build(node)?,
            "depends_on" => list_to_map(node, default_dependency),
            "models" | "networks" => list_to_map(node, Node::null),
            "extends" => scalar_to_map(node, "service"),
            "gpus" => expand_gpus(node),
            "env_file" => {
                scalar_to_list(node);
                each_item(node, |item| {
                    scalar_to_map(item, "path");
                    if let Some(map) = item.as_map_mut()
                        && !map.contains("required")
                    {
                        map.set("required", true);
                    }
                    Ok(())
                })?;
            }
            "label_file" | "dns" | "dns_search" | "tmpfs" => {
                scalar_to_list(node);
                // Compose drops what a variable left empty.
                if let Some(items) = node.as_list_mut().filter(|_| key == "dns") {
                    items.retain(|item| item.as_str() != Some(""));
                }
            }
            "configs" | "secrets" => each_item(node, |item| {
                scalar_to_map(item, "source");
                Ok(())
            })?,
            "devices" => each_item(node, expand_device)?,
            "ports" => expand_ports(node, ports)?,
            "volumes" => each_item(node, expand_volume)?,
            _ => {}
        }
    }
    Ok(())
}

fn expand_build(node: &mut Node) -> Result<(), Problem> {
    scalar_to_map(node, "context");
    let Some(build) = node.as_map_mut() else {
        return Ok(());
    };
    if let Some(contexts) = build.get_mut("additional_contexts") {
        pairs_to_map(contexts);
    }
    if let Some(secrets) = build.get_mut("secrets") {
        each_item(secrets, |item| {
            scalar_to_map(item, "source");
            Ok(())
        })?;
    }
    Ok(())
}

fn expand_gpus(node: &mut Node) {
    if node.as_str() == Some("all") {
        let mut request = Map::default();
        request.insert("count", node.span, Node::new("all", node.span));
        node.value = vec![Node::new(request, node.span)].into();
    }
}

/// `source[:target[:permissions]]`.
fn expand_device(item: &mut Node) -> Result<(), Problem> {
    let Some(short) = item.as_str() else {
        return Ok(());
    };
    let parts: Vec<_> = short.split(':').collect();
    let (source, target, permissions) = match parts[..] {
        [source] => (source, source, "rwm"),
        [source, target] => (source, target, "rwm"),
        [source, "", permissions] => (source, source, permissions),
        [source, target, permissions] => (source, target, permissions),
        _ => {
            let message = format!("invalid device `{short}`: it has too many colons");
            return Err(Problem::error(item.span, message));
        }
    };
    let mut device = Map::default();
    device.set("source", source);
    device.set("target", target);
    device.set("permissions", permissions);
    item.value = device.into();
    Ok(())
}

fn expand_ports(node: &mut Node, total: &mut usize) -> Result<(), Problem> {
    let span = node.span;
    let Some(items) = node.as_list_mut() else {
        return Ok(());
    };
    let mut ports = Vec::with_capacity(items.len());
    for item in std::mem::take(items) {
        if let Value::Float(number) = item.value {
            let message = format!("a port must be an integer or a string, not `{number}`");
            return Err(Problem::error(item.span, message));
        }
        match item.to_text() {
            Some(short) => ports.extend(port::expand(&short, item.span)?),
            None => ports.push(item),
        }
        if *total + ports.len() > MAX_PORTS {
            let message = format!("the services publish more than {MAX_PORTS} ports");
            return Err(Problem::error(span, message));
        }
    }
    *total += ports.len();
    *items = ports;
    Ok(())
}

fn expand_volume(item: &mut Node) -> Result<(), Problem> {
    if let Some(short) = item.as_str() {
        *item = volume::parse(short, item.span)?.into_node(item.span);
    }
    if let Some(target) = item.get_mut("target")
        && let Value::String(path) = &mut target.value
    {
        *path = clean_target(path);
    }
    Ok(())
}

/// A path in the container without `.`, `..` and doubled slashes.
fn clean_target(path: &str) -> String {
    let clean = super::source::clean(std::path::Path::new(path));
    clean.to_string_lossy().into_owned()
}

/// `external: {name: x}` is the old way to write `external: true` and `name: x`.
fn expand_external(node: &mut Node) -> Result<(), Problem> {
    let Some(resource) = node.as_map_mut() else {
        return Ok(());
    };
    let Some(external) = resource.get("external").filter(|it| it.as_map().is_some()) else {
        return Ok(());
    };
    let span = external.span;
    let name = external.get("name").cloned();
    resource.insert("external", span, Node::new(true, span));
    match (name, resource.get("name")) {
        (Some(old), Some(name)) if old != *name => Err(Problem::error(
            old.span,
            "`external.name` and `name` differ",
        )
        .and(name.span, "the other name")
        .help("remove `external.name`, which is the older syntax")),
        (Some(old), None) => {
            resource.insert("name", old.span, old);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn each_item(
    node: &mut Node,
    change: impl Fn(&mut Node) -> Result<(), Problem>,
) -> Result<(), Problem> {
    node.as_list_mut()
        .into_iter()
        .flatten()
        .try_for_each(change)
}

fn scalar_to_list(node: &mut Node) {
    if node.as_str().is_some() {
        let item = Node::new(std::mem::replace(&mut node.value, Value::Null), node.span);
        node.value = vec![item].into();
    }
}

fn scalar_to_map(node: &mut Node, key: &str) {
    if node.as_str().is_some() {
        let value = Node::new(std::mem::replace(&mut node.value, Value::Null), node.span);
        let mut map = Map::default();
        map.insert(key, node.span, value);
        node.value = map.into();
    }
}

fn list_to_map(node: &mut Node, value: fn(Span) -> Node) {
    let Value::List(items) = &node.value else {
        return;
    };
    let mut map = Map::default();
    for item in items {
        if let Some(key) = item.as_str() {
            map.insert(key, item.span, value(item.span));
        }
    }
    node.value = map.into();
}

/// A list of `KEY=value` to a mapping; a key alone has no value.
pub(super) fn pairs_to_map(node: &mut Node) {
    if matches!(node.value, Value::Map(_)) {
        return;
    }
    let span = node.span;
    let mut map = Map::default();
    for item in into_list(std::mem::replace(node, Node::null(span))) {
        let Some(text) = item.to_text() else { continue };
        match text.split_once('=') {
            Some((key, value)) => map.insert(key, item.span, Node::new(value, item.span)),
            None => map.insert(text, item.span, Node::null(item.span)),
        }
    }
    node.value = map.into();
}
