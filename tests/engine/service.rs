//! What a service asks for is what its container gets.

use bollard::models::ContainerInspectResponse;
use indexmap::IndexMap;
use serde_json::{Value, json};
use stackrun::spec::{ContainerSpec, Device, Logging, Resources, Service, Ulimit};

use crate::support::{Scene, fixture};

fn list(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn map(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
    pairs
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

async fn inspect(scene: &Scene, service: Service) -> Value {
    let id = scene.create(&scene.container("it", service)).await;
    let client = fixture::client(&*scene.engine);
    let inspected: ContainerInspectResponse = client
        .inspect_container(&id, None)
        .await
        .expect("a container");
    serde_json::to_value(inspected).expect("JSON")
}

/// What the engine tells of something that it is known to obey: Docker repeats what was
/// asked for, Podman 4.3 says it in its own words, or nothing.
fn told(scene: &Scene, by_docker: Value, by_podman: Value) -> Value {
    if scene.is_podman() {
        by_podman
    } else {
        by_docker
    }
}

/// Compares places in an answer, named by JSON pointers.
fn assert_all(inspected: &Value, expected: &[(&str, Value)]) {
    let wrong: Vec<String> = expected
        .iter()
        .filter(|(pointer, value)| inspected.pointer(pointer).unwrap_or(&Value::Null) != value)
        .map(|(pointer, value)| {
            let found = inspected.pointer(pointer).unwrap_or(&Value::Null);
            format!("{pointer}: {found} instead of {value}")
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn how_its_process_is_run() {
    Scene::play(async |scene| {
        let service = Service {
            command: Some(list(&["print", "x"])),
            entrypoint: Some(list(&["/fixture"])),
            environment: map(&[("A", "1"), ("B", "two words")]),
            user: Some("12:34".to_owned()),
            working_dir: Some("/work".to_owned()),
            hostname: Some("host".to_owned()),
            domainname: Some("example.test".to_owned()),
            tty: true,
            stdin_open: true,
            init: Some(true),
            stop_signal: Some("SIGINT".to_owned()),
            stop_grace_period: Some(std::time::Duration::from_millis(2_500)),
            ..scene.service("")
        };
        // Podman drops the domain name.
        let domain = told(scene, json!("example.test"), json!(""));
        let inspected = inspect(scene, service).await;
        let environment = inspected.pointer("/Config/Env").and_then(Value::as_array);
        let environment = environment.expect("variables");
        for variable in ["A=1", "B=two words"] {
            assert!(environment.contains(&json!(variable)), "{environment:?}");
        }
        assert_all(
            &inspected,
            &[
                ("/Config/Cmd", json!(["print", "x"])),
                ("/Config/Entrypoint", json!(["/fixture"])),
                ("/Config/User", json!("12:34")),
                ("/Config/WorkingDir", json!("/work")),
                ("/Config/Hostname", json!("host")),
                ("/Config/Domainname", domain),
                ("/Config/Tty", json!(true)),
                ("/Config/OpenStdin", json!(true)),
                (
                    "/Config/StopSignal",
                    told(scene, json!("SIGINT"), json!("2")),
                ),
                ("/Config/StopTimeout", json!(3)),
                ("/HostConfig/Init", json!(true)),
            ],
        );
    })
    .await;
}

#[tokio::test]
async fn what_it_may_do() {
    Scene::play(async |scene| {
        let device = Device {
            source: "/dev/null".to_owned(),
            target: "/dev/nothing".to_owned(),
            permissions: "rw".to_owned(),
        };
        let service = Service {
            read_only: true,
            privileged: true,
            cap_add: list(&["NET_ADMIN"]),
            cap_drop: list(&["MKNOD"]),
            security_opt: list(&["no-new-privileges:true"]),
            group_add: list(&["4321"]),
            devices: vec![device],
            sysctls: map(&[("net.ipv4.ip_unprivileged_port_start", "80")]),
            ulimits: [(
                "nofile".to_owned(),
                Ulimit {
                    soft: 1024,
                    hard: 2048,
                },
            )]
            .into(),
            uts: Some("host".to_owned()),
            cgroup: Some("host".to_owned()),
            cgroup_parent: Some("/stackrun-tests".to_owned()),
            runtime: Some("runc".to_owned()),
            ..scene.service("wait")
        };
        let inspected = inspect(scene, service).await;
        assert_all(
            &inspected,
            &[
                ("/HostConfig/ReadonlyRootfs", json!(true)),
                ("/HostConfig/Privileged", json!(true)),
                // To Podman, one that is privileged has all capabilities and devices.
                (
                    "/HostConfig/CapAdd/0",
                    told(scene, json!("NET_ADMIN"), Value::Null),
                ),
                (
                    "/HostConfig/SecurityOpt/0",
                    told(
                        scene,
                        json!("no-new-privileges:true"),
                        json!("no-new-privileges"),
                    ),
                ),
                ("/HostConfig/GroupAdd", json!(["4321"])),
                (
                    "/HostConfig/Devices/0",
                    told(scene, device_null(), Value::Null),
                ),
                (
                    "/HostConfig/Sysctls",
                    told(
                        scene,
                        json!({ "net.ipv4.ip_unprivileged_port_start": "80" }),
                        Value::Null,
                    ),
                ),
                (
                    "/HostConfig/Ulimits/0",
                    told(
                        scene,
                        json!({ "Name": "nofile", "Soft": 1024, "Hard": 2048 }),
                        json!({ "Name": "RLIMIT_NOFILE", "Soft": 1024, "Hard": 2048 }),
                    ),
                ),
                ("/HostConfig/UTSMode", json!("host")),
                (
                    "/HostConfig/CgroupnsMode",
                    told(scene, json!("host"), json!("")),
                ),
                ("/HostConfig/CgroupParent", json!("/stackrun-tests")),
                (
                    "/HostConfig/Runtime",
                    told(scene, json!("runc"), json!("oci")),
                ),
            ],
        );
        let dropped = inspected.pointer("/HostConfig/CapDrop");
        let dropped = dropped.and_then(Value::as_array).expect("capabilities");
        // Podman 4.3 counts what its own process lacks among them, and this one not.
        let is_dropped = dropped.contains(&json!("MKNOD"));
        assert_eq!(is_dropped, !scene.is_podman(), "{dropped:?}");
    })
    .await;
}

fn device_null() -> Value {
    json!({
        "PathOnHost": "/dev/null",
        "PathInContainer": "/dev/nothing",
        "CgroupPermissions": "rw",
    })
}

#[tokio::test]
async fn what_it_may_use() {
    Scene::play(async |scene| {
        let service = Service {
            shm_size: Some(1 << 20),
            resources: Resources {
                cpus: Some(0.5),
                memory: Some(64 << 20),
                memory_reservation: Some(32 << 20),
                memory_swap: Some(128 << 20),
                pids: Some(50),
                cpu_shares: Some(512),
                oom_score_adj: Some(100),
                ..Resources::default()
            },
            logging: Some(Logging {
                driver: Some("json-file".to_owned()),
                options: map(&[("max-size", "1m"), ("max-file", "2")]),
            }),
            ..scene.service("wait")
        };
        assert_all(
            &inspect(scene, service).await,
            &[
                ("/HostConfig/ShmSize", json!(1 << 20)),
                ("/HostConfig/NanoCpus", json!(500_000_000)),
                ("/HostConfig/Memory", json!(64 << 20)),
                ("/HostConfig/MemoryReservation", json!(32 << 20)),
                ("/HostConfig/MemorySwap", json!(128 << 20)),
                ("/HostConfig/PidsLimit", json!(50)),
                ("/HostConfig/CpuShares", json!(512)),
                ("/HostConfig/OomScoreAdj", json!(100)),
                (
                    "/HostConfig/LogConfig",
                    told(
                        scene,
                        json!({
                            "Type": "json-file",
                            "Config": { "max-size": "1m", "max-file": "2" },
                        }),
                        json!({ "Type": "json-file" }),
                    ),
                ),
            ],
        );
    })
    .await;
}

#[tokio::test]
async fn whom_it_knows() {
    Scene::play(async |scene| {
        let network = scene.network("net").await;
        let service = Service {
            hostname: Some("me".to_owned()),
            extra_hosts: list(&["other=10.1.2.3", "six=::1"]),
            dns: list(&["10.9.8.7"]),
            dns_search: list(&["example.test"]),
            dns_opt: list(&["ndots:3"]),
            ..scene.service(
                "read /etc/hosts then read /etc/resolv.conf then read /proc/sys/kernel/hostname",
            )
        };
        let ended = scene
            .run_container(&scene.networked("it", service, &[&network]))
            .await;
        let text = ended.output.stdout();
        for line in [
            "10.1.2.3\tother",
            "::1\tsix",
            "search example.test",
            "ndots:3",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(text.trim_end().ends_with("\nme"), "{text}");
    })
    .await;
}

/// In the engine's own network, its name servers are not behind the engine's.
#[tokio::test]
async fn whom_it_asks() {
    Scene::play(async |scene| {
        let service = Service {
            dns: list(&["10.9.8.7", "10.9.8.6"]),
            extra_hosts: list(&["gate=host-gateway"]),
            ..scene.service("read /etc/resolv.conf then read /etc/hosts")
        };
        let spec = ContainerSpec {
            network_mode: Some("bridge".to_owned()),
            ..scene.container("it", service)
        };
        let told = scene.run_container(&spec).await.output.stdout();
        for line in ["nameserver 10.9.8.7", "nameserver 10.9.8.6"] {
            assert!(told.contains(line), "{line}: {told}");
        }
        let gate = told.lines().find(|line| line.ends_with("\tgate"));
        let (address, _) = gate.and_then(|it| it.split_once('\t')).expect("a line");
        address.parse::<std::net::IpAddr>().expect("an address");
    })
    .await;
}

/// Some of it as the container itself sees it: what is accepted is not always obeyed.
#[tokio::test]
async fn it_is_not_only_written_down() {
    Scene::play(async |scene| {
        let service = Service {
            environment: map(&[("GREETING", "hello")]),
            user: Some("12:34".to_owned()),
            group_add: list(&["4321"]),
            cap_drop: list(&["ALL"]),
            read_only: true,
            sysctls: map(&[("net.ipv4.ip_unprivileged_port_start", "77")]),
            // Both: Podman raises what is not named to its own defaults, which takes a
            // capability that root may lack.
            ulimits: [("nofile", 1111, 2222), ("nproc", 333, 444)]
                .map(|(name, soft, hard)| (name.to_owned(), Ulimit { soft, hard }))
                .into(),
            ..scene.service(
                "env GREETING then read /proc/self/status then read /proc/self/limits \
                 then read /proc/sys/net/ipv4/ip_unprivileged_port_start then write /file x",
            )
        };
        let network = scene.network("net").await;
        let ended = scene
            .run_container(&scene.networked("it", service, &[&network]))
            .await;
        let text = ended
            .output
            .stdout()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        for part in [
            "hello Name:",
            "Uid: 12 12",
            "Gid: 34 34",
            "Groups: 34 4321",
            "CapBnd: 0000000000000000",
            "Max open files 1111 2222",
            "Max processes 333 444",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.ends_with(" 77"), "{text}");
        assert!(
            ended.output.stderr().contains("Read-only"),
            "{}",
            ended.output.stderr()
        );
    })
    .await;
}
