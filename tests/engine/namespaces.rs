//! What a container shares with others and with the host, and what it may do.

use indexmap::IndexMap;
use stackrun::spec::{ContainerSpec, Device, Service};

use crate::support::Scene;

fn list(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Tells in which namespace of a kind a container is.
async fn namespace(scene: &Scene, name: &str, kind: &str, spec: ContainerSpec) -> String {
    let command = scene.service(&format!("link /proc/self/ns/{kind}")).command;
    let service = Service {
        command,
        ..(*spec.service).clone()
    };
    let spec = ContainerSpec {
        name: scene.name(&format!("{kind}-{name}")),
        service: service.into(),
        ..spec
    };
    let ended = scene.run_container(&spec).await;
    assert_eq!(ended.state.exit_code, 0, "{}", ended.output.stderr());
    ended.output.stdout().trim_end().to_owned()
}

/// Two containers in the host's namespace are in the same one, and a third is not.
async fn assert_host(scene: &Scene, kind: &str, host: &ContainerSpec, own: &ContainerSpec) {
    let first = namespace(scene, "first", kind, host.clone()).await;
    let second = namespace(scene, "second", kind, host.clone()).await;
    let other = namespace(scene, "other", kind, own.clone()).await;
    assert_eq!(first, second, "{kind}");
    assert_ne!(first, other, "{kind}");
}

#[tokio::test]
async fn the_host_s_namespaces() {
    Scene::play(async |scene| {
        let own = scene.container("it", scene.service(""));
        let pid = ContainerSpec {
            pid_mode: Some("host".to_owned()),
            ..own.clone()
        };
        assert_host(scene, "pid", &pid, &own).await;
        let ipc = ContainerSpec {
            ipc_mode: Some("host".to_owned()),
            ..own.clone()
        };
        assert_host(scene, "ipc", &ipc, &own).await;
        let network = ContainerSpec {
            network_mode: Some("host".to_owned()),
            ..own.clone()
        };
        assert_host(scene, "net", &network, &own).await;
        let service = Service {
            uts: Some("host".to_owned()),
            ..scene.service("")
        };
        assert_host(scene, "uts", &scene.container("it", service), &own).await;
    })
    .await;
}

#[tokio::test]
async fn a_control_group_namespace_of_its_own_or_the_host_s() {
    Scene::play(async |scene| {
        let with = |cgroup: &str| {
            let service = Service {
                cgroup: Some(cgroup.to_owned()),
                ..scene.service("")
            };
            scene.container("it", service)
        };
        assert_host(scene, "cgroup", &with("host"), &with("private")).await;
    })
    .await;
}

#[tokio::test]
async fn another_container_s_namespaces() {
    Scene::play(async |scene| {
        let service = Service {
            ipc: Some("shareable".to_owned()),
            ..scene.service("talk 7000 hello")
        };
        let host = ContainerSpec {
            ipc_mode: Some("shareable".to_owned()),
            ..scene.container("host", service)
        };
        let host = scene.start(&host).await;
        let there = Some(format!("container:{}", scene.name("host")));
        let guest = ContainerSpec {
            pid_mode: there.clone(),
            ipc_mode: there.clone(),
            network_mode: there,
            ..scene.container("guest", scene.service("wait"))
        };
        let guest = scene.start(&guest).await;
        let inspected = (scene.inspect(&host).await, scene.inspect(&guest).await);
        assert_eq!(inspected.1["HostConfig"]["PidMode"], format!("container:{host}"));
        let exec = stackrun::engine::ExecSpec {
            command: list(&["/fixture"])
                .into_iter()
                .chain("link /proc/1/ns/ipc then link /proc/self/ns/ipc then read /proc/1/cmdline then hear 127.0.0.1:7000".split(' ').map(str::to_owned))
                .collect(),
            ..stackrun::engine::ExecSpec::default()
        };
        let process = scene.engine.exec(&guest, &exec).await.expect("a command");
        let said = crate::support::collect(process.output).await.stdout();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], lines[1]);
        assert!(lines[2].contains("talk"), "the first process is the other's: {said}");
        assert_eq!(lines[3], "hello");
    })
    .await;
}

#[tokio::test]
async fn rights() {
    Scene::play(async |scene| {
        let status = "read /proc/self/status";
        let bounding = async |name: &str, service: Service| {
            let told = scene.says(name, service).await;
            let line = told.lines().find(|line| line.starts_with("CapBnd:"));
            let hex = line
                .expect("rights")
                .split_whitespace()
                .nth(1)
                .expect("a number");
            u64::from_str_radix(hex, 16).expect("hexadecimal")
        };
        let (net_admin, mknod) = (1 << 12, 1 << 27);
        let usual = bounding("usual", scene.service(status)).await;
        assert_eq!((usual & net_admin, usual & mknod), (0, mknod));
        let service = Service {
            cap_add: list(&["NET_ADMIN"]),
            cap_drop: list(&["MKNOD"]),
            ..scene.service(status)
        };
        let changed = bounding("changed", service).await;
        assert_eq!(changed, (usual | net_admin) & !mknod);
    })
    .await;
}

#[tokio::test]
async fn security_options() {
    Scene::play(async |scene| {
        let service = Service {
            security_opt: list(&["no-new-privileges:true", "seccomp=unconfined"]),
            ..scene.service("read /proc/self/status")
        };
        let told = scene.says("free", service).await;
        for line in ["NoNewPrivs:\t1", "Seccomp:\t0"] {
            assert!(told.lines().any(|it| it == line), "{line}: {told}");
        }
        let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["readlink","readlinkat"],"action":"SCMP_ACT_ERRNO"}]}"#;
        let service = Service {
            security_opt: vec![format!("seccomp={profile}")],
            ..scene.service("exists / then link /proc/self/exe")
        };
        let ended = scene.run("filtered", service).await;
        let error = ended.output.stderr();
        assert!(error.contains("not permitted"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn paths_of_the_system_are_hidden_unless_told_not_to() {
    Scene::play(async |scene| {
        for (name, options, hidden) in [
            ("usual", list(&[]), true),
            ("open", list(&["systempaths=unconfined"]), false),
        ] {
            let service = Service {
                security_opt: options,
                ..scene.service("read /proc/mounts")
            };
            let mounts = scene.says(name, service).await;
            assert_eq!(mounts.contains(" /proc/timer_list "), hidden, "{mounts}");
            assert_eq!(mounts.contains(" /proc/sys "), hidden, "{mounts}");
        }
    })
    .await;
}

#[tokio::test]
async fn devices_and_kernel_parameters() {
    Scene::play(async |scene| {
        let device = Device {
            source: "/dev/zero".to_owned(),
            target: "/dev/nothing".to_owned(),
            permissions: "r".to_owned(),
        };
        let command = "read /proc/sys/kernel/msgmax then exists /dev/nothing";
        let service = Service {
            devices: vec![device],
            sysctls: IndexMap::from([("kernel.msgmax".to_owned(), "4321".to_owned())]),
            ..scene.service(command)
        };
        assert_eq!(scene.says("with", service).await, "4321");
        let without = scene.run("without", scene.service(command)).await;
        assert_ne!(without.output.stdout().trim(), "4321");
        assert_eq!(without.state.exit_code, 1);
    })
    .await;
}

#[tokio::test]
async fn what_the_engine_alone_can_tell() {
    Scene::play(async |scene| {
        let service = Service {
            userns_mode: Some("host".to_owned()),
            cgroup_parent: Some("/stackrun-tests".to_owned()),
            runtime: Some("runc".to_owned()),
            ..scene.service("read /proc/self/cgroup")
        };
        let id = scene.create(&scene.container("it", service.clone())).await;
        let host = &scene.inspect(&id).await["HostConfig"];
        assert_eq!(host["UsernsMode"], "host");
        assert_eq!(host["Runtime"], "runc");
        if scene.engine.info().cgroup_version == Some(1) {
            let groups = scene.says("group", service).await;
            assert!(groups.contains("/stackrun-tests/"), "{groups}");
        }
    })
    .await;
}
