//! The sample stack, used as a person would.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::Command,
    thread,
};

use serde_json::{Value, json};

use crate::support::{Output, Stack};

/// The sample, under a name of this test's own.
fn sample() -> Stack {
    let text = include_str!("../../compose/compose.yaml");
    let root = env!("CARGO_MANIFEST_DIR");
    Stack::file(&text.replace("../images", &format!("{root}/images")))
}

fn url(up: &Value, worker: usize, service: &str) -> String {
    let url = up["workers"][worker]["services"][service]["url"]
        .as_str()
        .unwrap();
    url.strip_prefix("http://").unwrap().to_owned()
}

fn request(address: &str, method: &str, path: &str, body: &Value) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let body = body.to_string();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

#[test]
fn a_part_of_one_worker_is_not_in_another() {
    let stack = sample();
    let up = stack.json(&["up", "-d", "-n", "2", "--format", "json"]);
    let fronts = [url(&up, 0, "frontend"), url(&up, 1, "frontend")];
    for front in &fronts {
        let (status, page) = request(front, "GET", "/", &Value::Null);
        assert_eq!(status, 200);
        assert!(page.contains("<html"), "{page}");
    }
    let part = json!({ "name": "only in worker zero", "quantity": 1 });
    assert_eq!(request(&fronts[0], "POST", "/api/parts", &part).0, 201);
    assert!(
        request(&fronts[0], "GET", "/api/parts", &Value::Null)
            .1
            .contains("only in worker zero")
    );
    assert!(
        !request(&fronts[1], "GET", "/api/parts", &Value::Null)
            .1
            .contains("only in worker zero")
    );
    stack.ok(&["down", "-v"]);
    stack.assert_nothing_left();
}

/// Opens an event stream through the frontend, has a part made, and reads until the
/// result comes.
fn round_trip(front: &str, id: &str) -> Vec<String> {
    let mut stream = TcpStream::connect(front).unwrap();
    let head = format!(
        "GET /sse/stream?request_id={id} HTTP/1.1\r\nhost: {front}\r\naccept: text/event-stream\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut events = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        let Some(event) = line.strip_prefix("event: ") else {
            continue;
        };
        events.push(event.to_owned());
        match event {
            "ready" => {
                let body = json!({ "description": "a gear", "request_id": id });
                assert_eq!(request(front, "POST", "/api/parts/ai", &body).0, 202);
            }
            "result" => return events,
            _ => {}
        }
    }
    panic!("the stream ended before the result: {events:?}");
}

#[test]
fn events_go_round_in_four_workers_at_once() {
    let stack = sample();
    let up = stack.json(&["up", "-d", "--workers", "4", "--format", "json"]);
    thread::scope(|scope| {
        for worker in 0..4 {
            let front = url(&up, worker, "frontend");
            scope.spawn(move || {
                let events = round_trip(&front, &format!("request-{worker}"));
                assert_eq!(events.first().unwrap(), "ready");
                assert!(events.iter().any(|event| event == "progress"), "{events:?}");
            });
        }
    });
    for worker in 0..4 {
        let log = stack
            .ok(&["logs", "--worker", &worker.to_string(), "gateway"])
            .stdout;
        assert!(log.contains("connect"), "{log}");
        assert!(log.contains("result"), "{log}");
        for other in (0..4).filter(|other| *other != worker) {
            assert!(!log.contains(&format!("request-{other}")), "{log}");
        }
    }
}

#[test]
fn every_key_is_composes_own_or_an_extension() {
    let output = Output::of({
        let mut command = Command::new(env!("CARGO_BIN_EXE_stackrun"));
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/compose/compose.yaml");
        command.args(["-f", file, "config", "--check"]);
        command
    });
    // Any other key is refused, and one that means nothing is warned about.
    assert_eq!((output.code, &*output.stderr), (0, ""), "{output:#?}");
}
