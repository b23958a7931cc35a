//! Everything that carries stackrun's labels.

use stackrun::{
    engine::EngineKind,
    spec::{Status, observed::Labelled},
};

use crate::support::{Scene, mount};

#[tokio::test]
async fn all_of_a_session_is_found_and_nothing_else() {
    Scene::play(async |scene| {
        Scene::play(async |other| {
            other.network("theirs").await;
            other.volume("theirs").await;
            other
                .create(&other.container("theirs", other.service("wait")))
                .await;

            let network = scene.network("net").await;
            let volume = scene.volume("data").await;
            let mut spec = scene.networked("up", scene.service("wait"), &[&network]);
            spec.volumes.push(mount(&volume, "/data"));
            let up = scene.start(&spec).await;
            let over = scene.run("over", scene.service("exit 42")).await.id;
            let created = scene
                .create(&scene.container("new", scene.service("wait")))
                .await;

            let mut observed = scene.observe().await;
            observed.containers.sort_by(|a, b| a.name.cmp(&b.name));
            let told: Vec<_> = observed
                .containers
                .iter()
                .map(|it| (it.name.clone(), it.id.clone(), it.status, it.exit_code))
                .collect();
            assert_eq!(
                told,
                [
                    (scene.name("new"), created, Status::Created, None),
                    (scene.name("over"), over, Status::Exited, Some(42)),
                    (scene.name("up"), up, Status::Running, None),
                ]
            );
            // Podman writes every name in full.
            let image = if scene.is_podman() {
                format!("localhost/{}", scene.image)
            } else {
                scene.image.clone()
            };
            assert!(observed.containers.iter().all(|it| it.image == image));
            assert!(
                observed
                    .containers
                    .iter()
                    .all(|it| it.labels == scene.labels())
            );
            assert_eq!(observed.networks.len(), 1);
            assert_eq!(observed.networks[0].name, network.name);
            assert_eq!(observed.networks[0].labels, scene.labels());
            assert_eq!(observed.networks[0].subnets, [network.subnet.into()]);
            assert_eq!(observed.volumes.len(), 1);
            assert_eq!(observed.volumes[0].name, volume.name);
            assert_eq!(observed.volumes[0].labels, scene.labels());
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn without_a_session_all_sessions_are_found() {
    Scene::play(async |scene| {
        scene.network("ours").await;
        Scene::play(async |other| {
            other.network("theirs").await;
            let all = scene.engine.observe(None).await.expect("all");
            for session in [&scene.session, &other.session] {
                let networks = all.networks.iter();
                let of_session = networks.filter(|it| it.session().as_ref() == Some(session));
                assert_eq!(of_session.count(), 1, "{session}");
            }
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn the_engine_says_what_it_is() {
    Scene::play(async |scene| {
        let info = scene.engine.info();
        assert!(matches!(info.kind, EngineKind::Docker | EngineKind::Podman));
        assert!(info.platform.starts_with("linux/"), "{info:?}");
        assert!(info.api_version.starts_with("1."), "{info:?}");
        for word in [
            &info.version,
            &info.kernel,
            &info.storage_driver,
            &info.logging_driver,
        ] {
            assert!(!word.is_empty(), "{info:?}");
        }
        let (one, other) = (scene.engine.now().await, scene.engine.now().await);
        assert!(one.expect("a clock") < other.expect("a clock"));
    })
    .await;
}
