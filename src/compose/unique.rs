//! Removes what a later item of a list redefines: the last port, mount or variable of
//! a kind wins, in the place of the first.

use std::collections::HashMap;

use super::{
    diagnostic::Problem,
    node::{Node, Path, Value},
    port, volume,
};

/// Removes redefinitions from every list that Compose keeps unique.
pub(super) fn enforce(node: &mut Node, path: Path<'_>) -> Result<(), Problem> {
    match &mut node.value {
        Value::Map(map) => {
            for (key, entry) in map.iter_mut() {
                enforce(&mut entry.node, path.key(key))?;
            }
        }
        Value::List(items) => {
            if let Some(identity) = Identity::at(path.keys()) {
                *items = deduplicate(std::mem::take(items), identity)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn deduplicate(items: Vec<Node>, identity: Identity) -> Result<Vec<Node>, Problem> {
    let mut unique: Vec<Node> = Vec::with_capacity(items.len());
    let mut positions = HashMap::new();
    for item in items {
        // What has no identity is malformed, and validation will say so.
        let Some(key) = identity.of(&item)? else {
            unique.push(item);
            continue;
        };
        if let Some(&position) = positions.get(&key) {
            unique[position] = item;
        } else {
            positions.insert(key, unique.len());
            unique.push(item);
        }
    }
    Ok(unique)
}

/// What makes two items of a list the same thing.
#[derive(Clone, Copy)]
enum Identity {
    /// The text before `=`.
    Key,
    /// The path of an env file.
    EnvFile,
    /// The text of a number or a string.
    Text,
    /// The path in the container.
    Mount,
    /// The path in the container.
    Device,
    /// The file in the container, below this directory by default.
    File(&'static str),
    /// Address, ports and protocol.
    Port,
}

impl Identity {
    fn at(path: &[&str]) -> Option<Self> {
        Some(match path {
            ["networks", _, "labels"]
            | [
                "services",
                _,
                "build",
                "args" | "additional_contexts" | "labels" | "tags",
            ]
            | ["services", _, "deploy", "labels"]
            | ["services", _, "networks", _, "aliases" | "link_local_ips"] => Self::Key,
            ["services", _, key] => match *key {
                "annotations" | "cap_add" | "cap_drop" | "dns" | "dns_opt" | "dns_search"
                | "environment" | "labels" | "links" | "profiles" | "sysctls" | "tmpfs" => {
                    Self::Key
                }
                "configs" => Self::File(""),
                "devices" => Self::Device,
                "env_file" => Self::EnvFile,
                "expose" => Self::Text,
                "ports" => Self::Port,
                "secrets" => Self::File("/run/secrets"),
                "volumes" => Self::Mount,
                _ => return None,
            },
            _ => return None,
        })
    }

    fn of(self, item: &Node) -> Result<Option<String>, Problem> {
        Ok(match self {
            Self::Key => item
                .as_str()
                .map(|text| text.split_once('=').map_or(text, |(key, _)| key).to_owned()),
            Self::EnvFile => item
                .as_str()
                .or_else(|| item.get_str("path"))
                .map(str::to_owned),
            Self::Text => item.to_text(),
            Self::Mount => match item.as_str() {
                Some(short) => Some(volume::parse(short, item.span)?.target),
                None => target(item, "a mount")?,
            },
            Self::Device => match item.as_str() {
                Some(short) => short.split(':').nth(1).or(Some(short)).map(str::to_owned),
                None => target(item, "a device")?,
            },
            Self::File(directory) => match item.as_str() {
                Some(source) => Some(format!("{directory}/{source}")),
                None => item.get_str("target").map(str::to_owned).or_else(|| {
                    item.get_str("source")
                        .map(|source| format!("{directory}/{source}"))
                }),
            },
            Self::Port => port::identity(item),
        })
    }
}

/// The `target` of an item in long syntax, which must be there.
fn target(item: &Node, what: &str) -> Result<Option<String>, Problem> {
    if item.as_map().is_none() {
        return Ok(None);
    }
    match item.get_str("target") {
        Some(target) => Ok(Some(target.to_owned())),
        None => Err(Problem::error(
            item.span,
            format!("{what} needs a `target`"),
        )),
    }
}
