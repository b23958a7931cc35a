//! What the engine has kept of a container's output.

use futures::StreamExt;
use jiff::Timestamp;
use stackrun::{
    engine::{LogOptions, StdStream},
    spec::Service,
};

use crate::support::{Output, Scene, assert_same, collect};

/// The stamp of what is written at a moment: Podman 4.3 has whole seconds only.
fn stamped(scene: &Scene, moment: Timestamp) -> Timestamp {
    if scene.is_podman() {
        Timestamp::from_second(moment.as_second()).expect("a moment")
    } else {
        moment
    }
}

async fn logs(scene: &Scene, id: &str, options: LogOptions) -> Output {
    collect(scene.engine.logs(id, options).await.expect("logs")).await
}

#[tokio::test]
async fn they_are_the_output_with_the_moment_of_each_line() {
    Scene::play(async |scene| {
        let before = scene.engine.now().await.expect("a clock");
        let ended = scene
            .run("it", scene.service("lines 500 then bytes out c3a9000a20"))
            .await;
        let logs = logs(scene, &ended.id, LogOptions::default()).await;
        for stream in [StdStream::Stdout, StdStream::Stderr] {
            assert_same(&logs.bytes(stream), &ended.output.bytes(stream));
        }
        let after = scene.engine.now().await.expect("a clock");
        let before = stamped(scene, before);
        for frame in &logs.frames {
            let at = frame.at.expect("a moment");
            assert!(before <= at && at <= after, "{before} {at} {after}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_line_that_the_engine_splits_is_put_together_again() {
    Scene::play(async |scene| {
        // Docker keeps 16 KiB a piece, each with a time stamp of its own.
        let ended = scene
            .run(
                "it",
                scene.service("pattern out 100000 then bytes out 0a78"),
            )
            .await;
        let logs = logs(scene, &ended.id, LogOptions::default()).await;
        let written = ended.output.bytes(StdStream::Stdout);
        assert_same(&logs.bytes(StdStream::Stdout), &written);
        assert!(logs.frames.iter().all(|frame| frame.at.is_some()));
    })
    .await;
}

#[tokio::test]
async fn a_terminal_s_long_line_is_put_together_again() {
    Scene::play(async |scene| {
        let service = Service {
            tty: true,
            ..scene.service("pattern out 100000 then bytes out 0a78")
        };
        let ended = scene.run("it", service).await;
        let logs = logs(scene, &ended.id, LogOptions::default()).await;
        let mut kept = logs.stdout();
        if scene.is_podman() {
            // It keeps pieces of any length up to 4,095 bytes and puts a stamp before
            // each, which cannot be told from what a terminal shows.
            kept = without_stamps(&kept);
        }
        assert_same(kept.as_bytes(), ended.output.stdout().as_bytes());
        assert!(logs.frames.iter().all(|frame| frame.at.is_some()));
    })
    .await;
}

/// The text without the stamps inside of it, all of which are of one year.
fn without_stamps(text: &str) -> String {
    let year = Timestamp::now().to_string()[..5].to_owned();
    let mut pieces = text.split(&year);
    let first = pieces.next().expect("a first piece").to_owned();
    let rest = pieces.map(|piece| piece.split_once("Z ").expect("a stamp").1);
    rest.fold(first, |text, piece| text + piece)
}

/// Five lines, each at a moment of its own, and the moments.
async fn five_lines(scene: &Scene) -> (String, Vec<Timestamp>) {
    let lines = ["one", "two", "three", "four", "five"].map(|word| format!("print {word}"));
    let pause = if scene.is_podman() { 1_000 } else { 20 };
    let command = lines.join(&format!(" then pause {pause} then "));
    let ended = scene.run("it", scene.service(&command)).await;
    let output = logs(scene, &ended.id, LogOptions::default()).await;
    let moments = output
        .frames
        .iter()
        .map(|frame| frame.at.expect("a moment"))
        .collect();
    (ended.id, moments)
}

#[tokio::test]
async fn they_can_be_cut_at_any_moment() {
    Scene::play(async |scene| {
        let (id, moments) = five_lines(scene).await;
        let since = LogOptions {
            since: Some(moments[2]),
            ..LogOptions::default()
        };
        assert_eq!(
            logs(scene, &id, since).await.stdout(),
            "three\nfour\nfive\n"
        );
        let until = LogOptions {
            until: Some(moments[1]),
            ..LogOptions::default()
        };
        assert_eq!(logs(scene, &id, until).await.stdout(), "one\ntwo\n");
        let both = LogOptions {
            since: Some(moments[1]),
            until: Some(moments[3]),
            ..since
        };
        assert_eq!(logs(scene, &id, both).await.stdout(), "two\nthree\nfour\n");
    })
    .await;
}

#[tokio::test]
async fn the_last_lines_are_enough_if_one_says_so() {
    Scene::play(async |scene| {
        let (id, _) = five_lines(scene).await;
        let tail = |lines| LogOptions {
            tail: Some(lines),
            ..LogOptions::default()
        };
        assert_eq!(logs(scene, &id, tail(2)).await.stdout(), "four\nfive\n");
        assert_eq!(logs(scene, &id, tail(0)).await.stdout(), "");
        assert_eq!(
            logs(scene, &id, tail(100)).await.stdout().lines().count(),
            5
        );
    })
    .await;
}

#[tokio::test]
async fn following_goes_on_until_the_container_ends() {
    Scene::play(async |scene| {
        let service = scene.service("print early then wait then print late");
        let id = scene.start(&scene.container("it", service)).await;
        let options = LogOptions {
            follow: true,
            ..LogOptions::default()
        };
        let mut stream = scene.engine.logs(&id, options).await.expect("logs");
        let early = stream.next().await.expect("a frame").expect("no error");
        assert_eq!(early.bytes, "early\n");
        scene
            .engine
            .stop_container(&id, None)
            .await
            .expect("it stops");
        assert_eq!(collect(stream).await.stdout(), "late\n");
    })
    .await;
}

#[tokio::test]
async fn who_has_none_says_so_in_the_stream() {
    Scene::play(async |scene| {
        let name = scene.name("nothing");
        let logs = scene.engine.logs(&name, LogOptions::default()).await;
        let first = logs.expect("a stream").next().await.expect("an item");
        assert!(first.expect_err("no container").is_not_found());
    })
    .await;
}
