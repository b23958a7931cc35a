//! The kinds of mounts that `volumes` does not show: short and long, by image, by path
//! inside a volume, by another container.

use std::fs;

use stackrun::spec::{ContainerSpec, Mount, MountKind, Recursive, Service, VolumeMount};

use crate::support::{Scene, fixture::SEED, mount};

fn at(target: &str, kind: MountKind) -> Mount {
    Mount {
        kind,
        target: target.to_owned(),
        read_only: false,
    }
}

fn anonymous() -> MountKind {
    MountKind::Volume {
        key: None,
        nocopy: false,
        subpath: None,
    }
}

fn tmpfs(size: Option<u64>, mode: Option<u32>, options: Option<&str>) -> MountKind {
    MountKind::Tmpfs {
        size,
        mode,
        options: options.map(str::to_owned),
    }
}

fn mounting(service: Service, mounts: Vec<Mount>) -> Service {
    Service { mounts, ..service }
}

#[tokio::test]
async fn file_systems_in_memory_short_and_long() {
    Scene::play(async |scene| {
        let mounts = vec![
            at("/plain", tmpfs(None, None, None)),
            at("/short", tmpfs(None, None, Some("size=2m,mode=0700"))),
            at("/long", tmpfs(Some(3 << 20), Some(0o711), None)),
        ];
        let service = mounting(scene.service("read /proc/mounts"), mounts);
        let told = scene.says("it", service).await;
        for (target, options) in [
            ("/plain", &["noexec"][..]),
            ("/short", &["size=2048k", "mode=700"]),
            ("/long", &["size=3072k", "mode=711"]),
        ] {
            let place = format!("tmpfs {target} tmpfs ");
            let line = told.lines().find(|line| line.starts_with(&place));
            let line = line.expect("a mount");
            for option in options {
                assert!(line.contains(option), "{option}: {line}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_anonymous_volume_starts_with_what_the_image_has() {
    Scene::play(async |scene| {
        let command = "read /seed/file then write /seed/new x";
        let service = mounting(scene.service(command), vec![at("/seed", anonymous())]);
        assert_eq!(scene.says("it", service).await, SEED.1);
    })
    .await;
}

#[tokio::test]
async fn how_mounts_spread_is_the_engine_s_to_know() {
    Scene::play(async |scene| {
        let directory = tempfile::tempdir().expect("a directory");
        let bind = |propagation: &str, create_host_path| MountKind::Bind {
            source: directory.path().to_owned(),
            create_host_path,
            propagation: Some(propagation.to_owned()),
            selinux: None,
            recursive: None,
        };
        let mounts = vec![
            at("/line", bind("private", true)),
            at("/mount", bind("private", false)),
            at("/usual", bind("rprivate", true)),
        ];
        let service = mounting(scene.service("wait"), mounts);
        let id = scene.create(&scene.container("it", service)).await;
        let inspected = scene.inspect(&id).await;
        let mounts = inspected["Mounts"].as_array().expect("mounts");
        let spread = |target: &str| {
            let mount = mounts.iter().find(|it| it["Destination"] == target);
            mount.expect("a mount")["Propagation"].clone()
        };
        assert_eq!(
            ["/line", "/mount", "/usual"].map(spread),
            ["private", "private", "rprivate"]
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_mounted_below_can_be_left_out() {
    Scene::play(async |scene| {
        let bind = |recursive| MountKind::Bind {
            source: "/proc".into(),
            create_host_path: true,
            propagation: None,
            selinux: None,
            recursive,
        };
        let below = async |name: &str, recursive| {
            let service = scene.service("read /proc/self/mounts");
            let service = mounting(service, vec![at("/there", bind(recursive))]);
            let told = scene.says(name, service).await;
            assert!(told.contains(" /there "), "{told}");
            told.contains(" /there/")
        };
        let all = below("all", None).await;
        assert!(!below("none", Some(Recursive::Disabled)).await);
        if scene.engine.info().local {
            let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
            assert_eq!(all, mounts.contains(" /proc/"), "{mounts}");
        }
        if !scene.engine.info().capabilities.endpoint_mac_address {
            let kind = bind(Some(Recursive::ReadOnly));
            let service = mounting(scene.service("wait"), vec![at("/there", kind)]);
            assert_refused(scene, &scene.container("strict", service), "1.44").await;
        }
    })
    .await;
}

#[tokio::test]
async fn whose_volumes_are_taken_over() {
    Scene::play(async |scene| {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("file"), "from the host").expect("a file");
        let bind = MountKind::Bind {
            source: directory.path().to_owned(),
            create_host_path: false,
            propagation: None,
            selinux: None,
            recursive: None,
        };
        let volume = scene.volume("data").await;
        let command = "write /data/file named then write /anonymous/file nameless";
        let mounts = vec![at("/anonymous", anonymous()), at("/host", bind)];
        let other = ContainerSpec {
            volumes: vec![mount(&volume, "/data")],
            ..scene.container("other", mounting(scene.service(command), mounts))
        };
        scene.run_container(&other).await;
        let command = "read /data/file then read /anonymous/file then read /host/file \
                       then write /data/new x";
        let spec = ContainerSpec {
            volumes_from: vec![format!("{}:ro", scene.name("other"))],
            ..scene.container("it", scene.service(command))
        };
        let ended = scene.run_container(&spec).await;
        assert_eq!(ended.output.stdout(), "named\nnameless\nfrom the host\n");
        let error = ended.output.stderr();
        assert!(error.contains("Read-only"), "{error}");
    })
    .await;
}

/// An engine that is too old would mount the whole volume, or nothing.
#[tokio::test]
async fn a_path_inside_a_volume_or_a_refusal() {
    Scene::play(async |scene| {
        let volume = scene.volume("data").await;
        let filled = ContainerSpec {
            volumes: vec![mount(&volume, "/seed")],
            ..scene.container("filled", scene.service("write /seed/other x"))
        };
        scene.run_container(&filled).await;
        let inner = VolumeMount {
            subpath: Some("file".to_owned()),
            ..mount(&volume, "/inner")
        };
        let spec = ContainerSpec {
            volumes: vec![inner],
            ..scene.container("it", scene.service("read /inner"))
        };
        if scene.engine.info().capabilities.volume_subpath {
            let said = scene.run_container(&spec).await.output.stdout();
            assert_eq!(said.trim_end(), SEED.1);
        } else {
            assert_refused(scene, &spec, "1.45").await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_files_of_an_image_or_a_refusal() {
    Scene::play(async |scene| {
        let image = MountKind::Image {
            image: scene.image.clone(),
            subpath: None,
        };
        let service = mounting(
            scene.service("read /image/seed/file"),
            vec![at("/image", image)],
        );
        let spec = scene.container("it", service);
        if scene.engine.info().capabilities.image_mounts {
            let said = scene.run_container(&spec).await.output.stdout();
            assert_eq!(said.trim_end(), SEED.1);
        } else {
            assert_refused(scene, &spec, "1.48").await;
        }
    })
    .await;
}

async fn assert_refused(scene: &Scene, spec: &ContainerSpec, version: &str) {
    let error = scene
        .engine
        .create_container(spec)
        .await
        .expect_err("too old");
    let reply = std::error::Error::source(&error).expect("why").to_string();
    assert!(
        reply.contains(&format!("takes Docker API {version}")),
        "{reply}"
    );
    assert!(
        scene
            .observe()
            .await
            .containers
            .iter()
            .all(|it| it.name != spec.name)
    );
}
