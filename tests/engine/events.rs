//! What the engine tells about containers.

use std::time::Duration;

use futures::StreamExt;
use stackrun::{
    engine::{EngineEvent, EngineEventKind},
    spec::{ContainerSpec, Health, HealthTest, Healthcheck, Resources, Service},
};

use crate::support::{PATIENCE, Scene};

/// The next events, as many as are wanted.
async fn next(
    events: &mut (impl futures::Stream<Item = stackrun::engine::Result<EngineEvent>> + Unpin),
    count: usize,
) -> Vec<EngineEvent> {
    let mut told = Vec::new();
    while told.len() < count {
        let event = tokio::time::timeout(PATIENCE, events.next()).await;
        let event = event.unwrap_or_else(|_| panic!("only these came: {told:?}"));
        told.push(event.expect("no end").expect("no error"));
    }
    told
}

fn kinds(events: &[EngineEvent]) -> Vec<EngineEventKind> {
    events.iter().map(|event| event.kind).collect()
}

#[tokio::test]
async fn a_life_is_told_in_order() {
    Scene::play(async |scene| {
        let since = scene.engine.now().await.expect("a clock");
        let mut events = scene.engine.events(&scene.session, since);
        let check = Healthcheck {
            test: Some(HealthTest::Command(
                ["/fixture", "exists", "/"].map(str::to_owned).to_vec(),
            )),
            interval: Some(Duration::from_millis(100)),
            ..Healthcheck::default()
        };
        let spec = ContainerSpec {
            healthcheck: Some(check),
            ..scene.container("it", scene.service("wait"))
        };
        let id = scene.start(&spec).await;
        let by_itself = scene.engine.info().capabilities.health_by_itself;
        let mut told = next(&mut events, if by_itself { 2 } else { 1 }).await;
        scene
            .engine
            .remove_container(&id)
            .await
            .expect("it is removed");
        told.extend(next(&mut events, 2).await);
        let mut expected = vec![
            EngineEventKind::Started,
            EngineEventKind::Health(Health::Healthy),
            EngineEventKind::Died,
            EngineEventKind::Removed,
        ];
        if !by_itself {
            expected.remove(1);
        }
        assert_eq!(kinds(&told), expected);
        assert!(told.iter().all(|event| event.container == id));
        assert!(told.is_sorted_by_key(|event| event.at) && since <= told[0].at);
    })
    .await;
}

#[tokio::test]
async fn who_asks_late_hears_what_was_since() {
    Scene::play(async |scene| {
        let since = scene.engine.now().await.expect("a clock");
        let ended = scene.run("it", scene.service("exit 0")).await;
        let told = next(&mut scene.engine.events(&scene.session, since), 2).await;
        assert_eq!(
            kinds(&told),
            [EngineEventKind::Started, EngineEventKind::Died]
        );
        let after = told[0].at + Duration::from_nanos(1);
        let told = next(&mut scene.engine.events(&scene.session, after), 1).await;
        assert_eq!(kinds(&told), [EngineEventKind::Died]);
        assert_eq!(told[0].container, ended.id);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_told_of_other_sessions() {
    Scene::play(async |scene| {
        let since = scene.engine.now().await.expect("a clock");
        Scene::play(async |other| {
            other.run("other", other.service("exit 0")).await;
        })
        .await;
        let ended = scene.run("it", scene.service("exit 0")).await;
        let told = next(&mut scene.engine.events(&scene.session, since), 2).await;
        assert!(
            told.iter().all(|event| event.container == ended.id),
            "{told:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn running_out_of_memory_is_told() {
    Scene::play(async |scene| {
        let since = scene.engine.now().await.expect("a clock");
        let limit = 16 << 20;
        let resources = Resources {
            memory: Some(limit),
            memory_swap: limit.try_into().ok(),
            ..Resources::default()
        };
        let service = Service {
            resources,
            ..scene.service("eat 100")
        };
        scene.run("it", service).await;
        if scene.is_podman() {
            // It has no such event: the death is all there is.
            let told = kinds(&next(&mut scene.engine.events(&scene.session, since), 2).await);
            assert_eq!(told, [EngineEventKind::Started, EngineEventKind::Died]);
            return;
        }
        let told = kinds(&next(&mut scene.engine.events(&scene.session, since), 3).await);
        assert!(told.contains(&EngineEventKind::OutOfMemory), "{told:?}");
        assert!(told.contains(&EngineEventKind::Died), "{told:?}");
    })
    .await;
}
