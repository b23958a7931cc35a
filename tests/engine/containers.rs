//! A container's life.

use std::time::{Duration, Instant};

use stackrun::{
    engine::Refusal,
    spec::{Resources, RestartPolicy, Service, Status},
};

use crate::support::{Scene, eventually, fixture};

#[tokio::test]
async fn it_is_created_then_runs_then_is_over() {
    Scene::play(async |scene| {
        let id = scene
            .create(&scene.container("it", scene.service("wait")))
            .await;
        let created = scene.state(&id).await;
        assert_eq!(
            (created.id.as_str(), created.status),
            (id.as_str(), Status::Created)
        );
        assert_eq!((created.started_at, created.finished_at), (None, None));

        scene.engine.start_container(&id).await.expect("it starts");
        let running = scene.state(&id).await;
        assert_eq!(running.status, Status::Running);
        assert!(running.started_at.is_some() && running.finished_at.is_none());

        scene
            .engine
            .stop_container(&id, None)
            .await
            .expect("it stops");
        let over = scene.state(&id).await;
        assert_eq!((over.status, over.exit_code), (Status::Exited, 0));
        assert!(over.finished_at > over.started_at);
    })
    .await;
}

#[tokio::test]
async fn it_can_be_named_instead_of_identified() {
    Scene::play(async |scene| {
        let id = scene
            .start(&scene.container("it", scene.service("wait")))
            .await;
        let named = scene.engine.inspect(&scene.name("it")).await.expect("it");
        assert_eq!(named.id, id);
    })
    .await;
}

#[tokio::test]
async fn starting_it_twice_is_starting_it() {
    Scene::play(async |scene| {
        let id = scene
            .start(&scene.container("it", scene.service("wait")))
            .await;
        let started = scene.state(&id).await.started_at;
        scene
            .engine
            .start_container(&id)
            .await
            .expect("it runs already");
        assert_eq!(scene.state(&id).await.started_at, started);
    })
    .await;
}

#[tokio::test]
async fn its_exit_code_is_told() {
    Scene::play(async |scene| {
        let ended = scene.run("it", scene.service("exit 42")).await;
        assert_eq!(ended.state.exit_code, 42);
        assert!(!ended.state.oom_killed);
    })
    .await;
}

#[tokio::test]
async fn one_that_listens_to_sigterm_stops_before_its_grace_is_over() {
    Scene::play(async |scene| {
        let id = scene
            .start(&scene.container("it", scene.service("print up then wait")))
            .await;
        listens(scene, &id).await;
        let begun = Instant::now();
        let grace = Duration::from_secs(60);
        scene
            .engine
            .stop_container(&id, Some(grace))
            .await
            .expect("it stops");
        assert!(begun.elapsed() < grace / 2);
        assert_eq!(scene.state(&id).await.exit_code, 0);
    })
    .await;
}

#[tokio::test]
async fn one_that_does_not_is_killed_when_its_grace_is_over() {
    Scene::play(async |scene| {
        let id = scene
            .start(&scene.container("it", scene.service("sleep")))
            .await;
        let begun = Instant::now();
        // A fraction of a second is rounded up: nobody gets less than promised.
        let grace = Duration::from_millis(1_200);
        scene
            .engine
            .stop_container(&id, Some(grace))
            .await
            .expect("it stops");
        assert!(begun.elapsed() >= grace);
        assert_eq!(scene.state(&id).await.exit_code, 137);
    })
    .await;
}

#[tokio::test]
async fn without_a_grace_its_own_is_used() {
    Scene::play(async |scene| {
        let service = Service {
            stop_grace_period: Some(Duration::from_secs(1)),
            ..scene.service("sleep")
        };
        let id = scene.start(&scene.container("it", service)).await;
        let begun = Instant::now();
        scene
            .engine
            .stop_container(&id, None)
            .await
            .expect("it stops");
        // The engine's default is 10 s.
        assert!((1..9).contains(&begun.elapsed().as_secs()));
    })
    .await;
}

#[tokio::test]
async fn without_any_grace_it_is_killed_at_once() {
    Scene::play(async |scene| {
        let id = scene
            .start(&scene.container("it", scene.service("sleep")))
            .await;
        let stopped = scene.engine.stop_container(&id, Some(Duration::ZERO)).await;
        stopped.expect("it stops");
        assert_eq!(scene.state(&id).await.exit_code, 137);
    })
    .await;
}

#[tokio::test]
async fn stopping_one_that_is_over_is_fine() {
    Scene::play(async |scene| {
        let ended = scene.run("it", scene.service("exit 3")).await;
        scene
            .engine
            .stop_container(&ended.id, None)
            .await
            .expect("nothing to do");
        assert_eq!(scene.state(&ended.id).await.exit_code, 3);
    })
    .await;
}

#[tokio::test]
async fn the_stop_signal_is_the_service_s() {
    Scene::play(async |scene| {
        let service = Service {
            stop_signal: Some("SIGKILL".to_owned()),
            ..scene.service("wait")
        };
        let id = scene.start(&scene.container("it", service)).await;
        scene
            .engine
            .stop_container(&id, None)
            .await
            .expect("it stops");
        assert_eq!(scene.state(&id).await.exit_code, 137);
    })
    .await;
}

#[tokio::test]
async fn a_signal_reaches_it() {
    Scene::play(async |scene| {
        let id = scene
            .start(&scene.container("it", scene.service("print up then wait")))
            .await;
        listens(scene, &id).await;
        scene
            .engine
            .kill_container(&id, "SIGTERM")
            .await
            .expect("it runs");
        assert_eq!(scene.over(&id).await.exit_code, 0);
        let error = scene
            .engine
            .kill_container(&id, "SIGTERM")
            .await
            .expect_err("it is over");
        assert_eq!(error.refusal(), Some(Refusal::Conflict), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn one_that_eats_too_much_is_killed_and_it_says_so() {
    Scene::play(async |scene| {
        let limit = 16 << 20;
        let service = Service {
            resources: Resources {
                memory: Some(limit),
                memory_swap: limit.try_into().ok(),
                ..Resources::default()
            },
            ..scene.service("eat 100")
        };
        let ended = scene.run("it", service).await;
        // Podman 4.3 learns of it by conmon, which does not see it with cgroup v1.
        assert!(ended.state.oom_killed || scene.is_podman());
        assert_eq!(ended.state.exit_code, 137);
    })
    .await;
}

/// Whatever the service says: a second run would hide how the first one ended.
#[tokio::test]
async fn once_it_has_ended_it_is_over() {
    Scene::play(async |scene| {
        let service = Service {
            restart: Some(RestartPolicy::Always),
            ..scene.service("exit 3")
        };
        let ended = scene.run("it", service).await;
        assert_eq!((ended.state.exit_code, ended.state.restart_count), (3, 0));
        let inspected = scene.inspect(&ended.id).await;
        let name = &inspected["HostConfig"]["RestartPolicy"]["Name"];
        assert!(matches!(name.as_str(), None | Some("" | "no")), "{name}");
    })
    .await;
}

#[tokio::test]
async fn removing_it_ends_it_and_doing_it_again_is_fine() {
    Scene::play(async |scene| {
        let id = scene
            .start(&scene.container("it", scene.service("sleep")))
            .await;
        scene
            .engine
            .remove_container(&id)
            .await
            .expect("it is removed");
        let error = scene.engine.inspect(&id).await.expect_err("it is gone");
        assert!(error.is_not_found(), "{error:?}");
        scene
            .engine
            .remove_container(&id)
            .await
            .expect("nothing to do");
    })
    .await;
}

#[tokio::test]
async fn many_can_remove_it_at_the_same_time() {
    Scene::play(async |scene| {
        let id = scene
            .start(&scene.container("it", scene.service("sleep")))
            .await;
        let removals = (0..4).map(|_| scene.engine.remove_container(&id));
        for removed in futures::future::join_all(removals).await {
            removed.expect("it is removed");
        }
        let error = scene.engine.inspect(&id).await.expect_err("it is gone");
        assert!(error.is_not_found(), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn its_name_is_taken_once() {
    Scene::play(async |scene| {
        let spec = scene.container("it", scene.service("wait"));
        scene.create(&spec).await;
        let error = scene
            .engine
            .create_container(&spec)
            .await
            .expect_err("taken");
        assert_eq!(error.refusal(), Some(Refusal::Conflict), "{error:?}");
        assert_eq!(
            error.to_string(),
            format!("could not create container `{}`", spec.name)
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    Scene::play(async |scene| {
        let (engine, name) = (&scene.engine, scene.name("nothing"));
        let spec = scene.container(
            "it",
            Service {
                image: "stackrun-fixture:none".to_owned(),
                ..scene.service("wait")
            },
        );
        let errors = [
            engine.inspect(&name).await.expect_err("no container"),
            engine
                .start_container(&name)
                .await
                .expect_err("no container"),
            engine
                .stop_container(&name, None)
                .await
                .expect_err("no container"),
            engine
                .kill_container(&name, "SIGTERM")
                .await
                .expect_err("no container"),
            engine.attach(&name).await.err().expect("no container"),
            engine.exec_exit_code(&name).await.expect_err("no command"),
            engine.create_container(&spec).await.expect_err("no image"),
        ];
        for error in errors {
            assert!(error.is_not_found(), "{error:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn one_whose_program_is_missing_does_not_start_and_says_why() {
    Scene::play(async |scene| {
        let service = Service {
            entrypoint: Some(vec!["/no/such/program".to_owned()]),
            ..scene.service("wait")
        };
        let id = scene.create(&scene.container("it", service)).await;
        let error = scene
            .engine
            .start_container(&id)
            .await
            .expect_err("no program");
        let reply = std::error::Error::source(&error).expect("the engine's words");
        assert!(reply.to_string().contains("/no/such/program"), "{reply}");
        let state = scene.state(&id).await;
        if scene.is_podman() {
            // To Podman it has never been started: only the answer tells.
            assert_eq!((state.status, state.exit_code), (Status::Created, 0));
            return;
        }
        assert_eq!((state.status.is_up(), state.exit_code), (false, 127));
        assert!(state.error.contains("/no/such/program"), "{}", state.error);
    })
    .await;
}

#[tokio::test]
async fn one_that_cannot_join_all_its_networks_is_not_left_behind() {
    Scene::play(async |scene| {
        let (there, missing) = (scene.network("there").await, scene.network_spec("missing"));
        let spec = scene.networked("it", scene.service("wait"), &[&there, &missing]);
        let id = scene.engine.create_container(&spec).await;
        let error = match id {
            Err(error) => error,
            // Where networks are joined at the start only, the start fails.
            Ok(id) => scene
                .engine
                .start_container(&id)
                .await
                .expect_err("no network"),
        };
        assert!(error.is_not_found(), "{error:?}");
        let left = scene.observe().await.containers;
        assert!(
            left.iter().all(|container| !container.status.is_up()),
            "{left:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_command_of_the_image_is_run_where_the_service_has_none() {
    Scene::play(async |scene| {
        let service = Service {
            command: None,
            ..scene.service("")
        };
        let ended = scene.run("it", service).await;
        assert_eq!(ended.output.stdout(), "the image's command\n");
    })
    .await;
}

#[tokio::test]
async fn an_empty_entrypoint_clears_the_image_s() {
    Scene::play(async |scene| {
        let service = Service {
            entrypoint: Some(Vec::new()),
            command: Some(["/fixture", "print", "hello"].map(str::to_owned).to_vec()),
            ..scene.service("")
        };
        let ended = scene.run("it", service).await;
        assert_eq!(ended.output.stdout(), "hello\n");
    })
    .await;
}

#[tokio::test]
async fn anonymous_volumes_go_with_it() {
    use stackrun::spec::{Mount, MountKind};
    Scene::play(async |scene| {
        let anonymous = MountKind::Volume {
            key: None,
            nocopy: false,
            subpath: None,
        };
        let service = Service {
            mounts: vec![Mount {
                kind: anonymous,
                target: "/data".to_owned(),
                read_only: false,
            }],
            ..scene.service("write /data/file x")
        };
        let id = scene.create(&scene.container("it", service)).await;
        let client = fixture::client(&*scene.engine);
        let inspected = client.inspect_container(&id, None).await.expect("it");
        let mounts = inspected.mounts.expect("its mounts");
        let volume = mounts[0].name.clone().expect("a volume");
        scene.engine.start_container(&id).await.expect("it starts");
        assert_eq!(scene.over(&id).await.exit_code, 0);
        client.inspect_volume(&volume).await.expect("it is there");
        scene
            .engine
            .remove_container(&id)
            .await
            .expect("it is removed");
        client
            .inspect_volume(&volume)
            .await
            .expect_err("it is gone");
    })
    .await;
}

/// A signal that comes before there is a handler for it is lost.
async fn listens(scene: &Scene, id: &str) {
    eventually("a word from the container", async || {
        let logs = scene
            .engine
            .logs(id, stackrun::engine::LogOptions::default())
            .await;
        let output = crate::support::collect(logs.expect("logs")).await;
        (!output.frames.is_empty()).then_some(())
    })
    .await;
}
