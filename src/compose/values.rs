//! Gives every value its canonical form: lists of `KEY=value` become mappings, command
//! lines become words, durations and sizes get one spelling, and what says nothing is
//! left out.

use super::{
    diagnostic::Problem,
    long::pairs_to_map,
    merge::into_list,
    node::{Map, Node, Path, Value},
    quantity, scalar, shell,
};

/// Rewrites a document whose keys are all in long syntax.
pub(super) fn canonicalise(document: &mut Node) -> Result<(), Problem> {
    walk(document, Path::ROOT)
}

/// The canonical form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A mapping of strings; a key without a value has an empty one.
    Labels,
    /// A mapping of strings; a key without a value keeps none.
    Variables,
    /// The same, without the keys that have no value.
    Arguments,
    /// A list of words.
    Command,
    /// A list that says how to run the rest of it.
    HealthTest,
    /// `1m30s`.
    Duration,
    /// A number of bytes, as a string: it may not fit the numbers of JSON.
    Bytes,
    Int,
    /// An integer that is not negative.
    Natural,
    Float,
    Bool,
    /// A string, whatever scalar it was.
    Text,
    /// A list of strings.
    Texts,
    /// A list of `name=address`.
    Hosts,
    /// Permission bits, as an octal string.
    Mode,
    /// An integer that must not be written as a string.
    Unquoted,
    /// A number of devices; -1 is all.
    Count,
}

impl Form {
    fn at(path: &[&str]) -> Option<Self> {
        match path {
            ["services", _, rest @ ..] => Self::in_service(rest),
            ["networks" | "volumes" | "secrets" | "configs", _, rest @ ..] => match rest {
                ["labels" | "driver_opts"] => Some(Self::Labels),
                ["external" | "internal" | "attachable" | "enable_ipv4" | "enable_ipv6"] => {
                    Some(Self::Bool)
                }
                _ => None,
            },
            _ => None,
        }
    }

    #[expect(clippy::match_same_arms, reason = "grouped by place")]
    fn in_service(path: &[&str]) -> Option<Self> {
        match path {
            [key] => Self::of_service_key(key),
            ["build", rest @ ..] => Self::in_build(rest),
            ["deploy", rest @ ..] => Self::in_deploy(rest),
            ["healthcheck", key] => match *key {
                "test" => Some(Self::HealthTest),
                "interval" | "timeout" | "start_period" | "start_interval" => Some(Self::Duration),
                "retries" => Some(Self::Natural),
                "disable" => Some(Self::Bool),
                _ => None,
            },
            ["volumes", "[]", rest @ ..] => Self::in_mount(rest),
            ["post_start" | "pre_stop", "[]", key] | ["develop", "watch", "[]", "exec", key] => {
                match *key {
                    "command" => Some(Self::Command),
                    "environment" => Some(Self::Variables),
                    "privileged" => Some(Self::Bool),
                    _ => None,
                }
            }
            ["configs" | "secrets", "[]", "mode"] => Some(Self::Mode),
            ["depends_on", _, "restart" | "required"] | ["env_file", "[]", "required"] => {
                Some(Self::Bool)
            }
            ["develop", "watch", "[]", "ignore" | "include"] => Some(Self::Texts),
            ["gpus", "[]", rest @ ..] => Self::in_device_request(rest),
            ["logging", "options"] | ["networks", _, "driver_opts"] => Some(Self::Labels),
            ["networks", _, "priority" | "gw_priority"] => Some(Self::Int),
            ["ports", "[]", "target"] => Some(Self::Int),
            ["ports", "[]", "published"] => Some(Self::Text),
            ["provider", "options", _] => Some(Self::Texts),
            ["ulimits", _] | ["ulimits", _, "soft" | "hard"] => Some(Self::Int),
            ["blkio_config", "weight"] | ["blkio_config", "weight_device", "[]", "weight"] => {
                Some(Self::Natural)
            }
            ["blkio_config", _, "[]", "rate"] => Some(Self::Bytes),
            _ => None,
        }
    }

    fn of_service_key(key: &str) -> Option<Self> {
        Some(match key {
            "annotations" | "labels" | "sysctls" | "storage_opt" => Self::Labels,
            "environment" => Self::Variables,
            "command" | "entrypoint" => Self::Command,
            "mem_limit" | "mem_reservation" | "mem_swappiness" | "memswap_limit" | "shm_size" => {
                Self::Bytes
            }
            "stop_grace_period" => Self::Duration,
            "expose" | "group_add" => Self::Texts,
            "extra_hosts" => Self::Hosts,
            "cpu_count" | "cpu_period" | "cpu_quota" | "cpu_rt_period" | "cpu_rt_runtime"
            | "cpu_shares" | "oom_score_adj" | "pids_limit" | "scale" => Self::Int,
            "cpus" | "cpu_percent" => Self::Float,
            "attach" | "init" | "oom_kill_disable" | "privileged" | "read_only" | "stdin_open"
            | "tty" => Self::Bool,
            _ => return None,
        })
    }

    fn in_build(path: &[&str]) -> Option<Self> {
        Some(match path {
            ["args"] => Self::Arguments,
            ["labels"] => Self::Labels,
            ["extra_hosts"] => Self::Hosts,
            ["shm_size"] => Self::Bytes,
            ["no_cache" | "pull" | "privileged"] => Self::Bool,
            ["provenance" | "sbom"] => Self::Text,
            ["ssh"] => Self::Texts,
            ["secrets", "[]", "mode"] => Self::Mode,
            ["ulimits", _] | ["ulimits", _, "soft" | "hard"] => Self::Int,
            _ => return None,
        })
    }

    #[expect(clippy::match_same_arms, reason = "grouped by place")]
    fn in_deploy(path: &[&str]) -> Option<Self> {
        Some(match path {
            ["labels"] => Self::Labels,
            ["replicas"]
            | ["placement", "max_replicas_per_node"]
            | ["restart_policy", "max_attempts"]
            | ["update_config" | "rollback_config", "parallelism"]
            | ["resources", _, "pids"] => Self::Int,
            ["restart_policy", "delay" | "window"]
            | ["update_config" | "rollback_config", "delay" | "monitor"] => Self::Duration,
            ["update_config" | "rollback_config", "max_failure_ratio"]
            | ["resources", _, "cpus"] => Self::Float,
            ["resources", _, "memory"] => Self::Bytes,
            ["resources", "reservations", "devices", "[]", rest @ ..] => {
                return Self::in_device_request(rest);
            }
            [
                "resources",
                "reservations",
                "generic_resources",
                "[]",
                _,
                "value",
            ] => Self::Int,
            _ => return None,
        })
    }

    fn in_device_request(path: &[&str]) -> Option<Self> {
        match path {
            ["count"] => Some(Self::Count),
            ["options"] => Some(Self::Labels),
            _ => None,
        }
    }

    fn in_mount(path: &[&str]) -> Option<Self> {
        match path {
            ["read_only"] | ["bind", "create_host_path"] | ["volume", "nocopy"] => Some(Self::Bool),
            ["volume", "labels"] => Some(Self::Labels),
            ["tmpfs", "size"] => Some(Self::Bytes),
            ["tmpfs", "mode"] => Some(Self::Unquoted),
            _ => None,
        }
    }

    /// Rewrites the value, or says what is wrong with it.
    fn apply(self, node: &mut Node) -> Result<(), String> {
        match self {
            Self::Labels | Self::Variables | Self::Arguments => {
                pairs_to_map(node);
                if let Value::Map(map) = &mut node.value {
                    self.variables(map);
                }
            }
            Self::Command => {
                if let Some(line) = node.as_str() {
                    let words = shell::split(line).ok_or("a quote is not closed")?;
                    let words = words
                        .into_iter()
                        .map(|word| Node::new(word, node.span))
                        .collect();
                    node.value = Value::List(words);
                }
            }
            Self::HealthTest => {
                if let Some(line) = node.as_str() {
                    let words = ["CMD-SHELL", line].map(|word| Node::new(word, node.span));
                    node.value = Value::List(words.into());
                }
            }
            Self::Texts => {
                let items = into_list(std::mem::replace(node, Node::null(node.span)));
                let text = |item: Node| Node::new(item.to_text().unwrap_or_default(), item.span);
                node.value = Value::List(items.into_iter().map(text).collect());
            }
            Self::Hosts => node.value = hosts(std::mem::replace(node, Node::null(node.span)))?,
            _ => {
                if let Some(value) = self.scalar(&node.value)? {
                    node.value = value;
                }
            }
        }
        Ok(())
    }

    fn variables(self, map: &mut Map) {
        map.retain(|_, entry| self != Self::Arguments || !entry.node.is_null());
        for (_, entry) in map.iter_mut() {
            match entry.node.to_text() {
                Some(text) => entry.node.value = text.into(),
                None if self == Self::Labels => entry.node.value = "".into(),
                None => {}
            }
        }
    }

    /// The value in its form, or `None` where it can stay as it is.
    fn scalar(self, value: &Value) -> Result<Option<Value>, String> {
        let text = match value {
            Value::String(text) => text.as_str(),
            #[expect(clippy::cast_possible_truncation, reason = "Compose truncates as well")]
            Value::Float(number) if matches!(self, Self::Int | Self::Natural | Self::Unquoted) => {
                return Ok(Some(Value::Int(*number as i128)));
            }
            // Not a size for Compose, which then has none.
            Value::Float(_) if self == Self::Bytes => return Ok(Some(Value::Null)),
            Value::Int(..0) if self == Self::Natural => return Err("it is negative".to_owned()),
            Value::Int(number) => return Ok(self.number(*number)),
            Value::Bool(value) if self == Self::Text => return Ok(Some(value.to_string().into())),
            _ => return Ok(None),
        };
        let value = match self {
            Self::Duration => {
                let duration = quantity::parse_duration(text).ok_or("it is not a duration")?;
                quantity::format_duration(duration).into()
            }
            Self::Bytes => quantity::parse_size(text)
                .ok_or("it is not a size")?
                .to_string()
                .into(),
            Self::Int => text
                .parse::<i64>()
                .map_err(|_| "it is not an integer")?
                .into_value(),
            Self::Float => scalar::float(text).ok_or("it is not a number")?,
            Self::Natural => Value::Int(
                text.parse::<u64>()
                    .map_err(|_| "it is not a number")?
                    .into(),
            ),
            Self::Unquoted => return Err("it must be a number without quotes".to_owned()),
            Self::Bool => parse_bool(text).ok_or("it is not a boolean")?.into(),
            Self::Count if text == "all" => Value::Int(-1),
            Self::Count => text
                .parse::<i64>()
                .map_err(|_| "it is not a number")?
                .into_value(),
            Self::Mode => {
                let bits = u32::from_str_radix(text, 8).map_err(|_| "it is not an octal mode")?;
                format!("{bits:04o}").into()
            }
            _ => return Ok(None),
        };
        Ok(Some(value))
    }

    fn number(self, number: i128) -> Option<Value> {
        match self {
            Self::Bytes | Self::Text => Some(number.to_string().into()),
            Self::Mode => Some(format!("{number:04o}").into()),
            _ => None,
        }
    }
}

trait IntoValue {
    fn into_value(self) -> Value;
}

impl IntoValue for i64 {
    fn into_value(self) -> Value {
        Value::Int(self.into())
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "y" | "yes" | "on" => Some(true),
        "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// `name=address`, from `name:address` as well, without brackets around the address.
fn hosts(node: Node) -> Result<Value, String> {
    let mut hosts = Vec::new();
    for item in into_list(node) {
        let Some(text) = item.as_str() else { continue };
        // The address may be empty, as where a variable is not set.
        let parts = text.split_once('=').or_else(|| text.split_once(':'));
        let (name, address) = parts.ok_or_else(|| format!("`{text}` has no address"))?;
        if name.is_empty() {
            return Err(format!("`{text}` has no name"));
        }
        let address = address.trim_start_matches('[').trim_end_matches(']');
        hosts.push(Node::new(format!("{name}={address}"), item.span));
    }
    Ok(Value::List(hosts))
}

fn walk(node: &mut Node, path: Path<'_>) -> Result<(), Problem> {
    if let Some(form) = Form::at(path.keys())
        // An integer stays one where a mapping would be the other syntax.
        && !(form == Form::Int && matches!(node.value, Value::Map(_)))
    {
        let span = node.span;
        let shown = node.to_text();
        return form.apply(node).map_err(|why| {
            let value = shown.map(|text| format!(" `{text}`")).unwrap_or_default();
            Problem::error(span, format!("invalid value{value} of `{path}`: {why}"))
        });
    }
    match &mut node.value {
        Value::Map(map) => {
            for (key, entry) in map.iter_mut() {
                if !key.starts_with("x-") {
                    walk(&mut entry.node, path.key(key))?;
                }
            }
        }
        Value::List(items) => {
            for item in items {
                walk(item, path.item())?;
            }
        }
        _ => {}
    }
    Ok(())
}
