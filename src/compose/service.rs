//! One service of the resolved tree to [`spec::Service`](crate::spec::Service).
//!
//! What Compose accepts and an engine would refuse later is taken with a warning, so
//! that `config` shows it.

use std::{net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use indexmap::IndexMap;

use super::{
    build::{self, Surroundings},
    diagnostic::Problem,
    extension,
    node::{Map, Node, Value},
    quantity,
};
use crate::spec::{
    Blkio, BlkioDevice, Condition, Dependency, Device, DeviceRequest, FileMount, HealthTest,
    Healthcheck, Hook, Logging, Mount, MountKind, NetworkAttachment, NetworkMode, Port, Protocol,
    PullPolicy, Ready, Recursive, Resources, RestartPolicy, Service, ServiceName, Ulimit,
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
        pull_policy: pull_policy(node),
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
        annotations: texts_by_name(node, "annotations"),

        depends_on: dependencies(node),
        healthcheck: node.get("healthcheck").and_then(healthcheck),
        ready: ready(node)?,
        stop_signal: text(node, "stop_signal"),
        post_start: hooks(node, "post_start"),
        pre_stop: hooks(node, "pre_stop"),
        stop_grace_period: duration(node, "stop_grace_period"),
        restart: restart(node, warnings),

        ports: list(node, "ports").map(port).collect::<Result<_, _>>()?,
        expose: texts(node, "expose"),
        mac_address: text(node, "mac_address"),
        networks: networks(node, warnings),
        network_mode: network_mode(node, warnings),
        extra_hosts: texts(node, "extra_hosts"),
        dns: texts(node, "dns"),
        dns_search: texts(node, "dns_search"),
        dns_opt: texts(node, "dns_opt"),
        links: texts(node, "links"),
        external_links: texts(node, "external_links"),

        mounts: mounts(node, warnings),
        volumes_from: texts(node, "volumes_from"),
        configs: list(node, "configs")
            .map(|item| file_mount(item, "/"))
            .collect(),
        secrets: list(node, "secrets")
            .map(|item| file_mount(item, "/run/secrets/"))
            .collect(),
        read_only: flag(node, "read_only"),
        shm_size: bytes(node, "shm_size"),
        storage_opt: texts_by_name(node, "storage_opt"),

        privileged: flag(node, "privileged"),
        cap_add: texts(node, "cap_add"),
        cap_drop: texts(node, "cap_drop"),
        security_opt: security_opt(node),
        group_add: texts(node, "group_add"),
        devices: devices(node),
        device_cgroup_rules: texts(node, "device_cgroup_rules"),
        device_requests: device_requests(node),
        sysctls: texts_by_name(node, "sysctls"),
        ulimits: ulimits(node),
        resources: resources(node),
        blkio: node.get("blkio_config").map(blkio).unwrap_or_default(),
        pid: text(node, "pid"),
        ipc: text(node, "ipc"),
        uts: text(node, "uts"),
        userns_mode: text(node, "userns_mode"),
        cgroup: text(node, "cgroup"),
        cgroup_parent: text(node, "cgroup_parent"),
        runtime: text(node, "runtime"),
        isolation: isolation(node, warnings),
        logging: node.get("logging").map(|logging| Logging {
            driver: text(logging, "driver"),
            options: texts_by_name(logging, "options"),
        }),
        name,
    })
}

/// Keys that change what a container is in Compose and that have no effect here.
const NO_EFFECT: [&str; 1] = ["models"];

fn warn_of_what_has_no_effect(name: &ServiceName, node: &Node, warnings: &mut Vec<Problem>) {
    let Some(map) = node.as_map() else { return };
    for key in NO_EFFECT {
        if let Some(span) = map.key_span(key) {
            let message = format!("`{key}` of service `{name}` has no effect here");
            warnings.push(Problem::warning(span, message));
        }
    }
    let config = node.get("credential_spec").and_then(|it| it.get("config"));
    if let Some(config) = config {
        let message = format!(
            "service `{name}` takes its `credential_spec` from a config, which has no effect here"
        );
        warnings.push(
            Problem::warning(config.span, message).help("use `file:` or `registry:` instead"),
        );
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

fn pull_policy(node: &Node) -> Option<PullPolicy> {
    let every = |period: &str| {
        let period = quantity::parse_duration(period).map(quantity::to_duration);
        period.map_or(PullPolicy::Always, PullPolicy::Every)
    };
    Some(match node.get_str("pull_policy")? {
        "never" => PullPolicy::Never,
        "build" => PullPolicy::Build,
        "missing" | "if_not_present" => PullPolicy::Missing,
        "daily" => every("1d"),
        "weekly" => every("1w"),
        "refresh" => every(node.get_str("pull_refresh_after").unwrap_or_default()),
        policy => policy
            .strip_prefix("every_")
            .map_or(PullPolicy::Always, every),
    })
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

fn isolation(node: &Node, warnings: &mut Vec<Problem>) -> Option<String> {
    const KNOWN: [&str; 3] = ["default", "process", "hyperv"];
    let isolation = text(node, "isolation")?;
    if KNOWN.contains(&isolation.as_str()) {
        return Some(isolation);
    }
    let message = format!("unknown isolation `{isolation}`, which is ignored");
    let place = node.get("isolation").map_or(node.span, |it| it.span);
    warnings.push(Problem::warning(place, message).suggest(&isolation, KNOWN));
    None
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

/// The engine takes credentials for Windows as a security option.
fn security_opt(node: &Node) -> Vec<String> {
    let mut options = texts(node, "security_opt");
    if let Some(spec) = node.get("credential_spec") {
        for kind in ["file", "registry"] {
            let source = text(spec, kind);
            options.extend(source.map(|source| format!("credentialspec={kind}://{source}")));
        }
    }
    options
}

fn networks(node: &Node, warnings: &mut Vec<Problem>) -> IndexMap<String, NetworkAttachment> {
    let mut networks = IndexMap::new();
    for (name, it) in entries(node, "networks") {
        let attachment = NetworkAttachment {
            aliases: texts(it, "aliases"),
            ipv4_address: address(it.get("ipv4_address"), "IPv4", warnings),
            ipv6_address: address(it.get("ipv6_address"), "IPv6", warnings),
            link_local_ips: list(it, "link_local_ips")
                .filter_map(|item| address::<IpAddr>(Some(item), "IP", warnings))
                .collect(),
            mac_address: text(it, "mac_address"),
            priority: integer(it, "priority").unwrap_or(0),
            gateway_priority: integer(it, "gw_priority").filter(|priority| *priority != 0),
            interface_name: text(it, "interface_name"),
            driver_opts: texts_by_name(it, "driver_opts"),
        };
        networks.insert(name.to_owned(), attachment);
    }
    networks
}

fn address<A: FromStr>(node: Option<&Node>, kind: &str, warnings: &mut Vec<Problem>) -> Option<A> {
    let node = node?;
    let text = node.as_str()?;
    let address = text.parse().ok();
    if address.is_none() && !text.is_empty() {
        let message = format!("`{text}` is not an {kind} address; it is ignored");
        warnings.push(Problem::warning(node.span, message));
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
    if flag(node, "use_api_socket") {
        mounts.push(api_socket());
    }
    mounts
}

/// Where Compose takes the engine's socket to be, outside and inside.
const API_SOCKET: &str = "/var/run/docker.sock";

fn api_socket() -> Mount {
    Mount {
        kind: MountKind::Bind {
            source: PathBuf::from(API_SOCKET),
            create_host_path: false,
            propagation: None,
            selinux: None,
            recursive: None,
        },
        target: API_SOCKET.to_owned(),
        read_only: false,
    }
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
        "image" => MountKind::Image {
            image: text(item, "source")?,
            subpath: text(options("image"), "subpath"),
        },
        "bind" => {
            let bind = options("bind");
            MountKind::Bind {
                source: PathBuf::from(text(item, "source").unwrap_or_default()),
                create_host_path: flag(bind, "create_host_path"),
                propagation: text(bind, "propagation"),
                selinux: text(bind, "selinux"),
                recursive: match bind.get_str("recursive") {
                    Some("disabled") => Some(Recursive::Disabled),
                    Some("writable") => Some(Recursive::Writable),
                    Some("readonly") => Some(Recursive::ReadOnly),
                    _ => None,
                },
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

fn hooks(node: &Node, key: &str) -> Vec<Hook> {
    let hook = |item: &Node| Hook {
        command: words(item, "command").unwrap_or_default(),
        user: text(item, "user"),
        privileged: flag(item, "privileged"),
        working_dir: text(item, "working_dir"),
        environment: texts_by_name(item, "environment"),
    };
    list(node, key).map(hook).collect()
}

/// Devices of the host.
fn devices(node: &Node) -> Vec<Device> {
    let devices = list(node, "devices").filter(|item| cdi_name(item).is_none());
    devices
        .map(|item| {
            let source = text(item, "source").unwrap_or_default();
            Device {
                target: text(item, "target").unwrap_or_else(|| source.clone()),
                permissions: text(item, "permissions").unwrap_or_else(|| "rwm".to_owned()),
                source,
            }
        })
        .collect()
}

/// The name that a device has by the Container Device Interface, where it is not a path:
/// `vendor.example/class=name`.
fn cdi_name(item: &Node) -> Option<String> {
    let source = text(item, "source")?;
    let (vendor, rest) = source.split_once('/')?;
    let (class, name) = rest.split_once('=')?;
    let is_name = !vendor.is_empty() && !class.contains('/') && !name.is_empty();
    let as_it_is = text(item, "target").is_none_or(|target| target == source);
    (is_name && as_it_is).then_some(source)
}

/// Devices that a driver provides.
fn device_requests(node: &Node) -> Vec<DeviceRequest> {
    let named: Vec<String> = list(node, "devices").filter_map(cdi_name).collect();
    let named = (!named.is_empty()).then(|| DeviceRequest {
        driver: Some("cdi".to_owned()),
        ids: named,
        ..DeviceRequest::default()
    });
    let gpus = list(node, "gpus").map(|item| {
        let mut request = device_request(item);
        request.capabilities.push("gpu".to_owned());
        request
    });
    let reserved = node
        .get("deploy")
        .and_then(|deploy| deploy.get("resources")?.get("reservations"));
    let reserved = reserved
        .into_iter()
        .flat_map(|reserved| list(reserved, "devices"));
    let reserved = reserved.map(device_request);
    named.into_iter().chain(gpus).chain(reserved).collect()
}

fn device_request(item: &Node) -> DeviceRequest {
    DeviceRequest {
        driver: text(item, "driver"),
        count: integer(item, "count").filter(|count| *count != 0),
        ids: texts(item, "device_ids"),
        capabilities: texts(item, "capabilities"),
        options: texts_by_name(item, "options"),
    }
}

fn blkio(node: &Node) -> Blkio {
    let limits = |key, value| {
        let limits = list(node, key).filter_map(|item| {
            Some(BlkioDevice {
                path: text(item, "path")?,
                value: integer(item, value)?,
            })
        });
        limits.collect()
    };
    Blkio {
        weight: integer(node, "weight").filter(|weight| *weight > 0),
        weight_device: limits("weight_device", "weight"),
        device_read_bps: limits("device_read_bps", "rate"),
        device_write_bps: limits("device_write_bps", "rate"),
        device_read_iops: limits("device_read_iops", "rate"),
        device_write_iops: limits("device_write_iops", "rate"),
    }
}

pub(super) fn ulimits(node: &Node) -> IndexMap<String, Ulimit> {
    let limit = |it: &Node| match &it.value {
        Value::Int(both) => i64::try_from(*both).ok().map(|both| Ulimit {
            soft: both,
            hard: both,
        }),
        // A limit of 0 is left out of the canonical form.
        _ => Some(Ulimit {
            soft: integer(it, "soft").unwrap_or(0),
            hard: integer(it, "hard").unwrap_or(0),
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
        cpu_rt_period: integer(node, "cpu_rt_period").filter(|period| *period != 0),
        cpu_rt_runtime: integer(node, "cpu_rt_runtime").filter(|runtime| *runtime != 0),
        cpuset: text(node, "cpuset"),
        cpu_count: integer(node, "cpu_count").filter(|count| *count != 0),
        cpu_percent: number(node, "cpu_percent").filter(positive).map(percent),
        oom_kill_disable: flag(node, "oom_kill_disable"),
        oom_score_adj: integer(node, "oom_score_adj"),
    }
}

/// The engine takes whole percents.
#[expect(clippy::cast_possible_truncation, reason = "the schema ends at 100")]
fn percent(share: f64) -> i64 {
    share.round() as i64
}
