//! Images in the local store, and such as are not.

use std::time::Duration;

use futures::StreamExt;
use stackrun::spec::{HealthTest, Healthcheck};

use crate::support::{Scene, fixture};

#[tokio::test]
async fn what_an_image_declares_is_told() {
    Scene::play(async |scene| {
        let image = scene
            .engine
            .image(&scene.image)
            .await
            .expect("an answer")
            .expect("an image");
        assert_eq!(image.exposed_ports, fixture::EXPOSED);
        assert_eq!(image.healthcheck, None);
        assert!(
            image.id.starts_with("sha256:") && image.size > 100_000,
            "{image:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn its_health_check_is_told() {
    Scene::play(async |scene| {
        let image = fixture::checked_image(&*scene.engine).await;
        let image = scene
            .engine
            .image(&image)
            .await
            .expect("an answer")
            .expect("an image");
        let test = ["/fixture", "exists", "/healthy"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(
            image.healthcheck,
            Some(Healthcheck {
                test: Some(HealthTest::Command(test)),
                interval: Some(Duration::from_millis(100)),
                timeout: Some(Duration::from_secs(10)),
                retries: Some(2),
                start_period: Some(Duration::from_secs(5)),
                start_interval: None,
            })
        );
    })
    .await;
}

#[tokio::test]
async fn one_that_is_missing_is_none() {
    Scene::play(async |scene| {
        let image = scene
            .engine
            .image("stackrun-fixture:none")
            .await
            .expect("an answer");
        assert_eq!(image, None);
    })
    .await;
}

#[tokio::test]
async fn a_pull_that_fails_says_so_at_its_end() {
    Scene::play(async |scene| {
        // Nothing listens on port 1.
        let mut steps = scene
            .engine
            .pull("127.0.0.1:1/nobody/nothing:1", None)
            .await;
        let mut last = None;
        while let Some(step) = steps.next().await {
            last = Some(step);
        }
        let error = last.expect("an item").expect_err("no registry");
        assert_eq!(
            error.to_string(),
            "could not pull image `127.0.0.1:1/nobody/nothing:1`"
        );
        assert!(error.refusal().is_some(), "{error:?}");
    })
    .await;
}
