//! Lays one document over another, by Compose's rules: mappings are merged, lists are
//! appended, scalars are replaced, and a few keys have rules of their own.
//!
//! This is also where `!reset` and `!override` take effect. What comes out has no
//! tags.

use super::{
    diagnostic::Problem,
    node::{Map, Node, Path, Span, Tag, Value},
};

/// Lays the document `over` over `base`.
pub(super) fn merge(base: Map, over: Map) -> Result<Map, Problem> {
    Merger { tags: Tags::Settle }.mappings(base, over, Path::ROOT)
}

/// Lays the service at `path` over another, for `extends`. Its tags stay: they concern
/// the files before it just as well.
pub(super) fn merge_at(base: Node, over: Node, path: Path<'_>) -> Result<Node, Problem> {
    Merger { tags: Tags::Keep }.nodes(base, over, path)
}

/// What becomes of the tags of the later tree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tags {
    Settle,
    Keep,
}

struct Merger {
    tags: Tags,
}

/// Removes what is tagged `!reset` and all tags, for a tree that lies over nothing.
pub(super) fn settle(mut node: Node) -> Node {
    node.tag = Tag::None;
    match &mut node.value {
        Value::Map(map) => {
            map.retain(|_, entry| entry.node.tag != Tag::Reset);
            for (_, entry) in map.iter_mut() {
                let inner = std::mem::replace(&mut entry.node, Node::null(Span::NONE));
                entry.node = settle(inner);
            }
        }
        Value::List(items) => {
            *items = std::mem::take(items).into_iter().map(settle).collect();
        }
        _ => {}
    }
    node
}

/// How the two values of a key are put together where it is not by their kinds.
enum Rule {
    /// The later one is taken.
    Replace,
    /// Both are made lists of `KEY=value`.
    AsList,
    /// Both are made mappings; list items become keys.
    AsMap,
    /// The same, with the values of the short syntax of `depends_on`.
    Dependencies,
    /// A string is the context.
    Build,
    /// Options are merged when both name the same driver.
    Logging,
    /// Merged when both are mappings, else replaced.
    Ulimit,
    /// Merged by subnet.
    Ipam,
}

impl Rule {
    fn at(path: &[&str]) -> Option<Self> {
        Some(match path {
            ["networks", _, "ipam", "config"] => Self::Ipam,
            ["networks" | "volumes", _, "labels"]
            | ["services", _, "deploy", "labels"]
            | [
                "services",
                _,
                "build",
                "args" | "additional_contexts" | "extra_hosts" | "labels",
            ] => Self::AsList,
            ["services", _, "healthcheck", "test"] => Self::Replace,
            ["services", _, "ulimits", _] => Self::Ulimit,
            ["services", _, key] => match *key {
                "command" | "entrypoint" => Self::Replace,
                "annotations" | "dns" | "dns_opt" | "dns_search" | "env_file" | "environment"
                | "extra_hosts" | "label_file" | "labels" | "sysctls" | "tmpfs" => Self::AsList,
                "models" | "networks" => Self::AsMap,
                "depends_on" => Self::Dependencies,
                "build" => Self::Build,
                "logging" => Self::Logging,
                _ => return None,
            },
            _ => return None,
        })
    }
}

impl Merger {
    fn settle(&self, node: Node) -> Node {
        match self.tags {
            Tags::Settle => settle(node),
            Tags::Keep => node,
        }
    }

    fn nodes(&self, base: Node, over: Node, path: Path<'_>) -> Result<Node, Problem> {
        if over.tag == Tag::Override {
            return Ok(self.settle(over));
        }
        if let Some(rule) = Rule::at(path.keys()) {
            return self.by_rule(&rule, base, over, path);
        }
        if over.is_null() {
            return Ok(base);
        }
        match (base.value, over.value) {
            (Value::Map(base), Value::Map(map)) => {
                Ok(Node::new(self.mappings(base, map, path)?, over.span))
            }
            (Value::List(mut items), Value::List(more)) => {
                items.extend(more.into_iter().map(|item| self.settle(item)));
                Ok(Node::new(items, over.span))
            }
            (first @ (Value::Map(_) | Value::List(_)), value) => {
                Err(cannot_override(&first, base.span, &value, over.span, path))
            }
            (_, value) => Ok(self.settle(Node { value, ..over })),
        }
    }

    fn mappings(&self, mut base: Map, over: Map, path: Path<'_>) -> Result<Map, Problem> {
        for (key, entry) in over {
            if entry.node.tag == Tag::Reset {
                match self.tags {
                    Tags::Settle => drop(base.remove(&key)),
                    Tags::Keep => base.insert(key, entry.key, entry.node),
                }
                continue;
            }
            // The value is taken out in place, so that the key keeps its position.
            let node = match base.get_mut(&key) {
                None => self.settle(entry.node),
                Some(slot) => {
                    let first = std::mem::replace(slot, Node::null(Span::NONE));
                    self.nodes(first, entry.node, path.key(&key))?
                }
            };
            base.insert(key, entry.key, node);
        }
        Ok(base)
    }

    fn by_rule(
        &self,
        rule: &Rule,
        base: Node,
        over: Node,
        path: Path<'_>,
    ) -> Result<Node, Problem> {
        let span = over.span;
        if over.is_null() && !matches!(rule, Rule::Replace | Rule::Ulimit) {
            return Ok(base);
        }
        let both_maps = base.as_map().is_some() && over.as_map().is_some();
        match rule {
            Rule::Ulimit if both_maps => {}
            Rule::Replace | Rule::Ulimit => return Ok(self.settle(over)),
            Rule::AsList => {
                let mut items = into_list(base);
                items.retain(|item| !is_reset(item, &over));
                items.extend(into_list(settle(over)));
                return Ok(Node::new(items, span));
            }
            Rule::Ipam => return self.ipam(base, settle(over), path),
            Rule::Logging if !same_driver(&base, &over) => return Ok(self.settle(over)),
            Rule::AsMap | Rule::Dependencies | Rule::Build | Rule::Logging => {}
        }
        let base = into_map(base, rule, path)?;
        let over = into_map(over, rule, path)?;
        Ok(Node::new(self.mappings(base, over, path)?, span))
    }

    /// The later file says which address pools there are; one whose subnet an earlier
    /// file has as well takes over what it does not say itself.
    fn ipam(&self, base: Node, over: Node, path: Path<'_>) -> Result<Node, Problem> {
        let span = over.span;
        let (Value::List(pools), Value::List(more)) = (base.value, over.value) else {
            return Err(Problem::error(span, format!("`{path}` must be a list")));
        };
        let merged = more.into_iter().map(|pool| {
            match pools
                .iter()
                .find(|known| known.get("subnet") == pool.get("subnet"))
            {
                Some(known) => self.nodes(known.clone(), pool, path.item()),
                None => Ok(pool),
            }
        });
        Ok(Node::new(merged.collect::<Result<Vec<_>, _>>()?, span))
    }
}

/// Whether a mapping has `!reset` for the key of an item `KEY=value`.
fn is_reset(item: &Node, over: &Node) -> bool {
    let key = item
        .as_str()
        .map(|text| text.split_once('=').map_or(text, |(key, _)| key));
    key.and_then(|key| over.get(key))
        .is_some_and(|node| node.tag == Tag::Reset)
}

fn same_driver(base: &Node, over: &Node) -> bool {
    match (base.get("driver"), over.get("driver")) {
        (Some(base), Some(over)) => base == over,
        _ => true,
    }
}

/// A list of `KEY=value`, sorted where it was a mapping.
pub(super) fn into_list(node: Node) -> Vec<Node> {
    let map = match node.value {
        Value::Map(map) => map,
        Value::List(items) => return items,
        Value::Null => return Vec::new(),
        _ => return vec![node],
    };
    let mut items = Vec::with_capacity(map.len());
    for (key, entry) in map {
        let span = entry.node.span;
        match &entry.node.value {
            Value::List(values) => items.extend(values.iter().map(|value| {
                let text = value.to_text().unwrap_or_default();
                Node::new(format!("{key}={text}"), value.span)
            })),
            _ => items.push(match entry.node.to_text() {
                Some(text) => Node::new(format!("{key}={text}"), span),
                None => Node::new(key, entry.key),
            }),
        }
    }
    items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    items
}

fn into_map(node: Node, rule: &Rule, path: Path<'_>) -> Result<Map, Problem> {
    let mut map = Map::default();
    match node.value {
        Value::Map(map) => return Ok(map),
        Value::Null => {}
        Value::String(context) if matches!(rule, Rule::Build) => {
            map.insert("context", node.span, Node::new(context, node.span));
        }
        Value::List(items) if !matches!(rule, Rule::Build | Rule::Logging) => {
            for item in items {
                let Some(key) = item.as_str().map(str::to_owned) else {
                    return Err(not_a_name(&item, path));
                };
                let value = match rule {
                    Rule::Dependencies => default_dependency(item.span),
                    _ => Node::null(item.span),
                };
                map.insert(key, item.span, value);
            }
        }
        other => {
            let message = format!("`{path}` cannot be {}", other.describe());
            return Err(Problem::error(node.span, message));
        }
    }
    Ok(map)
}

/// What an item of the short syntax of `depends_on` stands for.
pub(super) fn default_dependency(span: Span) -> Node {
    let mut map = Map::default();
    map.set("condition", "service_started");
    map.set("required", true);
    Node::new(map, span)
}

fn not_a_name(item: &Node, path: Path<'_>) -> Problem {
    let found = item.value.describe();
    Problem::error(
        item.span,
        format!("an item of `{path}` must be a name, not {found}"),
    )
}

fn cannot_override(
    base: &Value,
    base_span: Span,
    over: &Value,
    span: Span,
    path: Path<'_>,
) -> Problem {
    let (base, over) = (base.describe(), over.describe());
    Problem::error(
        span,
        format!("`{path}` is {over} here, but {base} in an earlier file"),
    )
    .and(base_span, "earlier")
    .help("both files must use the same syntax for it, or tag the later value `!override`")
}
