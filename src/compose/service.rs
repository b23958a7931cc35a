//! One service of the resolved tree to [`spec::Service`](crate::spec::Service).
//!
//! What Compose accepts and an engine would refuse later is taken with a warning, so
//! that `config` shows it.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use indexmap::IndexMap;

use super::{
    build::{self, Surroundings},
    diagnostic::Problem,
    extension,
    node::{Map, Node, Value},
    quantity,
};
use crate::spec::{
    Condition, Dependency, Device, FileMount, HealthTest, Healthcheck, Logging, Mount, MountKind,
    NetworkAttachment, NetworkMode, Port, Protocol, PullPolicy, Ready, Resources, RestartPolicy,
    Service, ServiceName, Ulimit,
};

/// Builds a service from its canonical form.
pub(super) fn service(
    name: ServiceName,
    image: String,
    node: &Node,
    around: &Surroundings<'_>,
    warnings: &mut Vec<Problem>,
) -> Result<Service, Problem> {
    warn_of_what_has_no_effect(&name, node, warnings);
    Ok(Service {
        image,
        build: node
            .get("build")
            .map(|node| build::build(node, around, warnings)),
        pull_policy: text(node, "pull_policy").map(|policy| pull_policy(&policy)),
        platform: text(node, "platform"),

        command: words(node, "command"),
        entrypoint: words(node, "entrypoint"),
        environment: texts_by_name(node, "environment"),
        user: text(node, "user"),
        working_dir: text(node, "working_dir"),
        hostname: text(node, "hostname"),
        domainname: text(node, "domainname"),
        container_name: text(node, "container_name"),
        replicas: replicas(node),
        tty: flag(node, "tty"),
        stdin_open: flag(node, "stdin_open"),
        init: node.get("init").and_then(Node::as_bool),
        labels: texts_by_name(node, "labels"),

        depends_on: dependencies(node),
        healthcheck: node.get("healthcheck").and_then(healthcheck),
        ready: ready(node)?,
        stop_signal: text(node, "stop_signal"),
        stop_grace_period: duration(node, "stop_grace_period"),
        restart: restart(node, warnings),

        ports: list(node, "ports").map(port).collect::<Result<_, _>>()?,
        expose: texts(node, "expose"),
        networks: networks(node, warnings),
        network_mode: network_mode(node, warnings),
        extra_hosts: texts(node, "extra_hosts"),
        dns: texts(node, "dns"),
        dns_search: texts(node, "dns_search"),
        dns_opt: texts(node, "dns_opt"),
        links: texts(node, "links"),

        mounts: mounts(node, warnings),
        configs: list(node, "configs")
            .map(|item| file_mount(item, "/"))
            .collect(),
        secrets: list(node, "secrets")
            .map(|item| file_mount(item, "/run/secrets/"))
            .collect(),
        read_only: flag(node, "read_only"),
        shm_size: bytes(node, "shm_size"),

        privileged: flag(node, "privileged"),
        cap_add: texts(node, "cap_add"),
        cap_drop: texts(node, "cap_drop"),
        security_opt: texts(node, "security_opt"),
        group_add: texts(node, "group_add"),
        devices: list(node, "devices").map(device).collect(),
        sysctls: texts_by_name(node, "sysctls"),
        ulimits: ulimits(node),
        resources: resources(node),
        pid: text(node, "pid"),
        ipc: text(node, "ipc"),
        uts: text(node, "uts"),
        userns_mode: text(node, "userns_mode"),
        cgroup: text(node, "cgroup"),
        cgroup_parent: text(node, "cgroup_parent"),
        runtime: text(node, "runtime"),
        logging: node.get("logging").map(|logging| Logging {
            driver: text(logging, "driver"),
            options: texts_by_name(logging, "options"),
        }),
        name,
    })
}

/// Keys that change what a container is in Compose and that no engine of ours can
/// honour.
const NO_EFFECT: [&str; 9] = [
    "blkio_config",
    "credential_spec",
    "device_cgroup_rules",
    "external_links",
    "gpus",
    "models",
    "post_start",
    "pre_stop",
    "use_api_socket",
];

fn warn_of_what_has_no_effect(name: &ServiceName, node: &Node, warnings: &mut Vec<Problem>) {
    let Some(map) = node.as_map() else { return };
    for key in NO_EFFECT {
        if let Some(span) = map.key_span(key) {
            let message = format!("`{key}` of service `{name}` has no effect here");
            warnings.push(Problem::warning(span, message));
        }
    }
    for item in list(node, "volumes_from") {
        if item
            .as_str()
            .is_some_and(|from| from.starts_with("container:"))
        {
            let message = format!("service `{name}` cannot have volumes of a container outside");
            warnings.push(Problem::warning(item.span, message));
        }
    }
}

pub(super) fn list<'a>(node: &'a Node, key: &str) -> impl Iterator<Item = &'a Node> {
    node.get(key)
        .and_then(Node::as_list)
        .unwrap_or_default()
        .iter()
}

pub(super) fn entries<'a>(node: &'a Node, key: &str) -> impl Iterator<Item = (&'a str, &'a Node)> {
    let map = node.get(key).and_then(Node::as_map);
    map.into_iter()
        .flat_map(Map::iter)
        .map(|(key, entry)| (key, &entry.node))
}

/// A text that is not empty.
pub(super) fn text(node: &Node, key: &str) -> Option<String> {
    node.get_str(key)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

pub(super) fn flag(node: &Node, key: &str) -> bool {
    node.get(key).and_then(Node::as_bool).unwrap_or(false)
}

pub(super) fn texts(node: &Node, key: &str) -> Vec<String> {
    list(node, key).filter_map(Node::to_text).collect()
}

/// The entries of a mapping that have a value.
pub(super) fn texts_by_name(node: &Node, key: &str) -> IndexMap<String, String> {
    entries(node, key)
        .filter_map(|(name, value)| Some((name.to_owned(), value.to_text()?)))
        .collect()
}

fn words(node: &Node, key: &str) -> Option<Vec<String>> {
    let items = node.get(key)?.as_list()?;
    Some(items.iter().filter_map(Node::to_text).collect())
}

fn integer<T: TryFrom<i128>>(node: &Node, key: &str) -> Option<T> {
    let number = match node.get(key)?.value {
        Value::Int(number) => number,
        _ => node.get(key)?.to_text()?.parse().ok()?,
    };
    T::try_from(number).ok()
}

fn number(node: &Node, key: &str) -> Option<f64> {
    node.get(key)?.to_text()?.parse().ok()
}

/// A size that is not 0, which Compose takes for no size.
pub(super) fn bytes(node: &Node, key: &str) -> Option<u64> {
    integer(node, key).filter(|bytes| *bytes > 0)
}

fn duration(node: &Node, key: &str) -> Option<Duration> {
    quantity::parse_duration(node.get_str(key)?).map(quantity::to_duration)
}

fn pull_policy(policy: &str) -> PullPolicy {
    match policy {
        "never" => PullPolicy::Never,
        "build" => PullPolicy::Build,
        "missing" | "if_not_present" => PullPolicy::Missing,
        // The periodic ones pull when the image is older than the period; pulling each
        // time is never older.
        _ => PullPolicy::Always,
    }
}

fn replicas(node: &Node) -> u32 {
    let deploy = node.get("deploy");
    let given = integer(node, "scale").or_else(|| integer(deploy?, "replicas"));
    given.unwrap_or(1)
}

fn dependencies(node: &Node) -> IndexMap<ServiceName, Dependency> {
    entries(node, "depends_on")
        .filter_map(|(name, it)| {
            let condition = match it.get_str("condition") {
                Some("service_healthy") => Condition::Healthy,
                Some("service_completed_successfully") => Condition::CompletedSuccessfully,
                _ => Condition::Started,
            };
            let required = it.get("required").and_then(Node::as_bool).unwrap_or(true);
            let dependency = Dependency {
                condition,
                required,
                restart: flag(it, "restart"),
            };
            Some((name.parse().ok()?, dependency))
        })
        .collect()
}

/// `None` for one that says nothing at all.
fn healthcheck(node: &Node) -> Option<Healthcheck> {
    let words = words(node, "test").unwrap_or_default();
    let test = match words.split_first() {
        _ if flag(node, "disable") => Some(HealthTest::Disabled),
        None => None,
        Some((first, rest)) => Some(match first.as_str() {
            "NONE" => HealthTest::Disabled,
            "CMD-SHELL" => HealthTest::Shell(rest.join(" ")),
            _ => HealthTest::Command(rest.to_vec()),
        }),
    };
    let healthcheck = Healthcheck {
        test,
        interval: duration(node, "interval"),
        timeout: duration(node, "timeout"),
        retries: integer(node, "retries"),
        start_period: duration(node, "start_period"),
        start_interval: duration(node, "start_interval"),
    };
    (healthcheck != Healthcheck::default()).then_some(healthcheck)
}

fn ready(node: &Node) -> Result<Option<Ready>, Problem> {
    node.get(extension::KEY)
        .map_or(Ok(None), extension::of_service)
}

/// `deploy.restart_policy` wins over `restart`, as in Compose.
fn restart(node: &Node, warnings: &mut Vec<Problem>) -> Option<RestartPolicy> {
    if let Some(policy) = node
        .get("deploy")
        .and_then(|deploy| deploy.get("restart_policy"))
    {
        let attempts = integer(policy, "max_attempts").filter(|attempts| *attempts > 0);
        return Some(match policy.get_str("condition") {
            Some("none") => RestartPolicy::No,
            Some("on-failure") => RestartPolicy::OnFailure(attempts),
            _ => RestartPolicy::Always,
        });
    }
    let value = node.get("restart")?;
    let (name, attempts) = match value.as_str()?.split_once(':') {
        Some((name, attempts)) => (name, Some(attempts.parse().ok())),
        None => (value.as_str()?, None),
    };
    match (name, attempts) {
        ("" | "no", None) => Some(RestartPolicy::No),
        ("always", None) => Some(RestartPolicy::Always),
        ("unless-stopped", None) => Some(RestartPolicy::UnlessStopped),
        ("on-failure", None) => Some(RestartPolicy::OnFailure(None)),
        ("on-failure", Some(Some(attempts))) => Some(RestartPolicy::OnFailure(Some(attempts))),
        _ => {
            let message = format!(
                "unknown restart policy `{}`, which is ignored",
                value.as_str()?
            );
            warnings.push(
                Problem::warning(value.span, message)
                    .suggest(name, ["no", "always", "unless-stopped", "on-failure"]),
            );
            None
        }
    }
}

fn port(node: &Node) -> Result<Port, Problem> {
    let protocol = match node.get_str("protocol") {
        Some("udp") => Protocol::Udp,
        Some("sctp") => Protocol::Sctp,
        _ => Protocol::Tcp,
    };
    let target = integer(node, "target").ok_or_else(|| {
        let place = node.get("target").map_or(node.span, |target| target.span);
        Problem::error(place, "a port needs a `target` from 0 to 65535")
    })?;
    Ok(Port {
        target,
        published: text(node, "published"),
        host_ip: text(node, "host_ip"),
        protocol,
        name: text(node, "name"),
        app_protocol: text(node, "app_protocol"),
    })
}

fn networks(node: &Node, warnings: &mut Vec<Problem>) -> IndexMap<String, NetworkAttachment> {
    let mut networks = IndexMap::new();
    for (name, it) in entries(node, "networks") {
        let attachment = NetworkAttachment {
            aliases: texts(it, "aliases"),
            ipv4_address: address(it, warnings),
            mac_address: text(it, "mac_address"),
            priority: integer(it, "priority").unwrap_or(0),
        };
        networks.insert(name.to_owned(), attachment);
    }
    networks
}

fn address(node: &Node, warnings: &mut Vec<Problem>) -> Option<Ipv4Addr> {
    let text = node.get("ipv4_address")?;
    let address = text.as_str()?.parse().ok();
    if address.is_none() && text.as_str() != Some("") {
        let message = format!("`{}` is not an IPv4 address; it is ignored", text.as_str()?);
        warnings.push(Problem::warning(text.span, message));
    }
    address
}

fn network_mode(node: &Node, warnings: &mut Vec<Problem>) -> Option<NetworkMode> {
    let mode = node.get("network_mode")?;
    Some(match mode.as_str()? {
        "" => return None,
        "none" => NetworkMode::None,
        "host" => NetworkMode::Host,
        "bridge" | "default" => NetworkMode::Bridge,
        other => match other.split_once(':') {
            Some(("service", name)) => NetworkMode::Service(name.parse().ok()?),
            Some(("container", id)) => NetworkMode::Container(id.to_owned()),
            _ => {
                let message = format!("network mode `{other}` is not known; `bridge` is used");
                warnings.push(
                    Problem::warning(mode.span, message)
                        .help("join a network of the file with `networks:`"),
                );
                NetworkMode::Bridge
            }
        },
    })
}

fn mounts(node: &Node, warnings: &mut Vec<Problem>) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for item in list(node, "volumes") {
        let Some(kind) = mount_kind(item) else {
            let kind = item.get_str("type").unwrap_or_default();
            let message = format!("mounts of the type `{kind}` have no effect here");
            warnings.push(Problem::warning(item.span, message));
            continue;
        };
        let target = text(item, "target").unwrap_or_default();
        mounts.push(Mount {
            kind,
            target,
            read_only: flag(item, "read_only"),
        });
    }
    mounts.extend(list(node, "tmpfs").filter_map(Node::as_str).map(tmpfs));
    mounts
}

fn mount_kind(item: &Node) -> Option<MountKind> {
    let options = |key| item.get(key).unwrap_or(item);
    Some(match item.get_str("type")? {
        "volume" => {
            let volume = options("volume");
            MountKind::Volume {
                key: text(item, "source"),
                nocopy: flag(volume, "nocopy"),
                subpath: text(volume, "subpath"),
            }
        }
        "bind" => {
            let bind = options("bind");
            MountKind::Bind {
                source: PathBuf::from(text(item, "source").unwrap_or_default()),
                create_host_path: flag(bind, "create_host_path"),
                propagation: text(bind, "propagation"),
                selinux: text(bind, "selinux"),
            }
        }
        "tmpfs" => {
            let tmpfs = options("tmpfs");
            MountKind::Tmpfs {
                size: bytes(tmpfs, "size"),
                mode: integer(tmpfs, "mode"),
                options: None,
            }
        }
        _ => return None,
    })
}

/// An item of `tmpfs`: `target[:options]`.
fn tmpfs(item: &str) -> Mount {
    let (target, options) = match item.split_once(':') {
        Some((target, options)) => (target, Some(options.to_owned())),
        None => (item, None),
    };
    let kind = MountKind::Tmpfs {
        size: None,
        mode: None,
        options,
    };
    Mount {
        kind,
        target: target.to_owned(),
        read_only: false,
    }
}

/// A grant of a config or secret. A relative target is below `directory`.
fn file_mount(item: &Node, directory: &str) -> FileMount {
    let source = text(item, "source").unwrap_or_default();
    let target = text(item, "target").unwrap_or_else(|| source.clone());
    FileMount {
        target: if target.starts_with('/') {
            target
        } else {
            format!("{directory}{target}")
        },
        uid: text(item, "uid"),
        gid: text(item, "gid"),
        mode: text(item, "mode").and_then(|mode| u32::from_str_radix(&mode, 8).ok()),
        source,
    }
}

fn device(item: &Node) -> Device {
    let source = text(item, "source").unwrap_or_default();
    Device {
        target: text(item, "target").unwrap_or_else(|| source.clone()),
        permissions: text(item, "permissions").unwrap_or_else(|| "rwm".to_owned()),
        source,
    }
}

pub(super) fn ulimits(node: &Node) -> IndexMap<String, Ulimit> {
    let limit = |it: &Node| match &it.value {
        Value::Int(both) => i64::try_from(*both).ok().map(|both| Ulimit {
            soft: both,
            hard: both,
        }),
        _ => Some(Ulimit {
            soft: integer(it, "soft")?,
            hard: integer(it, "hard")?,
        }),
    };
    entries(node, "ulimits")
        .filter_map(|(name, it)| Some((name.to_owned(), limit(it)?)))
        .collect()
}

/// Limits of `deploy.resources` and their older spellings, which agree where both are
/// given.
fn resources(node: &Node) -> Resources {
    let deploy = node
        .get("deploy")
        .and_then(|deploy| deploy.get("resources"));
    let limits = deploy.and_then(|it| it.get("limits"));
    let reservations = deploy.and_then(|it| it.get("reservations"));
    let positive = |number: &f64| *number > 0.0;
    Resources {
        cpus: limits
            .and_then(|it| number(it, "cpus"))
            .or_else(|| number(node, "cpus"))
            .filter(positive),
        memory: limits
            .and_then(|it| bytes(it, "memory"))
            .or_else(|| bytes(node, "mem_limit")),
        memory_reservation: reservations
            .and_then(|it| bytes(it, "memory"))
            .or_else(|| bytes(node, "mem_reservation")),
        memory_swap: integer(node, "memswap_limit").filter(|swap| *swap != 0),
        memory_swappiness: integer(node, "mem_swappiness"),
        pids: limits
            .and_then(|it| integer(it, "pids"))
            .or_else(|| integer(node, "pids_limit"))
            .filter(|pids| *pids != 0),
        cpu_shares: integer(node, "cpu_shares").filter(|shares| *shares > 0),
        cpu_quota: integer(node, "cpu_quota").filter(|quota| *quota != 0),
        cpu_period: integer(node, "cpu_period").filter(|period| *period != 0),
        oom_kill_disable: flag(node, "oom_kill_disable"),
        oom_score_adj: integer(node, "oom_score_adj"),
    }
}
