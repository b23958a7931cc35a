//! What a container writes, from its first byte to its last.

use std::time::Duration;

use futures::{StreamExt, future::join_all};
use stackrun::{engine::StdStream, spec::Service};

use crate::support::{Scene, collect};

#[tokio::test]
async fn every_byte_arrives_as_it_was_written() {
    Scene::play(async |scene| {
        let command = "bytes out 00ff01800a0d0a00 then bytes err 01000000ffff then bytes out c3";
        let ended = scene.run("it", scene.service(command)).await;
        let stdout = ended.output.bytes(StdStream::Stdout);
        assert_eq!(stdout, [0, 0xff, 1, 0x80, b'\n', b'\r', b'\n', 0, 0xc3]);
        let stderr = ended.output.bytes(StdStream::Stderr);
        assert_eq!(stderr, [1, 0, 0, 0, 0xff, 0xff]);
    })
    .await;
}

#[tokio::test]
async fn a_last_line_without_an_end_arrives() {
    Scene::play(async |scene| {
        let ended = scene
            .run("it", scene.service("print one then bytes out 74776f"))
            .await;
        assert_eq!(ended.output.stdout(), "one\ntwo");
    })
    .await;
}

#[tokio::test]
async fn a_line_may_be_of_any_length() {
    Scene::play(async |scene| {
        let length = 3 << 20;
        let ended = scene
            .run("it", scene.service(&format!("pattern err {length}")))
            .await;
        let line = ended.output.bytes(StdStream::Stderr);
        assert_eq!(line.len(), length);
        assert!(line.iter().zip((b'0'..=b'9').cycle()).all(|(a, b)| *a == b));
    })
    .await;
}

#[tokio::test]
async fn of_many_lines_on_both_streams_none_is_lost_and_each_is_in_its_place() {
    const LINES: usize = 200_000;
    Scene::play(async |scene| {
        let ended = scene
            .run("it", scene.service(&format!("lines {LINES}")))
            .await;
        for (text, name) in [
            (ended.output.stdout(), "out"),
            (ended.output.stderr(), "err"),
        ] {
            let mut lines = text.lines();
            for number in 0..LINES {
                assert_eq!(lines.next(), Some(&*format!("{name} {number}")));
            }
            assert_eq!(lines.next(), None);
        }
    })
    .await;
}

#[tokio::test]
async fn who_reads_late_misses_nothing() {
    Scene::play(async |scene| {
        let spec = scene.container("it", scene.service("lines 20000"));
        let id = scene.create(&spec).await;
        let output = scene.engine.attach(&id).await.expect("its output");
        scene.engine.start_container(&id).await.expect("it starts");
        let output = if scene.is_podman() {
            // A container of Podman's waits for whoever reads its output.
            collect(output).await
        } else {
            scene.over(&id).await;
            collect(output).await
        };
        assert_eq!(output.stdout().lines().count(), 20_000);
        assert_eq!(output.stderr().lines().last(), Some("err 19999"));
    })
    .await;
}

#[tokio::test]
async fn hundreds_can_listen() {
    Scene::play(async |scene| {
        // Podman's conmon has a short queue: on a busy machine it refuses some of many.
        let listeners = if scene.is_podman() { 20 } else { 200 };
        let spec = scene.container("it", scene.service("lines 10"));
        let id = scene.create(&spec).await;
        let streams = join_all((0..listeners).map(|_| scene.engine.attach(&id))).await;
        scene.engine.start_container(&id).await.expect("it starts");
        for stream in streams {
            let output = collect(stream.expect("its output")).await;
            assert_eq!(output.stdout().lines().count(), 10);
        }
    })
    .await;
}

#[tokio::test]
async fn a_terminal_has_one_stream_and_its_own_line_ends() {
    Scene::play(async |scene| {
        let service = Service {
            tty: true,
            ..scene.service("print one then complain two then tty")
        };
        let ended = scene.run("it", service).await;
        let text = ended.output.stdout();
        assert!(text.starts_with("one\r\ntwo\r\n0 rows"), "{text:?}");
        assert_eq!(ended.output.stderr(), "");
    })
    .await;
}

#[tokio::test]
async fn a_prompt_on_a_terminal_arrives_before_its_line_ends() {
    Scene::play(async |scene| {
        let service = Service {
            tty: true,
            ..scene.service("bytes out 3e20 then sleep")
        };
        let id = scene.create(&scene.container("it", service)).await;
        let mut output = scene.engine.attach(&id).await.expect("its output");
        scene.engine.start_container(&id).await.expect("it starts");
        let prompt = tokio::time::timeout(Duration::from_secs(30), output.next()).await;
        let prompt = prompt
            .expect("at once")
            .expect("a frame")
            .expect("no error");
        assert_eq!(prompt.bytes, "> ");
    })
    .await;
}
