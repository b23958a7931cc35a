//! What a container may use up, as its control group or the engine has it.

use std::fs;

use indexmap::IndexMap;
use serde_json::json;
use stackrun::spec::{Blkio, BlkioDevice, DeviceRequest, Resources, Service, Ulimit};

use crate::support::Scene;

/// Prints one file of the control group for each pair, which is its place in version 1
/// and 2, and compares.
async fn assert_group(scene: &Scene, service: Service, files: &[(&str, &str, &str, &str)]) {
    let version = scene.engine.info().cgroup_version;
    let mut commands = Vec::new();
    let mut expected = Vec::new();
    for (v1, text_v1, v2, text_v2) in files {
        let (file, text) = if version == Some(2) {
            (v2, text_v2)
        } else {
            (v1, text_v1)
        };
        if !file.is_empty() {
            commands.push(format!("read /sys/fs/cgroup/{file}"));
            expected.push(*text);
        }
    }
    let service = Service {
        command: scene.service(&commands.join(" then ")).command,
        ..service
    };
    let told = scene.says("it", service).await;
    let told: Vec<&str> = told.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn cpu_and_processes() {
    Scene::play(async |scene| {
        let service = Service {
            resources: Resources {
                cpus: Some(0.5),
                cpu_shares: Some(512),
                cpuset: Some("0".to_owned()),
                pids: Some(50),
                ..Resources::default()
            },
            ..scene.service("")
        };
        let files = [
            ("cpu/cpu.cfs_quota_us", "50000", "cpu.max", "50000 100000"),
            ("cpu/cpu.cfs_period_us", "100000", "", ""),
            ("cpu/cpu.shares", "512", "", ""),
            ("cpuset/cpuset.cpus", "0", "cpuset.cpus", "0"),
            ("pids/pids.max", "50", "pids.max", "50"),
        ];
        assert_group(scene, service, &files).await;
    })
    .await;
}

#[tokio::test]
async fn cpu_by_quota_and_period() {
    Scene::play(async |scene| {
        let service = Service {
            resources: Resources {
                cpu_quota: Some(20_000),
                cpu_period: Some(50_000),
                ..Resources::default()
            },
            ..scene.service("")
        };
        let files = [
            ("cpu/cpu.cfs_quota_us", "20000", "cpu.max", "20000 50000"),
            ("cpu/cpu.cfs_period_us", "50000", "", ""),
        ];
        assert_group(scene, service, &files).await;
    })
    .await;
}

#[tokio::test]
async fn memory() {
    Scene::play(async |scene| {
        let resources = Resources {
            memory: Some(64 << 20),
            memory_reservation: Some(32 << 20),
            memory_swap: Some(96 << 20),
            ..Resources::default()
        };
        let service = Service {
            resources: resources.clone(),
            ..scene.service("")
        };
        let files = [
            (
                "memory/memory.limit_in_bytes",
                "67108864",
                "memory.max",
                "67108864",
            ),
            (
                "memory/memory.soft_limit_in_bytes",
                "33554432",
                "memory.low",
                "33554432",
            ),
        ];
        assert_group(scene, service, &files).await;
        // Kernels do not always count swap; the engine always keeps the number.
        let service = Service {
            resources,
            ..scene.service("wait")
        };
        let id = scene.create(&scene.container("swap", service)).await;
        let inspected = scene.inspect(&id).await;
        assert_eq!(inspected["HostConfig"]["MemorySwap"], json!(96 << 20));
    })
    .await;
}

#[tokio::test]
async fn what_happens_when_memory_runs_out() {
    Scene::play(async |scene| {
        let service = Service {
            resources: Resources {
                oom_score_adj: Some(321),
                ..Resources::default()
            },
            ..scene.service("read /proc/self/oom_score_adj")
        };
        assert_eq!(scene.says("score", service).await, "321");
        if scene.engine.info().cgroup_version == Some(2) {
            return; // It has neither of the others.
        }
        let service = Service {
            resources: Resources {
                memory: Some(64 << 20),
                memory_swappiness: Some(7),
                oom_kill_disable: true,
                ..Resources::default()
            },
            ..scene.service(
                "read /sys/fs/cgroup/memory/memory.swappiness \
                 then read /sys/fs/cgroup/memory/memory.oom_control",
            )
        };
        let told = scene.says("spared", service).await;
        assert!(told.starts_with("7\n"), "{told}");
        assert!(told.contains("oom_kill_disable 1"), "{told}");
    })
    .await;
}

#[tokio::test]
async fn limits_of_processes_and_shared_memory() {
    Scene::play(async |scene| {
        let limit = |soft, hard| Ulimit { soft, hard };
        let service = Service {
            ulimits: [("nofile", limit(111, 222)), ("core", limit(-1, -1))]
                .map(|(name, limit)| (name.to_owned(), limit))
                .into(),
            shm_size: Some(3 << 20),
            ..scene.service("read /proc/self/limits then read /proc/mounts")
        };
        let told = scene.says("it", service).await;
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "Max open files 111 222",
            "Max core file size unlimited unlimited",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let (_, shm) = told.split_once(" /dev/shm ").expect("shared memory");
        let (options, _) = shm.split_once(" 0 0").expect("a line");
        assert!(options.contains("size=3072k"), "{options}");
    })
    .await;
}

/// A block device of this machine, as `(path, numbers)`.
fn block_device() -> Option<(String, String)> {
    let partitions = fs::read_to_string("/proc/partitions").ok()?;
    partitions.lines().find_map(|line| {
        let [major, minor, _, name] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return None;
        };
        let path = format!("/dev/{name}");
        let whole = fs::exists(format!("/sys/block/{name}")).ok()? && fs::exists(&path).ok()?;
        whole.then(|| (path, format!("{major}:{minor}")))
    })
}

#[tokio::test]
async fn reading_and_writing_of_block_devices() {
    Scene::play(async |scene| {
        let Some((path, numbers)) = block_device().filter(|_| scene.engine.info().local) else {
            return;
        };
        let rate = |value| {
            vec![BlkioDevice {
                path: path.clone(),
                value,
            }]
        };
        let service = Service {
            blkio: Blkio {
                weight: Some(300),
                device_read_bps: rate(1 << 20),
                device_write_bps: rate(2 << 20),
                device_read_iops: rate(30),
                device_write_iops: rate(40),
                ..Blkio::default()
            },
            ..scene.service("")
        };
        let [read, write] = [1 << 20, 2 << 20].map(|rate| format!("{numbers} {rate}"));
        let [reads, writes] = [30, 40].map(|rate| format!("{numbers} {rate}"));
        let all = format!("{numbers} rbps=1048576 wbps=2097152 riops=30 wiops=40");
        let file = "blkio/blkio.throttle";
        let [rb, wb] = ["read", "write"].map(|it| format!("{file}.{it}_bps_device"));
        let [ri, wi] = ["read", "write"].map(|it| format!("{file}.{it}_iops_device"));
        let files = [
            (&*rb, &*read, "io.max", &*all),
            (&*wb, &*write, "", ""),
            (&*ri, &*reads, "", ""),
            (&*wi, &*writes, "", ""),
        ];
        assert_group(scene, service, &files).await;
    })
    .await;
}

#[tokio::test]
async fn devices_by_rule() {
    Scene::play(async |scene| {
        let service = |command: &str| Service {
            device_cgroup_rules: vec!["c 240:7 rw".to_owned()],
            ..scene.service(command)
        };
        let id = scene
            .create(&scene.container("written", service("wait")))
            .await;
        let inspected = scene.inspect(&id).await;
        assert_eq!(
            inspected["HostConfig"]["DeviceCgroupRules"],
            json!(["c 240:7 rw"])
        );
        if scene.engine.info().cgroup_version == Some(1) {
            let list = service("read /sys/fs/cgroup/devices/devices.list");
            let list = scene.says("done", list).await;
            assert!(list.lines().any(|line| line == "c 240:7 rw"), "{list}");
        }
    })
    .await;
}

/// The engine looks for a driver at the start only, and there is none here.
#[tokio::test]
async fn devices_of_a_driver() {
    Scene::play(async |scene| {
        let request = DeviceRequest {
            driver: Some("nvidia".to_owned()),
            count: Some(-1),
            capabilities: vec!["compute".to_owned(), "gpu".to_owned()],
            ..DeviceRequest::default()
        };
        let service = Service {
            device_requests: vec![request],
            ..scene.service("wait")
        };
        let id = scene.create(&scene.container("it", service)).await;
        let requests = &scene.inspect(&id).await["HostConfig"]["DeviceRequests"];
        assert_eq!(requests[0]["Driver"], "nvidia");
        assert_eq!(requests[0]["Count"], -1);
        assert_eq!(requests[0]["Capabilities"], json!([["compute", "gpu"]]));
    })
    .await;
}

/// What engines refuse in so many words where the machine cannot do it.
#[tokio::test]
async fn what_depends_on_the_machine() {
    Scene::play(async |scene| {
        let real_time = Service {
            resources: Resources {
                cpu_rt_period: Some(1_000_000),
                cpu_rt_runtime: Some(1_000),
                ..Resources::default()
            },
            ..scene.service("wait")
        };
        if let Some(it) = scene.inspect_unless(real_time, "real-time").await {
            assert_eq!(it["HostConfig"]["CpuRealtimePeriod"], 1_000_000);
            assert_eq!(it["HostConfig"]["CpuRealtimeRuntime"], 1_000);
        }
        let storage = Service {
            storage_opt: IndexMap::from([("size".to_owned(), "1G".to_owned())]),
            ..scene.service("wait")
        };
        if let Some(it) = scene.inspect_unless(storage, "storage-opt").await {
            assert_eq!(it["HostConfig"]["StorageOpt"], json!({ "size": "1G" }));
        }
        let isolated = Service {
            isolation: Some("hyperv".to_owned()),
            ..scene.service("wait")
        };
        if let Some(it) = scene.inspect_unless(isolated, "isolation").await {
            assert_eq!(it["HostConfig"]["Isolation"], "hyperv");
        }
        let counted = Service {
            resources: Resources {
                cpu_count: Some(1),
                ..Resources::default()
            },
            ..scene.service("wait")
        };
        if let Some(it) = scene.inspect_unless(counted, "cpu").await {
            assert_eq!(it["HostConfig"]["CpuCount"], 1);
        }
    })
    .await;
}

#[tokio::test]
async fn annotations_reach_an_engine_that_knows_them() {
    Scene::play(async |scene| {
        let service = Service {
            annotations: IndexMap::from([("org.example".to_owned(), "yes".to_owned())]),
            ..scene.service("wait")
        };
        let id = scene.create(&scene.container("it", service)).await;
        let annotations = &scene.inspect(&id).await["HostConfig"]["Annotations"];
        if scene.engine.info().capabilities.annotations {
            assert_eq!(annotations["org.example"], "yes");
        } else {
            assert!(annotations.is_null());
        }
    })
    .await;
}
