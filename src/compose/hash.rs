//! What `config --hash` prints: one hash for each service, the one that Docker Compose
//! puts into the label `com.docker.compose.config-hash`.
//!
//! Compose hashes a service as Go writes its structure as JSON. So the order of keys,
//! and what of a value is left out when it says nothing, are part of the hash. The
//! tables below are the structures of Compose v2.40 (compose-go v2.9) that are hashed:
//! `build`, `pull_policy`, `scale`, `deploy.replicas`, `depends_on` and `profiles` are
//! missing on purpose, as they change nothing about a container that is there.

use std::{collections::BTreeMap, fmt::Write as _};

use sha2::{Digest, Sha256};

use super::{
    defaults::resources,
    load::Environment,
    node::{Map, Node, Value},
};

/// The hash of each service of a canonical document, whose env files are still files:
/// Compose hashes their names, not their contents.
pub(super) fn of_services(document: &Map, environment: &Environment) -> BTreeMap<String, String> {
    let platform = environment.get("DOCKER_DEFAULT_PLATFORM");
    resources(document, "services")
        .map(|(name, _, service)| (name.to_owned(), of_service(service, platform)))
        .collect()
}

fn of_service(service: &Node, default_platform: Option<&String>) -> String {
    let given = |platform: &Node| platform.as_str() != Some("");
    let text = match default_platform {
        // Compose says so only where there is something to build.
        Some(platform)
            if service.get("build").is_some() && !service.get("platform").is_some_and(given) =>
        {
            let mut service = service.clone();
            if let Some(map) = service.as_map_mut() {
                map.set("platform", platform.as_str());
            }
            object(SERVICE, Some(&service))
        }
        _ => object(SERVICE, Some(service)),
    };
    let mut hash = String::with_capacity(64);
    for byte in Sha256::digest(text) {
        write!(hash, "{byte:02x}").expect("a string takes any text");
    }
    hash
}

/// How a value is written, and when it is left out.
#[derive(Clone, Copy)]
enum Shape {
    /// Left out when it is not there, `""`, `0` or `false`.
    Scalar,
    /// The same, with the digits of a number of 32 bits.
    Float,
    /// A size or a duration, which are strings: left out when it is zero.
    Quantity,
    /// Written whenever it is there.
    Given,
    /// Written even if it is not there, then as this.
    Required(&'static str),
    /// A list or a mapping of scalars: left out when it is empty.
    Collection,
    /// The same, sorted.
    Sorted,
    /// A command line: an empty one is not the same as none, which is written as well.
    Command,
    EnvFiles,
    Ulimit,
    /// A mapping with keys of Compose's choice: left out when it is not there.
    Object(Fields),
    /// The same, written as an empty one when it is not there.
    Always(Fields),
    /// A list: left out when it is empty.
    List(&'static Self),
    /// A mapping from names of the file's choice: left out when it is empty.
    Named(&'static Self),
}

type Fields = &'static [(&'static str, Shape)];

use Shape::{
    Always, Collection, Command, EnvFiles, Float, Given, List, Named, Object, Quantity, Required,
    Scalar, Sorted, Ulimit,
};

const SERVICE: Fields = &[
    ("annotations", Collection),
    ("attach", Given),
    ("develop", Object(&[("watch", List(&Object(WATCH)))])),
    ("blkio_config", Object(BLKIO)),
    ("cap_add", Collection),
    ("cap_drop", Collection),
    ("cgroup_parent", Scalar),
    ("cgroup", Scalar),
    ("cpu_count", Scalar),
    ("cpu_percent", Float),
    ("cpu_period", Scalar),
    ("cpu_quota", Scalar),
    ("cpu_rt_period", Scalar),
    ("cpu_rt_runtime", Scalar),
    ("cpus", Float),
    ("cpuset", Scalar),
    ("cpu_shares", Scalar),
    ("command", Command),
    ("configs", List(&Object(FILE_MOUNT))),
    ("container_name", Scalar),
    ("credential_spec", Object(CREDENTIALS)),
    ("deploy", Object(DEPLOY)),
    ("device_cgroup_rules", Collection),
    ("devices", List(&Object(DEVICE))),
    ("dns", Collection),
    ("dns_opt", Collection),
    ("dns_search", Collection),
    ("domainname", Scalar),
    ("entrypoint", Command),
    ("provider", Object(PROVIDER)),
    ("environment", Collection),
    ("env_file", List(&EnvFiles)),
    ("expose", Collection),
    ("external_links", Collection),
    ("extra_hosts", Sorted),
    ("group_add", Collection),
    ("gpus", List(&Object(DEVICE_REQUEST))),
    ("hostname", Scalar),
    ("healthcheck", Object(HEALTHCHECK)),
    ("image", Scalar),
    ("init", Given),
    ("ipc", Scalar),
    ("isolation", Scalar),
    ("labels", Collection),
    ("links", Collection),
    ("logging", Object(LOGGING)),
    ("mem_limit", Quantity),
    ("mem_reservation", Quantity),
    ("memswap_limit", Quantity),
    ("mem_swappiness", Quantity),
    ("mac_address", Scalar),
    ("models", Named(&Object(MODEL))),
    ("network_mode", Scalar),
    ("networks", Named(&Object(ATTACHMENT))),
    ("oom_kill_disable", Scalar),
    ("oom_score_adj", Scalar),
    ("pid", Scalar),
    ("pids_limit", Scalar),
    ("platform", Scalar),
    ("ports", List(&Object(PORT))),
    ("privileged", Scalar),
    ("read_only", Scalar),
    ("restart", Scalar),
    ("runtime", Scalar),
    ("secrets", List(&Object(FILE_MOUNT))),
    ("security_opt", Collection),
    ("shm_size", Quantity),
    ("stdin_open", Scalar),
    ("stop_grace_period", Given),
    ("stop_signal", Scalar),
    ("storage_opt", Collection),
    ("sysctls", Collection),
    ("tmpfs", Collection),
    ("tty", Scalar),
    ("ulimits", Named(&Ulimit)),
    ("use_api_socket", Scalar),
    ("user", Scalar),
    ("userns_mode", Scalar),
    ("uts", Scalar),
    ("volumes", List(&Object(MOUNT))),
    ("volumes_from", Collection),
    ("working_dir", Scalar),
    ("post_start", List(&Object(HOOK))),
    ("pre_stop", List(&Object(HOOK))),
];

const WATCH: Fields = &[
    ("path", Required(NO_TEXT)),
    ("action", Required(NO_TEXT)),
    ("target", Scalar),
    ("exec", Always(HOOK)),
    ("include", Collection),
    ("ignore", Collection),
    ("initial_sync", Scalar),
];

const BLKIO: Fields = &[
    ("weight", Scalar),
    ("weight_device", List(&Object(WEIGHT))),
    ("device_read_bps", List(&Object(RATE))),
    ("device_read_iops", List(&Object(RATE))),
    ("device_write_bps", List(&Object(RATE))),
    ("device_write_iops", List(&Object(RATE))),
];
// Compose forgot to name these fields, so that they have capitals.
const WEIGHT: Fields = &[("Path", Required(NO_TEXT)), ("Weight", Required("0"))];
const RATE: Fields = &[("Path", Required(NO_TEXT)), ("Rate", Required("\"0\""))];
const NO_TEXT: &str = "\"\"";

const FILE_MOUNT: Fields = &[
    ("source", Scalar),
    ("target", Scalar),
    ("uid", Scalar),
    ("gid", Scalar),
    ("mode", Given),
];

const CREDENTIALS: Fields = &[("config", Scalar), ("file", Scalar), ("registry", Scalar)];

const DEPLOY: Fields = &[
    ("mode", Scalar),
    ("labels", Collection),
    ("update_config", Object(UPDATE)),
    ("rollback_config", Object(UPDATE)),
    (
        "resources",
        Always(&[
            ("limits", Object(RESOURCES)),
            ("reservations", Object(RESOURCES)),
        ]),
    ),
    ("restart_policy", Object(RESTART)),
    ("placement", Always(PLACEMENT)),
    ("endpoint_mode", Scalar),
];

const UPDATE: Fields = &[
    ("parallelism", Given),
    ("delay", Quantity),
    ("failure_action", Scalar),
    ("monitor", Quantity),
    ("max_failure_ratio", Float),
    ("order", Scalar),
];

const RESOURCES: Fields = &[
    ("cpus", Float),
    ("memory", Quantity),
    ("pids", Scalar),
    ("devices", List(&Object(DEVICE_REQUEST))),
    ("generic_resources", List(&Object(GENERIC_RESOURCE))),
];

const GENERIC_RESOURCE: Fields = &[(
    "discrete_resource_spec",
    Object(&[("kind", Required(NO_TEXT)), ("value", Required("0"))]),
)];

const RESTART: Fields = &[
    ("condition", Scalar),
    ("delay", Given),
    ("max_attempts", Given),
    ("window", Given),
];

const PLACEMENT: Fields = &[
    ("constraints", Collection),
    ("preferences", List(&Object(&[("spread", Scalar)]))),
    ("max_replicas_per_node", Scalar),
];

const DEVICE: Fields = &[
    ("source", Scalar),
    ("target", Scalar),
    ("permissions", Scalar),
];

const DEVICE_REQUEST: Fields = &[
    ("capabilities", Collection),
    ("driver", Scalar),
    ("count", Scalar),
    ("device_ids", Collection),
    ("options", Collection),
];

const PROVIDER: Fields = &[("type", Scalar), ("options", Collection)];

const HEALTHCHECK: Fields = &[
    ("test", Collection),
    ("timeout", Given),
    ("interval", Given),
    ("retries", Given),
    ("start_period", Given),
    ("start_interval", Given),
    ("disable", Scalar),
];

const LOGGING: Fields = &[("driver", Scalar), ("options", Collection)];

const MODEL: Fields = &[("endpoint_var", Scalar), ("model_var", Scalar)];

const ATTACHMENT: Fields = &[
    ("aliases", Collection),
    ("driver_opts", Collection),
    ("gw_priority", Scalar),
    ("interface_name", Scalar),
    ("ipv4_address", Scalar),
    ("ipv6_address", Scalar),
    ("link_local_ips", Collection),
    ("mac_address", Scalar),
    ("priority", Scalar),
];

const PORT: Fields = &[
    ("name", Scalar),
    ("mode", Scalar),
    ("host_ip", Scalar),
    ("target", Scalar),
    ("published", Scalar),
    ("protocol", Scalar),
    ("app_protocol", Scalar),
];

const MOUNT: Fields = &[
    ("type", Scalar),
    ("source", Scalar),
    ("target", Scalar),
    ("read_only", Scalar),
    ("consistency", Scalar),
    (
        "bind",
        Object(&[
            ("selinux", Scalar),
            ("propagation", Scalar),
            ("create_host_path", Scalar),
            ("recursive", Scalar),
        ]),
    ),
    (
        "volume",
        Object(&[
            ("labels", Collection),
            ("nocopy", Scalar),
            ("subpath", Scalar),
        ]),
    ),
    ("tmpfs", Object(&[("size", Quantity), ("mode", Scalar)])),
    ("image", Object(&[("subpath", Scalar)])),
];

const HOOK: Fields = &[
    ("command", Command),
    ("user", Scalar),
    ("privileged", Scalar),
    ("working_dir", Scalar),
    ("environment", Collection),
];

impl Shape {
    /// The JSON text of a value, or `None` where Compose leaves it out.
    fn write(self, node: Option<&Node>) -> Option<String> {
        let node = node.filter(|node| !node.is_null());
        match self {
            Command => return Some(node.map_or_else(|| "null".to_owned(), plain)),
            Required(default) => return Some(node.map_or_else(|| default.to_owned(), plain)),
            Always(fields) => return Some(object(fields, node)),
            _ => {}
        }
        let node = node?;
        match self {
            Scalar => Some(plain(node)).filter(|_| !is_zero(node)),
            Float => Some(float(node)?).filter(|_| !is_zero(node)),
            Quantity => Some(plain(node)).filter(|_| !matches!(node.as_str(), Some("0" | "0s"))),
            Collection => Some(plain(node)).filter(|text| !is_nothing(text)),
            Sorted => {
                let mut items = node.as_list()?.to_vec();
                items.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
                Collection.write(Some(&Node::new(items, node.span)))
            }
            EnvFiles => Some(env_file(node)),
            Ulimit => Some(ulimit(node)),
            Object(fields) => Some(object(fields, Some(node))),
            List(item) => {
                let items = node.as_list()?.iter();
                let items = items.map(|node| item.or_null(node)).collect::<Vec<_>>();
                Some(format!("[{}]", items.join(","))).filter(|text| !is_nothing(text))
            }
            Named(value) => {
                Some(sorted(node, |node| value.or_null(node))).filter(|text| !is_nothing(text))
            }
            Given | Command | Required(_) | Always(_) => Some(plain(node)),
        }
    }

    fn or_null(self, node: &Node) -> String {
        self.write(Some(node)).unwrap_or_else(|| "null".to_owned())
    }
}

fn object(fields: Fields, node: Option<&Node>) -> String {
    let mut text = String::from("{");
    for (name, shape) in fields {
        let value = node.and_then(|node| node.get(&name.to_ascii_lowercase()));
        if let Some(value) = shape.write(value) {
            if text.len() > 1 {
                text.push(',');
            }
            write!(text, "\"{name}\":{value}").expect("a string takes any text");
        }
    }
    text + "}"
}

/// Any tree, with sorted keys.
fn plain(node: &Node) -> String {
    match &node.value {
        Value::Map(_) => sorted(node, plain),
        Value::List(items) => {
            let items: Vec<_> = items.iter().map(plain).collect();
            format!("[{}]", items.join(","))
        }
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(_) => float(node).unwrap_or_default(),
        Value::String(text) | Value::Timestamp(text) => quoted(text),
    }
}

fn sorted(node: &Node, write: impl Fn(&Node) -> String) -> String {
    let entries = node.as_map().into_iter().flat_map(Map::iter);
    let mut entries: Vec<_> = entries.map(|(key, entry)| (key, &entry.node)).collect();
    entries.sort_by_key(|(key, _)| *key);
    let entries: Vec<_> = entries
        .into_iter()
        .map(|(key, node)| format!("{}:{}", quoted(key), write(node)))
        .collect();
    format!("{{{}}}", entries.join(","))
}

fn is_zero(node: &Node) -> bool {
    match &node.value {
        Value::Bool(value) => !value,
        Value::Int(value) => *value == 0,
        Value::Float(value) => *value == 0.0,
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn is_nothing(text: &str) -> bool {
    matches!(text, "[]" | "{}")
}

/// A file that must be there is written as its path.
fn env_file(node: &Node) -> String {
    const FILE: Fields = &[
        ("path", Scalar),
        ("required", Required("false")),
        ("format", Scalar),
    ];
    let required = node.get("required").and_then(Node::as_bool) != Some(false);
    match node.get("path") {
        Some(path) if required => plain(path),
        _ => object(FILE, Some(node)),
    }
}

fn ulimit(node: &Node) -> String {
    const LIMITS: Fields = &[("soft", Scalar), ("hard", Scalar)];
    match &node.value {
        Value::Int(both) if *both != 0 => both.to_string(),
        _ => object(LIMITS, Some(node)),
    }
}

/// A number as Go writes one of 32 bits: the shortest digits that tell it apart, and an
/// exponent for very small and very large ones.
fn float(node: &Node) -> Option<String> {
    let number: f32 = node.to_text()?.parse().ok()?;
    let plain = number == 0.0 || (1e-6..1e21).contains(&number.abs());
    if plain {
        return Some(number.to_string());
    }
    let text = format!("{number:e}");
    Some(match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    })
}

/// A string as Go quotes it: what could end a script of HTML or a line of JavaScript is
/// escaped as well.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                write!(quoted, "\\u{:04x}", u32::from(c)).expect("a string takes any text");
            }
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
