//! The body that is sent for a service that asks for a lot.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use bollard::models::ContainerCreateBody;
use indexmap::IndexMap;

use crate::{
    engine::Capabilities,
    spec::{
        ContainerSpec, Device, Endpoint, HealthTest, Healthcheck, Logging, Mount, MountKind,
        Protocol, Resources, RestartPolicy, Service, Ulimit, VolumeMount, desired::PublishRequest,
    },
};

use super::body;

const NEWEST: Capabilities = Capabilities {
    start_interval: true,
    volume_subpath: true,
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
    assert_eq!(networks.map(|networks| networks.len()), Some(1));
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
        endpoints: ["default", "private"]
            .map(|network| Endpoint {
                network: format!("demo-w0_{network}"),
                aliases: vec!["backend".into(), "api".into()],
            })
            .into(),
        network_mode: None,
        publish: vec![PublishRequest {
            target: 5000,
            protocol: Protocol::Tcp,
            host_ip: "127.0.0.1".parse().expect("an address"),
        }],
        volumes: vec![VolumeMount {
            volume: "demo-w0_data".into(),
            target: "/data".into(),
            read_only: false,
            nocopy: true,
            subpath: Some("inner".into()),
        }],
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
        restart: Some(RestartPolicy::OnFailure(Some(3))),
        expose: vec!["9000".into(), "9001/udp".into()],
        extra_hosts: vec!["host.example=host-gateway".into(), "six=::1".into()],
        dns: vec!["192.0.2.53".into()],
        dns_search: vec!["example.org".into()],
        dns_opt: vec!["ndots:1".into()],
        mounts: mounts(),
        read_only: true,
        shm_size: Some(64 << 20),
        privileged: true,
        cap_add: vec!["NET_ADMIN".into()],
        cap_drop: vec!["ALL".into()],
        security_opt: vec!["no-new-privileges".into()],
        group_add: vec!["audio".into()],
        devices: vec![Device {
            source: "/dev/null".into(),
            target: "/dev/nil".into(),
            permissions: "rwm".into(),
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
            oom_kill_disable: true,
            oom_score_adj: Some(-500),
        },
        pid: Some("host".into()),
        ipc: Some("shareable".into()),
        uts: Some("host".into()),
        userns_mode: Some("host".into()),
        cgroup: Some("private".into()),
        cgroup_parent: Some("/parent".into()),
        runtime: Some("runc".into()),
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
        },
        MountKind::Tmpfs {
            size: Some(1 << 20),
            mode: Some(0o1777),
            options: Some("noexec".into()),
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
    Service {
        name: "backend".parse().expect("a legal name"),
        image: "example/backend:1".into(),
        build: None,
        pull_policy: None,
        platform: None,
        command: None,
        entrypoint: None,
        environment: IndexMap::new(),
        user: None,
        working_dir: None,
        hostname: None,
        domainname: None,
        container_name: None,
        replicas: 1,
        tty: false,
        stdin_open: false,
        init: None,
        labels: IndexMap::new(),
        depends_on: IndexMap::new(),
        healthcheck: None,
        ready: None,
        stop_signal: None,
        stop_grace_period: None,
        restart: None,
        ports: Vec::new(),
        expose: Vec::new(),
        networks: IndexMap::new(),
        network_mode: None,
        extra_hosts: Vec::new(),
        dns: Vec::new(),
        dns_search: Vec::new(),
        dns_opt: Vec::new(),
        links: Vec::new(),
        mounts: Vec::new(),
        configs: Vec::new(),
        secrets: Vec::new(),
        read_only: false,
        shm_size: None,
        privileged: false,
        cap_add: Vec::new(),
        cap_drop: Vec::new(),
        security_opt: Vec::new(),
        group_add: Vec::new(),
        devices: Vec::new(),
        sysctls: IndexMap::new(),
        ulimits: IndexMap::new(),
        resources: Resources::default(),
        pid: None,
        ipc: None,
        uts: None,
        userns_mode: None,
        cgroup: None,
        cgroup_parent: None,
        runtime: None,
        logging: None,
    }
}

fn strings<const N: usize>(pairs: [(&str, &str); N]) -> IndexMap<String, String> {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}
