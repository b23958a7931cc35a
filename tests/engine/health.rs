//! Health checks that the engine runs.

use std::time::Duration;

use stackrun::{
    engine::ExecSpec,
    spec::{ContainerSpec, Health, HealthTest, Healthcheck, Service},
};

use crate::support::{Scene, collect, eventually, fixture};

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// Healthy while a file is there.
fn check() -> Healthcheck {
    Healthcheck {
        test: Some(HealthTest::Command(words("/fixture read /ready"))),
        interval: Some(Duration::from_millis(200)),
        timeout: Some(Duration::from_secs(10)),
        retries: Some(2),
        ..Healthcheck::default()
    }
}

/// Waits for a verdict; or, where the engine does not check by itself, sees that a
/// check that succeeds leaves it without one.
async fn becomes(scene: &Scene, id: &str, health: Health) {
    if !scene.engine.info().capabilities.health_by_itself {
        assert_eq!(scene.state(id).await.health, Some(Health::Starting));
        return;
    }
    eventually(&format!("it becomes {health}"), async || {
        (scene.state(id).await.health == Some(health)).then_some(())
    })
    .await;
}

async fn listed(scene: &Scene) -> Option<Health> {
    scene.observe().await.containers[0].health
}

/// Podman 4.3 does not tell the verdict in its list of containers.
fn in_lists(scene: &Scene, health: Health) -> Option<Health> {
    (!scene.is_podman()).then_some(health)
}

async fn write(scene: &Scene, id: &str, path: &str) {
    let spec = ExecSpec {
        command: words(&format!("/fixture write {path} yes")),
        ..ExecSpec::default()
    };
    let process = scene.engine.exec(id, &spec).await.expect("a command");
    collect(process.output).await;
}

#[tokio::test]
async fn its_verdict_follows_what_the_check_finds() {
    Scene::play(async |scene| {
        let spec = ContainerSpec {
            healthcheck: Some(check()),
            ..scene.container("it", scene.service("wait"))
        };
        let id = scene.start(&spec).await;
        becomes(scene, &id, Health::Unhealthy).await;
        let by_itself = scene.engine.info().capabilities.health_by_itself;
        let output = scene.state(&id).await.health_output;
        assert_eq!(output.is_some(), by_itself);
        let output = output.unwrap_or_default();
        assert!(output.contains("No such file") || !by_itself, "{output}");

        write(scene, &id, "/ready").await;
        becomes(scene, &id, Health::Healthy).await;
        let state = scene.state(&id).await;
        let output = state.health_output.as_deref().map(str::trim_end);
        assert_eq!(output, by_itself.then_some("yes"));
        assert_eq!(state.healthcheck, Some(check()));
        assert_eq!(listed(scene).await, in_lists(scene, Health::Healthy));
    })
    .await;
}

#[tokio::test]
async fn a_line_for_the_shell_and_all_its_times() {
    Scene::play(async |scene| {
        let start_interval = scene.engine.info().capabilities.start_interval;
        let healthcheck = Healthcheck {
            test: Some(HealthTest::Shell("/fixture exists /ready".to_owned())),
            start_period: Some(Duration::from_secs(7)),
            start_interval: start_interval.then_some(Duration::from_millis(300)),
            ..check()
        };
        let spec = ContainerSpec {
            healthcheck: Some(healthcheck.clone()),
            ..scene.container("it", scene.service("wait"))
        };
        let id = scene.create(&spec).await;
        assert_eq!(scene.state(&id).await.healthcheck, Some(healthcheck));
        let test = &scene.inspect(&id).await["Config"]["Healthcheck"]["Test"];
        assert_eq!(
            *test,
            serde_json::json!(["CMD-SHELL", "/fixture exists /ready"])
        );
    })
    .await;
}

#[tokio::test]
async fn it_is_starting_until_the_first_check() {
    Scene::play(async |scene| {
        let healthcheck = Healthcheck {
            interval: Some(Duration::from_secs(3_600)),
            ..check()
        };
        let spec = ContainerSpec {
            healthcheck: Some(healthcheck),
            ..scene.container("it", scene.service("wait"))
        };
        let id = scene.start(&spec).await;
        assert_eq!(scene.state(&id).await.health, Some(Health::Starting));
        assert_eq!(listed(scene).await, in_lists(scene, Health::Starting));
    })
    .await;
}

#[tokio::test]
async fn without_one_there_is_no_verdict() {
    Scene::play(async |scene| {
        let id = scene
            .start(&scene.container("it", scene.service("wait")))
            .await;
        let state = scene.state(&id).await;
        assert_eq!((state.health, state.healthcheck), (None, None));
    })
    .await;
}

/// A service of an image that has a health check.
async fn checked(scene: &Scene) -> Service {
    let image = fixture::checked_image(&*scene.engine).await;
    Service {
        image,
        ..scene.service("wait")
    }
}

#[tokio::test]
async fn the_image_s_is_run_where_the_service_has_none() {
    Scene::play(async |scene| {
        let id = scene
            .start(&scene.container("it", checked(scene).await))
            .await;
        write(scene, &id, "/healthy").await;
        becomes(scene, &id, Health::Healthy).await;
        let image = fixture::checked_image(&*scene.engine).await;
        let image = scene
            .engine
            .image(&image)
            .await
            .expect("an answer")
            .expect("an image");
        assert_eq!(scene.state(&id).await.healthcheck, image.healthcheck);
    })
    .await;
}

#[tokio::test]
async fn what_a_service_does_not_say_is_taken_from_the_image() {
    Scene::play(async |scene| {
        let healthcheck = Healthcheck {
            retries: Some(9),
            ..Healthcheck::default()
        };
        let spec = ContainerSpec {
            healthcheck: Some(healthcheck),
            ..scene.container("it", checked(scene).await)
        };
        let id = scene.create(&spec).await;
        let merged = scene.state(&id).await.healthcheck.expect("a health check");
        let test = HealthTest::Command(words("/fixture exists /healthy"));
        assert_eq!((merged.test, merged.retries), (Some(test), Some(9)));
        assert_eq!(merged.interval, Some(Duration::from_millis(100)));
    })
    .await;
}

#[tokio::test]
async fn the_image_s_can_be_switched_off() {
    Scene::play(async |scene| {
        let off = Healthcheck {
            test: Some(HealthTest::Disabled),
            ..Healthcheck::default()
        };
        let spec = ContainerSpec {
            healthcheck: Some(off),
            ..scene.container("it", checked(scene).await)
        };
        let id = scene.start(&spec).await;
        assert_eq!(scene.state(&id).await.health, None);
    })
    .await;
}
