//! The gateway as a process, between a client and a stand-in for the backend.

mod support;

use std::process::{Command, Output};
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use support::{EventSource, Service, Stub};

const BINARY: &str = env!("CARGO_BIN_EXE_gateway");

/// A port that nothing listens on: the tests bind ports above 1023 only.
const NOBODY: &str = "http://127.0.0.1:1/callback";

fn start(callback_url: &str) -> Service {
    Service::start(BINARY, &[("CALLBACK_URL", callback_url)])
}

/// A gateway with a backend that accepts everything.
fn accepting() -> (Stub, Service) {
    let backend = Stub::start(|_| 200);
    let gateway = start(&backend.url);
    (backend, gateway)
}

/// Opens a stream and returns it with its token.
fn connect(backend: &Stub, gateway: &Service, path: &str) -> (EventSource, String) {
    let mut client = EventSource::open(gateway, path);
    assert_eq!(client.status, 200);
    assert_eq!(client.frame(), "event: ready|data:");
    let token = backend.next()["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    (client, token)
}

fn send(gateway: &Service, body: &Value) -> (u16, Value) {
    gateway.request("POST", "/internal/send", Some(&body.to_string()))
}

fn healthcheck(gateway: &Service) -> Output {
    let port = gateway.url.rsplit(':').next().expect("a port");
    Command::new(BINARY)
        .arg("healthcheck")
        .env_clear()
        .env("PORT", port)
        .output()
        .expect("the binary starts")
}

#[test]
fn the_connect_callback_shows_the_request() {
    let (backend, gateway) = accepting();
    let mut client = EventSource::open(&gateway, "/any/path?request_id=1%202");
    assert_eq!(client.frame(), "event: ready|data:");
    let callback = backend.next();
    assert_eq!(callback["action"], "connect");
    assert_eq!(callback["token"].as_str().map(str::len), Some(36));
    assert_eq!(callback["request"]["url"], "/any/path?request_id=1%202");
    assert_eq!(callback["request"]["headers"]["x-test"], "one, two");
    let line = gateway.wait_for_line("callback connect");
    assert!(line.contains(&backend.url), "{line}");
}

#[test]
fn a_refusal_reaches_the_client_and_opens_nothing() {
    let backend = Stub::start(|_| 418);
    let gateway = start(&backend.url);
    let client = EventSource::open(&gateway, "/stream");
    assert_eq!(client.status, 418);
    assert!(client.rest().contains("refused"));
    let token = backend.next()["token"].clone();
    let (status, _) = send(&gateway, &json!({"token": token}));
    assert_eq!(status, 404);
}

#[test]
fn an_unreachable_backend_is_logged_with_url_and_reason() {
    let gateway = start(NOBODY);
    assert_eq!(EventSource::open(&gateway, "/stream").status, 502);
    let line = gateway.wait_for_line("callback connect");
    assert!(line.contains(NOBODY) && line.contains("refused"), "{line}");
}

#[test]
fn events_arrive_in_order_and_before_the_close() {
    let (backend, gateway) = accepting();
    let (mut client, token) = connect(&backend, &gateway, "/stream");
    for number in 0..50 {
        let event = json!({"name": "count", "data": number.to_string()});
        let answer = send(&gateway, &json!({"token": token, "event": event}));
        assert_eq!(answer, (200, json!({"status": "ok"})));
    }
    let last = json!({"token": token, "event": {"data": "a\nb"}, "close": true});
    assert_eq!(send(&gateway, &last).0, 200);
    for number in 0..50 {
        assert_eq!(client.frame(), format!("event: count|data: {number}"));
    }
    assert_eq!(client.frame(), "data: a|data: b");
    assert_eq!(client.rest(), "");
    let callback = backend.next();
    assert_eq!(callback["action"], "disconnect");
    assert_eq!(callback["reason"], "server_closed");
    assert_eq!(callback["request"]["url"], "/stream");
    assert_eq!(send(&gateway, &json!({"token": token})).0, 404);
    gateway.wait_for_line(&format!("deliver `count` to {token}"));
}

#[test]
fn an_event_sent_before_the_connect_is_answered_comes_after_ready() {
    let url = Arc::new(OnceLock::<String>::new());
    let gateway_url = Arc::clone(&url);
    let backend = Stub::start(move |callback| {
        if callback["action"] == "connect" {
            let body = json!({"token": callback["token"], "event": {"data": "early"}});
            let url = gateway_url.get().expect("set before anyone connects");
            ureq::post(format!("{url}/internal/send"))
                .send_json(body)
                .expect("the stream is known");
        }
        200
    });
    let gateway = start(&backend.url);
    url.set(gateway.url.clone()).expect("set once");
    let (mut client, _) = connect(&backend, &gateway, "/stream");
    assert_eq!(client.frame(), "data: early");
}

#[test]
fn a_client_that_leaves_is_noticed_without_anything_being_sent() {
    let (backend, gateway) = accepting();
    let (client, token) = connect(&backend, &gateway, "/stream");
    drop(client);
    let callback = backend.next();
    assert_eq!(callback["action"], "disconnect");
    assert_eq!(callback["token"], token);
    assert_eq!(callback["reason"], "client_closed");
    gateway.wait_for_line(&format!("callback disconnect {token} (client_closed): 200"));
    assert_eq!(send(&gateway, &json!({"token": token})).0, 404);
}

#[test]
fn a_client_that_leaves_while_the_backend_is_asked_is_told_of() {
    let (answer, wait) = channel::<()>();
    let backend = Stub::start(move |callback| {
        if callback["action"] == "connect" {
            let _ = wait.recv();
        }
        200
    });
    let gateway = start(&backend.url);
    let client = EventSource::request(&gateway, "/stream");
    assert_eq!(backend.next()["action"], "connect");
    drop(client);
    answer.send(()).expect("the stub waits");
    assert_eq!(backend.next()["reason"], "client_closed");
}

#[test]
fn quiet_streams_get_heartbeats() {
    let backend = Stub::start(|_| 200);
    let gateway = Service::start(
        BINARY,
        &[
            ("CALLBACK_URL", &backend.url),
            ("HEARTBEAT_INTERVAL_SECONDS", "0.02"),
        ],
    );
    let (mut client, _) = connect(&backend, &gateway, "/stream");
    assert_eq!(client.frame(), ": heartbeat");
    assert_eq!(client.frame(), ": heartbeat");
}

#[test]
fn malformed_sends_are_refused_with_a_reason() {
    let (_backend, gateway) = accepting();
    for (body, expected) in [
        ("{", "JSON"),
        ("{}", "missing field `token`"),
        (
            r#"{"token":"t","event":{"name":"n"}}"#,
            "missing field `data`",
        ),
        (
            r#"{"token":"t","event":{"name":"a\nb","data":""}}"#,
            "line break",
        ),
        (r#"{"token":"t","events":{}}"#, "unknown field"),
    ] {
        let (status, answer) = gateway.request("POST", "/internal/send", Some(body));
        assert_eq!(status, 400, "{body}");
        let reason = answer["error"].as_str().expect("a reason");
        assert!(reason.contains(expected), "{body}: {reason}");
    }
    assert_eq!(send(&gateway, &json!({"token": "t"})).0, 404);
}

#[test]
fn ready_means_that_the_callback_answers() {
    let backend = Stub::start(|_| 405);
    let gateway = start(&backend.url);
    for method in ["GET", "HEAD"] {
        assert_eq!(gateway.request(method, "/readyz", None).0, 200);
        assert_eq!(gateway.request(method, "/healthz", None).0, 200);
    }
    assert!(healthcheck(&gateway).status.success());
}

#[test]
fn not_ready_says_why() {
    let unreachable = start(NOBODY);
    let unset = Service::start(BINARY, &[]);
    for (gateway, reason) in [(&unreachable, NOBODY), (&unset, "CALLBACK_URL is not set")] {
        let (status, answer) = gateway.request("GET", "/readyz", None);
        assert_eq!(status, 503);
        assert!(answer.to_string().contains(reason), "{answer}");
        let output = healthcheck(gateway);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains(reason));
        assert_eq!(gateway.request("GET", "/healthz", None).0, 200);
    }
    assert_eq!(EventSource::open(&unset, "/stream").status, 503);
}

#[test]
fn only_get_opens_a_stream() {
    let (_backend, gateway) = accepting();
    for method in ["HEAD", "POST"] {
        assert_eq!(gateway.request(method, "/stream", None).0, 405);
    }
}

#[test]
fn a_stop_ends_open_streams_and_tells_the_backend() {
    for signal in ["TERM", "INT"] {
        let (backend, mut gateway) = accepting();
        let (client, _) = connect(&backend, &gateway, "/stream");
        gateway.signal(signal);
        assert_eq!(client.rest(), "");
        assert_eq!(backend.next()["reason"], "server_closed");
        assert_eq!(gateway.wait().code(), Some(0), "SIG{signal}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_at_the_start() {
    for (name, value) in [
        ("PORT", "eighty"),
        ("CALLBACK_URL", "https://backend/callback"),
        ("HEARTBEAT_INTERVAL_SECONDS", "0"),
    ] {
        let output = Command::new(BINARY)
            .env_clear()
            .env(name, value)
            .output()
            .expect("the binary starts");
        assert_eq!(output.status.code(), Some(1));
        let reason = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(reason.contains(&format!("{name}={value}")), "{reason}");
    }
}
