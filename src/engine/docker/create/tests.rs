//! The body that is sent for a service that asks for a lot.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use bollard::models::ContainerCreateBody;
use indexmap::IndexMap;

use crate::{
    engine::Capabilities,
    spec::{
        Blkio, BlkioDevice, ContainerSpec, Device, DeviceRequest, Endpoint, HealthTest,
        Healthcheck, Logging, Mount, MountKind, Pinned, Protocol, Recursive, Resources,
        RestartPolicy, Service, Ulimit, VolumeMount, desired::PublishRequest,
    },
};

use super::body;

const NEWEST: Capabilities = Capabilities {
    annotations: true,
    endpoint_mac_address: true,
    start_interval: true,
    volume_subpath: true,
    image_mounts: true,
    gateway_priority: true,
    interface_names: true,
    health_by_itself: true,
    buildkit: true,
};

#[test]
fn everything_that_a_service_asks_for_reaches_the_engine() {
    let spec = rich();
    insta::assert_snapshot!(json(body(&spec, &spec.endpoints, NEWEST)));
}

#[test]
fn what_a_service_does_not_ask_for_is_left_to_the_engine() {
    let spec = ContainerSpec {
        service: Arc::new(service()),
        endpoints: Vec::new(),
        publish: Vec::new(),
        volumes: Vec::new(),
        volumes_from: Vec::new(),
        pid_mode: None,
        ipc_mode: None,
        healthcheck: None,
        ..rich()
    };
    insta::assert_snapshot!(json(body(&spec, &[], NEWEST)));
}

#[test]
fn an_old_engine_is_not_told_what_it_does_not_know() {
    let spec = rich();
    let body = body(&spec, &spec.endpoints[..1], Capabilities::default());
    assert_eq!(body.healthcheck.expect("a check").start_interval, None);
    let networks = body.networking_config.and_then(|it| it.endpoints_config);
    let networks = networks.expect("a network");
    assert_eq!(networks.len(), 1);
    let endpoint = &networks["demo-w0_default"];
    assert_eq!((&endpoint.mac_address, endpoint.gw_priority), (&None, None));
    assert_eq!(body.host_config.expect("a host").annotations, None);
}

#[test]
fn an_empty_entrypoint_clears_the_images() {
    let mut spec = rich();
    spec.service = Arc::new(Service {
        entrypoint: Some(Vec::new()),
        ..service()
    });
    let body = body(&spec, &[], NEWEST);
    assert_eq!(body.entrypoint, Some(vec![String::new()]));
}

#[test]
fn another_containers_network_exposes_nothing() {
    let spec = ContainerSpec {
        network_mode: Some("container:demo-w0-backend-1".into()),
        endpoints: Vec::new(),
        publish: Vec::new(),
        ..rich()
    };
    let body = body(&spec, &[], NEWEST);
    assert_eq!((body.exposed_ports, body.networking_config), (None, None));
}

/// By way of a value, which sorts its keys: the body's maps have no order.
fn json(body: ContainerCreateBody) -> String {
    let value = serde_json::to_value(body).expect("JSON");
    serde_json::to_string_pretty(&value).expect("JSON")
}

fn rich() -> ContainerSpec {
    ContainerSpec {
        name: "demo-w0-backend-1".into(),
        labels: BTreeMap::from([("dev.stackrun.session".into(), "demo".into())]),
        endpoints: vec![
            endpoint(),
            Endpoint {
                network: "demo-w0_private".into(),
                ..Endpoint::default()
            },
        ],
        network_mode: None,
        pid_mode: Some("host".into()),
        ipc_mode: Some("container:demo-w0-other".into()),
        publish: vec![PublishRequest {
            target: 5000,
            protocol: Protocol::Tcp,
            host_ip: "127.0.0.1".parse().expect("an address"),
            host_port: None,
        }],
        file_binds: Vec::new(),
        text_files: Vec::new(),
        volumes: vec![VolumeMount {
            volume: "demo-w0_data".into(),
            target: "/data".into(),
            read_only: false,
            nocopy: true,
            subpath: Some("inner".into()),
        }],
        volumes_from: vec!["demo-w0-other:ro".into()],
        healthcheck: Some(Healthcheck {
            test: Some(HealthTest::Command(vec!["/probe".into()])),
            interval: Some(Duration::from_secs(5)),
            timeout: Some(Duration::from_millis(1500)),
            retries: Some(3),
            start_period: Some(Duration::from_secs(60)),
            start_interval: Some(Duration::from_millis(100)),
        }),
        service: Arc::new(rich_service()),
    }
}

fn endpoint() -> Endpoint {
    Endpoint {
        network: "demo-w0_default".into(),
        aliases: vec!["backend".into(), "api".into()],
        links: vec!["demo-w0-db:database".into()],
        ipv4: Some(Pinned::Address([10, 0, 0, 9].into())),
        ipv6: Some(Pinned::Address("fd00::9".parse().expect("an address"))),
        link_local: vec!["169.254.8.9".parse().expect("an address")],
        mac_address: Some("02:42:ac:11:65:43".into()),
        gateway_priority: Some(1),
        driver_opts: BTreeMap::from([("option".into(), "value".into())]),
    }
}

fn blkio() -> Blkio {
    let device = |value| {
        vec![BlkioDevice {
            path: "/dev/sda".into(),
            value,
        }]
    };
    Blkio {
        weight: Some(300),
        weight_device: device(400),
        device_read_bps: device(1),
        device_write_bps: device(2),
        device_read_iops: device(3),
        device_write_iops: device(4),
    }
}

fn rich_service() -> Service {
    Service {
        platform: Some("linux/amd64".into()),
        command: Some(vec!["serve".into()]),
        entrypoint: Some(vec!["/bin/app".into()]),
        environment: strings([("LEVEL", "debug"), ("EMPTY", "")]),
        user: Some("1000:1000".into()),
        working_dir: Some("/srv".into()),
        hostname: Some("backend".into()),
        domainname: Some("test".into()),
        tty: true,
        stdin_open: true,
        init: Some(true),
        stop_signal: Some("SIGINT".into()),
        stop_grace_period: Some(Duration::from_millis(1200)),
        restart: Some(RestartPolicy::Always),
        annotations: strings([("org.example", "yes")]),
        expose: vec!["9000".into(), "9001/udp".into()],
        extra_hosts: vec!["host.example=host-gateway".into(), "six=::1".into()],
        dns: vec!["192.0.2.53".into()],
        dns_search: vec!["example.org".into()],
        dns_opt: vec!["ndots:1".into()],
        mounts: mounts(),
        read_only: true,
        shm_size: Some(64 << 20),
        storage_opt: strings([("size", "1G")]),
        privileged: true,
        cap_add: vec!["NET_ADMIN".into()],
        cap_drop: vec!["ALL".into()],
        security_opt: vec!["no-new-privileges".into(), "systempaths=unconfined".into()],
        group_add: vec!["audio".into()],
        devices: vec![Device {
            source: "/dev/null".into(),
            target: "/dev/nil".into(),
            permissions: "rwm".into(),
        }],
        device_cgroup_rules: vec!["c 1:3 mr".into()],
        device_requests: vec![DeviceRequest {
            driver: Some("nvidia".into()),
            count: Some(-1),
            capabilities: vec!["compute".into(), "gpu".into()],
            options: strings([("virtualization", "false")]),
            ..DeviceRequest::default()
        }],
        sysctls: strings([("net.core.somaxconn", "1024")]),
        ulimits: IndexMap::from([(
            "nofile".into(),
            Ulimit {
                soft: 1024,
                hard: -1,
            },
        )]),
        resources: Resources {
            cpus: Some(0.5),
            memory: Some(256 << 20),
            memory_reservation: Some(128 << 20),
            memory_swap: Some(-1),
            memory_swappiness: Some(10),
            pids: Some(100),
            cpu_shares: Some(512),
            cpu_quota: Some(50_000),
            cpu_period: Some(100_000),
            cpu_rt_period: Some(1_000_000),
            cpu_rt_runtime: Some(950_000),
            cpuset: Some("0-1".into()),
            cpu_count: Some(2),
            cpu_percent: Some(50),
            oom_kill_disable: true,
            oom_score_adj: Some(-500),
        },
        blkio: blkio(),
        uts: Some("host".into()),
        userns_mode: Some("host".into()),
        cgroup: Some("private".into()),
        cgroup_parent: Some("/parent".into()),
        runtime: Some("runc".into()),
        isolation: Some("default".into()),
        logging: Some(Logging {
            driver: Some("json-file".into()),
            options: strings([("max-size", "10m")]),
        }),
        ..service()
    }
}

/// One of each kind, and of each of the engine's three lists.
fn mounts() -> Vec<Mount> {
    let bind = |source: &str, create_host_path| MountKind::Bind {
        source: PathBuf::from(source),
        create_host_path,
        propagation: Some("rslave".into()),
        selinux: None,
        recursive: None,
    };
    let kinds = [
        MountKind::Volume {
            key: None,
            nocopy: false,
            subpath: None,
        },
        bind("/etc/app", false),
        bind("/var/lib/app", true),
        bind("/with:colon", true),
        MountKind::Bind {
            source: PathBuf::from("/labelled"),
            create_host_path: false,
            propagation: None,
            selinux: Some("Z".into()),
            recursive: None,
        },
        MountKind::Tmpfs {
            size: Some(1 << 20),
            mode: Some(0o1777),
            options: Some("noexec".into()),
        },
        MountKind::Image {
            image: "example/files:1".into(),
            subpath: Some("inner".into()),
        },
        MountKind::Bind {
            source: PathBuf::from("/with/mounts"),
            create_host_path: true,
            propagation: None,
            selinux: None,
            recursive: Some(Recursive::Writable),
        },
        // A named one is in the spec's own list, under the engine's name.
        MountKind::Volume {
            key: Some("data".into()),
            nocopy: true,
            subpath: Some("inner".into()),
        },
    ];
    (0..)
        .zip(kinds)
        .map(|(number, kind)| Mount {
            kind,
            target: format!("/mnt/{number}"),
            read_only: number % 2 == 1,
        })
        .collect()
}

/// A service that asks for nothing but its image.
fn service() -> Service {
    let name = "backend".parse().expect("a legal name");
    Service::new(name, "example/backend:1")
}

fn strings<const N: usize>(pairs: [(&str, &str); N]) -> IndexMap<String, String> {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}
