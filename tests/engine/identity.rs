//! What a container's process is, and where it finds itself, as it sees it.

use std::time::Duration;

use indexmap::IndexMap;
use stackrun::{
    engine::LogOptions,
    spec::{Service, Status},
};

use crate::support::{Scene, eventually};

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn its_names_and_its_directory() {
    Scene::play(async |scene| {
        let service = Service {
            hostname: Some("me".to_owned()),
            domainname: Some("example.test".to_owned()),
            working_dir: Some("/seed".to_owned()),
            environment: IndexMap::from([("FROM_IMAGE".to_owned(), "no longer".to_owned())]),
            ..scene.service(
                "read /proc/sys/kernel/hostname then read /proc/sys/kernel/domainname \
                 then link /proc/self/cwd then env FROM_IMAGE",
            )
        };
        let told = scene.says("it", service).await;
        let told: Vec<&str> = told.split_whitespace().collect();
        assert_eq!(told, ["me", "example.test", "/seed", "no", "longer"]);
    })
    .await;
}

#[tokio::test]
async fn its_user_and_groups() {
    Scene::play(async |scene| {
        let service = Service {
            user: Some("12:34".to_owned()),
            group_add: words("56 78"),
            ..scene.service("read /proc/self/status")
        };
        let told = words(&scene.says("it", service).await).join(" ");
        for part in ["Uid: 12 12 12 12", "Gid: 34 34 34 34", "Groups: 34 56 78"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_init_is_its_first_process_only_when_asked_for() {
    Scene::play(async |scene| {
        for (name, init, first) in [
            ("with", Some(true), "docker-init"),
            ("without", Some(false), "fixture"),
        ] {
            let service = Service {
                init,
                ..scene.service("read /proc/1/comm")
            };
            assert_eq!(scene.says(name, service).await, first);
        }
    })
    .await;
}

#[tokio::test]
async fn its_command_and_entrypoint_replace_the_image_s() {
    Scene::play(async |scene| {
        let cases = [
            ("command", None, Some("print a"), "a"),
            ("entrypoint", Some("/fixture print b"), None, ""),
            ("both", Some("/fixture print"), Some("c d"), "c d"),
            ("cleared", Some(""), Some("/fixture print e"), "e"),
        ];
        for (name, entrypoint, command, said) in cases {
            let service = Service {
                entrypoint: entrypoint.map(words),
                command: command.map(words),
                ..scene.service("")
            };
            let told = scene.says(name, service).await;
            // An entrypoint of its own does away with the image's command.
            let expected = if name == "entrypoint" { "b" } else { said };
            assert_eq!(told, expected, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn its_terminal_and_its_input() {
    Scene::play(async |scene| {
        let service = Service {
            tty: true,
            stdin_open: true,
            ..scene.service("tty then copy")
        };
        // An open standard input does not end, so neither does the copy of it.
        let id = scene.start(&scene.container("open", service)).await;
        eventually("a word of its terminal", async || {
            let logs = scene
                .engine
                .logs(&id, LogOptions::default())
                .await
                .expect("logs");
            let said = crate::support::collect(logs).await.stdout();
            said.contains("columns").then_some(())
        })
        .await;
        assert_eq!(scene.state(&id).await.status, Status::Running);
        let closed = scene.run("closed", scene.service("tty then copy")).await;
        assert_eq!(closed.output.stdout(), "no terminal\n");
    })
    .await;
}

#[tokio::test]
async fn its_platform_is_the_one_that_was_asked_for() {
    Scene::play(async |scene| {
        let info = scene.engine.info();
        let service = |platform: &str| Service {
            platform: Some(platform.to_owned()),
            ..scene.service("print here")
        };
        assert_eq!(scene.says("ours", service(&info.platform)).await, "here");
        let other = scene.container("other", service("linux/s390x"));
        scene
            .engine
            .create_container(&other)
            .await
            .expect_err("no such image");
    })
    .await;
}

#[tokio::test]
async fn how_it_is_stopped_is_written_down() {
    Scene::play(async |scene| {
        let service = Service {
            stop_signal: Some("SIGINT".to_owned()),
            stop_grace_period: Some(Duration::from_millis(2_500)),
            ..scene.service("wait")
        };
        let id = scene.create(&scene.container("it", service)).await;
        let inspected = scene.inspect(&id).await;
        assert_eq!(inspected["Config"]["StopSignal"], "SIGINT");
        assert_eq!(inspected["Config"]["StopTimeout"], 3);
    })
    .await;
}
