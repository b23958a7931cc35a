//! Volumes, binds and file systems in memory.

use std::fs;

use stackrun::{
    engine::Refusal,
    spec::{ContainerSpec, Mount, MountKind, Service, VolumeMount},
};

use crate::support::{Scene, fixture::SEED, mount};

fn with(spec: ContainerSpec, volume: VolumeMount) -> ContainerSpec {
    ContainerSpec {
        volumes: vec![volume],
        ..spec
    }
}

fn mounting(service: Service, kind: MountKind, read_only: bool) -> Service {
    let mount = Mount {
        kind,
        target: "/mnt".to_owned(),
        read_only,
    };
    Service {
        mounts: vec![mount],
        ..service
    }
}

#[tokio::test]
async fn what_one_container_writes_another_one_reads() {
    Scene::play(async |scene| {
        let volume = scene.volume("data").await;
        let writer = scene.container("writer", scene.service("write /data/file hello"));
        scene
            .run_container(&with(writer, mount(&volume, "/data")))
            .await;
        // One of the same name is left as it is.
        scene.volume("data").await;
        let reader = scene.container("reader", scene.service("read /data/file"));
        let ended = scene
            .run_container(&with(reader, mount(&volume, "/data")))
            .await;
        assert_eq!(ended.output.stdout(), "hello\n");
    })
    .await;
}

#[tokio::test]
async fn one_that_is_in_use_cannot_be_removed() {
    Scene::play(async |scene| {
        let volume = scene.volume("data").await;
        let user = scene.container("user", scene.service("wait"));
        let id = scene.create(&with(user, mount(&volume, "/data"))).await;
        let error = scene
            .engine
            .remove_volume(&volume.name)
            .await
            .expect_err("in use");
        assert_eq!(error.refusal(), Some(Refusal::Conflict), "{error:?}");
        scene
            .engine
            .remove_container(&id)
            .await
            .expect("it is removed");
        scene
            .engine
            .remove_volume(&volume.name)
            .await
            .expect("it is removed");
        scene
            .engine
            .remove_volume(&volume.name)
            .await
            .expect("nothing to do");
    })
    .await;
}

#[tokio::test]
async fn an_empty_one_is_filled_from_the_image_unless_told_not_to() {
    Scene::play(async |scene| {
        for (name, nocopy, expected) in [("filled", false, true), ("empty", true, false)] {
            let volume = scene.volume(name).await;
            let volume = VolumeMount {
                nocopy,
                ..mount(&volume, "/seed")
            };
            let spec = scene.container(name, scene.service("read /seed/file"));
            let ended = scene.run_container(&with(spec, volume)).await;
            let filled = ended.output.stdout().trim_end() == SEED.1;
            assert_eq!(filled, expected, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_read_only_one_is_not_written_to() {
    Scene::play(async |scene| {
        let volume = scene.volume("data").await;
        let volume = VolumeMount {
            read_only: true,
            ..mount(&volume, "/data")
        };
        let spec = scene.container("it", scene.service("write /data/file x"));
        let ended = scene.run_container(&with(spec, volume)).await;
        assert_eq!(ended.state.exit_code, 1);
        assert!(
            ended.output.stderr().contains("Read-only"),
            "{}",
            ended.output.stderr()
        );
    })
    .await;
}

#[tokio::test]
async fn a_bind_shows_what_the_host_has() {
    Scene::play(async |scene| {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("file"), "from the host").expect("a file");
        for (name, create_host_path) in [("line", true), ("mount", false)] {
            let bind = MountKind::Bind {
                source: directory.path().to_owned(),
                create_host_path,
                propagation: None,
                selinux: None,
                recursive: None,
            };
            let service = scene.service("read /mnt/file then write /mnt/new x");
            let ended = scene.run(name, mounting(service, bind, true)).await;
            assert_eq!(ended.output.stdout(), "from the host\n", "{name}");
            assert!(ended.output.stderr().contains("Read-only"), "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_directory_that_the_host_does_not_have_is_made_only_if_it_may() {
    Scene::play(async |scene| {
        let directory = tempfile::tempdir().expect("a directory");
        let source = directory.path().join("missing");
        let bind = |create_host_path| MountKind::Bind {
            source: source.clone(),
            create_host_path,
            propagation: None,
            selinux: None,
            recursive: None,
        };
        let spec = scene.container(
            "strict",
            mounting(scene.service("wait"), bind(false), false),
        );
        let error = scene
            .engine
            .create_container(&spec)
            .await
            .expect_err("no directory");
        assert!(error.refusal().is_some(), "{error:?}");
        assert!(!source.exists());
        let lenient = scene.service("write /mnt/file x");
        let ended = scene
            .run("lenient", mounting(lenient, bind(true), false))
            .await;
        assert_eq!(ended.state.exit_code, 0, "{}", ended.output.stderr());
        assert_eq!(
            fs::read_to_string(source.join("file")).expect("a file"),
            "x"
        );
    })
    .await;
}

#[tokio::test]
async fn a_file_system_in_memory_has_its_size_and_options() {
    Scene::play(async |scene| {
        // Podman 4.3 refuses `uid`.
        let options = if scene.is_podman() {
            "exec"
        } else {
            "exec,uid=1234"
        };
        let tmpfs = MountKind::Tmpfs {
            size: Some(1 << 20),
            mode: Some(0o1750),
            options: Some(options.to_owned()),
        };
        let service = mounting(scene.service("read /proc/mounts"), tmpfs, false);
        let mounts = scene.run("it", service).await.output.stdout();
        let line = mounts
            .lines()
            .find(|line| line.contains(" /mnt "))
            .expect("a mount");
        for option in [
            "tmpfs",
            "rw",
            "nosuid",
            "nodev",
            "size=1024k",
            "mode=1750",
            options
                .trim_start_matches("exec,")
                .trim_start_matches("exec"),
        ] {
            assert!(line.contains(option), "{option}: {line}");
        }
        assert!(!line.contains("noexec"), "{line}");
    })
    .await;
}
