//! The resolved project as Compose text: what `stackrun config` prints.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{
    defaults::resources,
    node::{Map, Node, Path, Span, Value},
    scalar,
};

/// The resolved project as a Compose file in long syntax.
///
/// Loading it again gives the same project. Keys are sorted, but for services, which
/// keep the order of the file.
#[derive(Debug, Clone)]
pub struct Canonical {
    root: Node,
    profiles: Vec<String>,
}

impl Canonical {
    /// `all_profiles` are those of all services, enabled or not.
    pub(super) fn new(mut project: Map, all_profiles: Vec<String>) -> Self {
        prune(&mut project);
        let mut root = Node::new(project, Span::NONE);
        tidy(&mut root, Path::ROOT);
        Self {
            root: sort(root, Path::ROOT),
            profiles: all_profiles,
        }
    }

    /// The project as pretty-printed JSON, without a line break at the end.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(&Escaped(&self.root))
            .expect("keys are strings and writing to memory does not fail");
        escape_unprintable(text)
    }

    /// The project as YAML, with a line break at the end.
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        write_yaml(&self.root, 0, &mut text);
        text
    }

    /// Names of the enabled services, in the order of the file.
    pub fn services(&self) -> Vec<&str> {
        self.names("services")
    }

    /// Names of the volumes that enabled services use.
    pub fn volumes(&self) -> Vec<&str> {
        self.names("volumes")
    }

    /// Names of the networks that enabled services use.
    pub fn networks(&self) -> Vec<&str> {
        self.names("networks")
    }

    /// Images of the enabled services, each once; for a service that only has a
    /// `build`, the name that Compose gives to its image.
    pub fn images(&self) -> Vec<String> {
        let project = self.root.get_str("name").unwrap_or_default();
        let images =
            resources(self.tree(), "services").filter(|(_, _, it)| it.get("provider").is_none());
        let images = images.map(|(name, _, service)| image_of(project, name, service));
        let mut seen = BTreeSet::new();
        images.filter(|image| seen.insert(image.clone())).collect()
    }

    /// All profiles that services name, whether active or not, sorted.
    pub fn profiles(&self) -> &[String] {
        &self.profiles
    }

    /// The tree that is printed.
    pub(super) fn tree(&self) -> &Map {
        self.root.as_map().expect("it is made of a mapping")
    }

    fn names(&self, kind: &str) -> Vec<&str> {
        self.root
            .get(kind)
            .and_then(Node::as_map)
            .into_iter()
            .flat_map(Map::keys)
            .collect()
    }
}

/// The image of a service, given or by the name that Compose would build it under.
pub(super) fn image_of(project: &str, name: &str, service: &Node) -> String {
    match service.get_str("image") {
        Some(image) if !image.is_empty() => image.to_owned(),
        _ => format!("{project}-{name}"),
    }
}

/// Removes the resources that no service uses.
fn prune(project: &mut Map) {
    let mut used: BTreeSet<(&str, String)> = BTreeSet::new();
    for (_, _, service) in resources(project, "services") {
        let names = |key| {
            service
                .get(key)
                .and_then(Node::as_map)
                .into_iter()
                .flat_map(Map::keys)
        };
        used.extend(names("networks").map(|name| ("networks", name.to_owned())));
        used.extend(names("models").map(|name| ("models", name.to_owned())));
        for key in ["volumes", "configs", "secrets"] {
            let build = service.get("build").and_then(|build| build.get(key));
            let lists = [service.get(key), build];
            let items = lists
                .into_iter()
                .flatten()
                .filter_map(Node::as_list)
                .flatten();
            let sources = items.filter_map(|item| item.get_str("source"));
            used.extend(sources.map(|source| (key, source.to_owned())));
        }
    }
    for kind in ["networks", "volumes", "configs", "secrets", "models"] {
        if let Some(Value::Map(map)) = project.get_mut(kind).map(|node| &mut node.value) {
            map.retain(|name, _| used.contains(&(kind, name.to_owned())));
        }
        if project.get(kind).is_some_and(is_empty) {
            project.remove(kind);
        }
    }
}

/// Removes what says nothing: nulls, empty strings and collections, `false`; but not
/// where saying nothing is different from not being there.
fn tidy(node: &mut Node, path: Path<'_>) {
    let Value::Map(map) = &mut node.value else {
        if let Value::List(items) = &mut node.value {
            for item in items {
                tidy(item, path.item());
            }
        }
        return;
    };
    for (key, entry) in map.iter_mut() {
        if !key.starts_with("x-") {
            tidy(&mut entry.node, path.key(key));
        }
    }
    map.retain(|key, entry| {
        let path = path.key(key);
        let keys = path.keys();
        let node = &mut entry.node;
        if is_limit(keys) && is_zero(node) {
            node.value = Value::Map(Map::default());
            return true;
        }
        let unsaid = is_empty(node) || zero_says_nothing(keys) && is_zero(node);
        if key.starts_with("x-") {
            // The one place where Compose takes an extension and drops it.
            return !matches!(keys, ["networks", _, "ipam", "config", "[]", _]);
        }
        is_meaningful(keys) || is_limit(keys) || !unsaid
    });
}

#[expect(
    clippy::unnested_or_patterns,
    clippy::match_same_arms,
    reason = "a line for each place"
)]
fn is_meaningful(path: &[&str]) -> bool {
    match path {
        ["services"] => true,
        ["services", _] => true,
        ["networks" | "volumes" | "secrets" | "configs" | "models", _] => true,
        [_, _, "labels" | "driver_opts", _] => true,
        ["networks", _, "enable_ipv4" | "enable_ipv6"] => true,
        ["services", _, rest @ ..] => matches!(
            rest,
            ["attach" | "init" | "command" | "entrypoint"]
                | [
                    "annotations" | "environment" | "models" | "networks" | "sysctls",
                    _
                ]
                | ["build", "args" | "labels" | "additional_contexts", _]
                | ["deploy", "labels", _]
                | ["depends_on", _]
                | ["depends_on", _, "required"]
                | ["logging", "options", _]
                | ["storage_opt", _]
                | ["volumes", "[]", "volume", "labels", _]
                | ["post_start" | "pre_stop", "[]", "environment", _]
                | ["provider", "options", _]
        ),
        _ => false,
    }
}

/// Whether 0 is the same as leaving a number out.
#[expect(clippy::unnested_or_patterns, reason = "a line for each place")]
fn zero_says_nothing(path: &[&str]) -> bool {
    let ["services", _, rest @ ..] = path else {
        return false;
    };
    matches!(
        rest,
        ["cpu_count" | "cpu_percent" | "cpu_period" | "cpu_quota" | "cpu_rt_period"]
            | ["cpu_rt_runtime" | "cpu_shares" | "cpus" | "mem_limit" | "mem_reservation"]
            | ["mem_swappiness" | "memswap_limit" | "oom_score_adj" | "pids_limit"]
            | ["shm_size"]
            | ["build", "shm_size"]
            | ["ulimits", _, "soft" | "hard"]
            | ["build", "ulimits", _, "soft" | "hard"]
    )
}

/// Whether this is a limit of `ulimits`, which stays even where it is empty.
fn is_limit(path: &[&str]) -> bool {
    matches!(
        path,
        ["services", _, "ulimits", _] | ["services", _, "build", "ulimits", _]
    )
}

fn is_zero(node: &Node) -> bool {
    match &node.value {
        Value::Int(number) => *number == 0,
        Value::Float(number) => *number == 0.0,
        Value::String(text) => text == "0",
        _ => false,
    }
}

fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
        _ => false,
    }
}

/// Sorts keys: `name` and `services` first at the top, services not at all.
fn sort(node: Node, path: Path<'_>) -> Node {
    let value = match node.value {
        Value::Map(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            if path.keys() != ["services"] {
                entries.sort_by(|(a, _), (b, _)| rank(a, path).cmp(&rank(b, path)));
            }
            let mut sorted = Map::default();
            for (key, entry) in entries {
                let node = sort(entry.node, path.key(&key));
                sorted.insert(key, entry.key, node);
            }
            Value::Map(sorted)
        }
        Value::List(items) => Value::List(
            items
                .into_iter()
                .map(|item| sort(item, path.item()))
                .collect(),
        ),
        other => other,
    };
    Node { value, ..node }
}

fn rank<'a>(key: &'a str, path: Path<'_>) -> (usize, &'a str) {
    let top = path.keys().is_empty();
    let order = match key {
        "name" if top => 0,
        "services" if top => 1,
        _ if key.starts_with("x-") => 3,
        _ => 2,
    };
    (order, key)
}

/// A node to serialise. As the output is a Compose file again, each `$` is doubled.
struct Escaped<'a>(&'a Node);

impl Serialize for Escaped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => match i64::try_from(*value) {
                Ok(value) => serializer.serialize_i64(value),
                Err(_) => serializer.serialize_u64(u64::try_from(*value).unwrap_or(u64::MAX)),
            },
            Value::Float(value) => match as_integer(*value) {
                Some(integer) => serializer.serialize_i64(integer),
                None => serializer.serialize_f64(*value),
            },
            Value::Timestamp(text) | Value::String(text) => serializer.serialize_str(&escape(text)),
            Value::List(items) => serializer.collect_seq(items.iter().map(Escaped)),
            Value::Map(map) => {
                let mut state = serializer.serialize_map(Some(map.len()))?;
                for (key, entry) in map.iter() {
                    state.serialize_entry(key, &Escaped(&entry.node))?;
                }
                state.end()
            }
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

/// Writes a node behind its key or dash, which have been written without the space.
fn write_yaml(node: &Node, indent: usize, out: &mut String) {
    match &node.value {
        Value::Map(map) if !map.is_empty() => {
            start_block(indent, out);
            for (index, (key, entry)) in map.iter().enumerate() {
                if index > 0 || needs_indent(out) {
                    out.extend(std::iter::repeat_n(' ', indent));
                }
                out.push_str(&scalar_text(key));
                out.push(':');
                write_yaml(&entry.node, indent + 2, out);
            }
        }
        Value::List(items) if !items.is_empty() => {
            start_block(indent, out);
            for (index, item) in items.iter().enumerate() {
                if index > 0 || needs_indent(out) {
                    out.extend(std::iter::repeat_n(' ', indent));
                }
                out.push('-');
                write_yaml(item, indent + 2, out);
            }
        }
        other => {
            out.push(' ');
            out.push_str(&match other {
                Value::Null => "null".to_owned(),
                Value::Map(_) => "{}".to_owned(),
                Value::List(_) => "[]".to_owned(),
                Value::String(text) => block_or_scalar(&escape(text), indent),
                Value::Float(number) => float_yaml(*number),
                _ => node.to_text().unwrap_or_default(),
            });
            out.push('\n');
        }
    }
}

/// A block starts on a new line behind a key, and on the same line behind a dash.
fn start_block(indent: usize, out: &mut String) {
    if indent == 0 {
        return;
    }
    out.push(if out.ends_with('-') { ' ' } else { '\n' });
}

fn needs_indent(out: &str) -> bool {
    out.is_empty() || out.ends_with('\n')
}

fn float_yaml(number: f64) -> String {
    match number {
        _ if number.is_nan() => ".nan".to_owned(),
        f64::INFINITY => ".inf".to_owned(),
        f64::NEG_INFINITY => "-.inf".to_owned(),
        _ => as_integer(number).map_or_else(|| number.to_string(), |number| number.to_string()),
    }
}

/// A float without a fraction, which Compose prints as an integer.
fn as_integer(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked")]
    (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
}

/// Text of several lines as a literal block where YAML can, anything else as a scalar.
fn block_or_scalar(text: &str, indent: usize) -> String {
    let printable = |c: char| c == '\n' || !is_unprintable(c);
    let plain_lines = text.lines().all(|line| line.trim_end() == line);
    let block = text.trim_end_matches('\n').contains('\n')
        && !text.starts_with([' ', '\n'])
        && text.chars().all(printable)
        && plain_lines;
    if !block {
        return scalar_text(text);
    }
    let chomping = match text.strip_suffix('\n') {
        None => "-",
        Some(rest) if rest.ends_with('\n') => "+",
        Some(_) => "",
    };
    let pad = " ".repeat(indent.max(2));
    let mut block = format!("|{chomping}");
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        block.push('\n');
        if !line.is_empty() {
            block.push_str(&pad);
            block.push_str(line);
        }
    }
    block
}

/// A string that reads back as the same string: plain where that is safe, else in
/// double quotes.
fn scalar_text(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_./$@%+-=,:~()".contains(c) || c == ' ';
    let plain = text
        .starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '$'))
        && text.chars().all(safe)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !is_special_elsewhere(text)
        && matches!(scalar::resolve(text), Value::String(_));
    if plain {
        return text.to_owned();
    }
    escape_unprintable(serde_json::to_string(text).expect("a string can always be written"))
}

/// JSON text without the characters that YAML refuses or takes for line breaks. JSON has
/// them in strings only.
fn escape_unprintable(json: String) -> String {
    let unprintable = |c: char| c != '\n' && is_unprintable(c);
    if !json.contains(unprintable) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if unprintable(c) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

/// Whether tools that read YAML 1.1 take a text for something else: `yes` for a
/// boolean, `1:30` for a number.
fn is_special_elsewhere(text: &str) -> bool {
    const BOOLEANS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    let sexagesimal = |c: char| c.is_ascii_digit() || matches!(c, ':' | '.');
    BOOLEANS.contains(&text.to_lowercase().as_str()) || text.chars().all(sexagesimal)
}
