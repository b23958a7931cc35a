//! `x-stackrun`, at the top level of a file and in services.

#[cfg(test)]
mod schema;

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use ipnet::Ipv4Net;

use super::{
    diagnostic::Problem,
    node::{Entry, Map, Node, Value},
    quantity, shell,
    source::join,
};
use crate::spec::{AddressRef, Expect, Extension, Probe, Ready, ServiceName, SubnetPool};

/// The key that stackrun reads.
pub(super) const KEY: &str = "x-stackrun";

const MAX_WORKERS: u32 = 1000;

/// Room for one network of a worker; a pool must have at least that.
const LONGEST_PREFIX: u8 = 28;

/// The keys at the top level.
const TOP: [&str; 4] = ["workers", "env", "subnets", "images"];
/// The keys in a service.
const SERVICE: [&str; 1] = ["ready"];
const READY: [&str; 5] = ["http", "tcp", "exec", "log", "timeout"];
/// Those of [`READY`] of which there can be one.
const PROBES: [&str; 4] = ["http", "tcp", "exec", "log"];
const HTTP: [&str; 3] = ["path", "port", "status"];
const TCP: [&str; 1] = ["port"];

/// What to know about the other services.
pub(super) struct Services<'a> {
    pub enabled: Vec<&'a str>,
    pub disabled: Vec<&'a str>,
}

/// Reads the extension at the top level. Warnings go to `warnings`.
pub(super) fn top_level(
    node: &Node,
    services: &Services<'_>,
    directory: &Path,
    warnings: &mut Vec<Problem>,
) -> Result<Extension, Problem> {
    let map = mapping(node, KEY)?;
    known_keys(map, KEY, &TOP)?;
    let workers = map.get("workers").map(workers).transpose()?;
    let subnets = map.get("subnets").map(subnets).transpose()?;
    let mut env = IndexMap::new();
    if let Some(node) = map.get("env") {
        for (name, entry) in mapping(node, "x-stackrun.env")?.iter() {
            if !is_variable(name) {
                let message = format!("`{name}` is not the name of a variable");
                return Err(Problem::error(entry.key, message)
                    .help("letters, digits and `_` are allowed, and no digit at the start"));
            }
            if let Some(address) = address(&entry.node, services, warnings)? {
                env.insert(name.to_owned(), address);
            }
        }
    }
    let images = map.get("images").map(|node| images(node, directory));
    Ok(Extension {
        workers,
        env,
        subnets,
        images: images.transpose()?.unwrap_or_default(),
    })
}

/// Archives by the names of the images in them; relative ones start in `directory`.
fn images(node: &Node, directory: &Path) -> Result<IndexMap<String, PathBuf>, Problem> {
    let archive = |(name, entry): (&str, &Entry)| match entry.node.as_str() {
        Some(path) if !path.is_empty() => Ok((name.to_owned(), join(directory, path))),
        _ => {
            let message = format!("the archive of image `{name}` must be a path");
            Err(Problem::error(entry.node.span, message))
        }
    };
    mapping(node, "x-stackrun.images")?
        .iter()
        .map(archive)
        .collect()
}

/// Reads the extension of a service.
pub(super) fn of_service(node: &Node) -> Result<Option<Ready>, Problem> {
    let map = mapping(node, KEY)?;
    known_keys(map, KEY, &SERVICE)?;
    map.get("ready").map(ready).transpose()
}

fn workers(node: &Node) -> Result<u32, Problem> {
    let number = integer(node).filter(|number| (1..=MAX_WORKERS.into()).contains(number));
    number
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| {
            Problem::error(
                node.span,
                format!("`x-stackrun.workers` must be from 1 to {MAX_WORKERS}"),
            )
        })
}

fn subnets(node: &Node) -> Result<SubnetPool, Problem> {
    let text = node.as_str().unwrap_or_default();
    let Ok(range) = text.parse::<Ipv4Net>() else {
        return Err(Problem::error(
            node.span,
            "`x-stackrun.subnets` must be a range of IPv4 addresses",
        )
        .help("write it as `10.213.0.0/16`"));
    };
    if range.prefix_len() > LONGEST_PREFIX {
        let message = format!("`{range}` is too small for the network of a worker");
        return Err(Problem::error(node.span, message).help(format!(
            "a prefix of at most {LONGEST_PREFIX} bits is needed"
        )));
    }
    Ok(SubnetPool {
        range: range.trunc(),
    })
}

/// `service` or `service:port`; `None` for a service whose profiles are not active.
fn address(
    node: &Node,
    services: &Services<'_>,
    warnings: &mut Vec<Problem>,
) -> Result<Option<AddressRef>, Problem> {
    let Some(text) = node.as_str() else {
        let found = node.value.describe();
        let message = format!("an address must be `service` or `service:port`, not {found}");
        return Err(Problem::error(node.span, message));
    };
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let port = match port {
        None => None,
        Some(text) => Some(
            parse_port(text)
                .ok_or_else(|| Problem::error(node.span, format!("`{text}` is not a port")))?,
        ),
    };
    if services.disabled.contains(&name) {
        let message = format!("service `{name}` is disabled, so that there is no address for it");
        warnings.push(Problem::warning(node.span, message));
        return Ok(None);
    }
    if !services.enabled.contains(&name) {
        return Err(
            Problem::error(node.span, format!("there is no service `{name}`"))
                .suggest(name, services.enabled.iter().copied()),
        );
    }
    let service: ServiceName = name
        .parse()
        .map_err(|_| Problem::error(node.span, "not a service name"))?;
    Ok(Some(AddressRef { service, port }))
}

fn ready(node: &Node) -> Result<Ready, Problem> {
    let map = mapping(node, "x-stackrun.ready")?;
    known_keys(map, "x-stackrun.ready", &READY)?;
    let timeout = match map.get("timeout") {
        None => None,
        Some(node) => {
            let duration = node.as_str().and_then(quantity::parse_duration);
            let positive = duration.filter(|duration| *duration > 0).ok_or_else(|| {
                Problem::error(node.span, "`timeout` must be a duration, such as `30s`")
            })?;
            Some(quantity::to_duration(positive))
        }
    };
    let mut given = PROBES.iter().filter(|name| map.contains(name));
    let probe = match (given.next(), given.next()) {
        (None, _) => None,
        (Some(name), None) => Some(probe(name, map)?),
        (Some(first), Some(second)) => {
            let message =
                format!("`ready` has both `{first}` and `{second}`; it can have one probe");
            let place = |key| map.key_span(key).unwrap_or(node.span);
            return Err(Problem::error(place(second), message).and(place(first), "the other one"));
        }
    };
    Ok(Ready { probe, timeout })
}

fn probe(name: &str, map: &Map) -> Result<Probe, Problem> {
    let node = map.get(name).expect("the caller has seen it");
    match name {
        "http" => http(node),
        "tcp" => tcp(node),
        "exec" => exec(node),
        _ => log(node),
    }
}

fn http(node: &Node) -> Result<Probe, Problem> {
    let mut path = node;
    let mut options = None;
    if node.as_str().is_none() {
        let map = mapping(node, "http")?;
        known_keys(map, "http", &HTTP)?;
        path = map.get("path").ok_or_else(|| {
            Problem::error(node.span, "`http` needs a `path`").help("write `path: /`")
        })?;
        options = Some(map);
    }
    let text = path
        .as_str()
        .filter(|path| path.starts_with('/'))
        .ok_or_else(|| {
            Problem::error(path.span, "the path of an HTTP probe must start with `/`")
        })?;
    let option = |key| options.and_then(|map| map.get(key));
    Ok(Probe::Http {
        path: text.to_owned(),
        port: option("port").map(port).transpose()?,
        expect: option("status")
            .map(status)
            .transpose()?
            .map_or(Expect::Success, Expect::Status),
    })
}

fn tcp(node: &Node) -> Result<Probe, Problem> {
    match &node.value {
        Value::Null => Ok(Probe::Tcp { port: None }),
        Value::Map(map) => {
            known_keys(map, "tcp", &TCP)?;
            Ok(Probe::Tcp {
                port: map.get("port").map(port).transpose()?,
            })
        }
        _ => Ok(Probe::Tcp {
            port: Some(port(node)?),
        }),
    }
}

fn exec(node: &Node) -> Result<Probe, Problem> {
    let wrong = || {
        Problem::error(
            node.span,
            "`exec` must be a program and its arguments, as a list",
        )
    };
    let command = match &node.value {
        Value::String(line) => shell::split(line),
        Value::List(items) => items.iter().map(Node::to_text).collect(),
        _ => None,
    };
    let command = command
        .filter(|command| !command.is_empty())
        .ok_or_else(wrong)?;
    Ok(Probe::Exec { command })
}

/// The expression is compiled here, so that a mistake is found where it was made.
fn log(node: &Node) -> Result<Probe, Problem> {
    let Some(pattern) = node.as_str() else {
        return Err(Problem::error(
            node.span,
            "`log` must be a regular expression",
        ));
    };
    match regex::Regex::new(pattern) {
        Ok(_) => Ok(Probe::Log {
            pattern: pattern.to_owned(),
        }),
        Err(error) => {
            let text = error.to_string();
            let reason = text
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            let message = format!("`log` is not a regular expression: {reason}");
            Err(Problem::error(node.span, message))
        }
    }
}

fn port(node: &Node) -> Result<u16, Problem> {
    node.to_text()
        .as_deref()
        .and_then(parse_port)
        .ok_or_else(|| Problem::error(node.span, "a port must be a number from 1 to 65535"))
}

fn parse_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

fn status(node: &Node) -> Result<u16, Problem> {
    let status = integer(node).filter(|status| (100..600).contains(status));
    status
        .and_then(|status| u16::try_from(status).ok())
        .ok_or_else(|| {
            Problem::error(
                node.span,
                "`status` must be an HTTP status code, from 100 to 599",
            )
        })
}

/// An integer, or a string that a variable has left.
fn integer(node: &Node) -> Option<i128> {
    match &node.value {
        Value::Int(number) => Some(*number),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn mapping<'a>(node: &'a Node, what: &str) -> Result<&'a Map, Problem> {
    node.as_map().ok_or_else(|| {
        let found = node.value.describe();
        Problem::error(
            node.span,
            format!("`{what}` must be a mapping, not {found}"),
        )
    })
}

fn known_keys(map: &Map, place: &str, known: &[&str]) -> Result<(), Problem> {
    match map.iter().find(|(key, _)| !known.contains(key)) {
        None => Ok(()),
        Some((key, entry)) => {
            let problem = Problem::error(entry.key, format!("unknown key `{key}` in `{place}`"));
            let problem = problem.suggest(key, known.iter().copied());
            let list = known.join("`, `");
            Err(match problem.help {
                Some(_) => problem,
                None => problem.help(format!("it may have `{list}`")),
            })
        }
    }
}

fn is_variable(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(legal) && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())
}
