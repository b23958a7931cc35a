//! The frontend as a process, in front of stand-ins for the other services.

mod support;

use std::process::Command;
use std::thread;

use serde_json::Value;

use support::{EventSource, Service, Stub};

const BINARY: &str = env!("CARGO_BIN_EXE_frontend");

/// A port that nothing listens on: the tests bind ports above 1023 only.
const NOBODY: &str = "http://127.0.0.1:1";

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

fn start(backend: &str, gateway: &str) -> Service {
    Service::start(
        BINARY,
        &[("BACKEND_URL", backend), ("SSE_GATEWAY_URL", gateway)],
    )
}

#[test]
fn the_page_is_complete() {
    let frontend = start(NOBODY, NOBODY);
    let (status, page) = frontend.request("GET", "/", None);
    assert_eq!(status, 200);
    let page = page.as_str().expect("text").to_owned();
    for path in ["/app.css", "/app.js"] {
        assert!(
            page.contains(&format!("\"{path}\"")),
            "the page loads {path}"
        );
        assert_eq!(frontend.request("GET", path, None).0, 200);
    }
    for method in ["GET", "HEAD"] {
        assert_eq!(frontend.request(method, "/healthz", None).0, 200);
    }
    let (_, version) = frontend.request("GET", "/version.json", None);
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(frontend.request("GET", "/nowhere", None).0, 404);
}

#[test]
fn api_requests_reach_the_backend_as_they_are() {
    let backend = Stub::start();
    let frontend = start(&format!("{}/", backend.url), NOBODY);
    let upstream = thread::spawn(move || {
        let mut connection = backend.next();
        connection.write("HTTP/1.1 201 Created\r\nLocation: /api/parts/1\r\n");
        connection.write("Content-Length: 7\r\n\r\n{\"a\":1}");
        (connection, backend.url)
    });
    let answer = frontend.request("POST", "/api/parts?b=1%202", Some("{}"));
    let (connection, url) = upstream.join().expect("the upstream was asked");
    assert_eq!(answer, (201, serde_json::json!({"a": 1})));
    assert_eq!(connection.request_line, "POST /api/parts?b=1%202 HTTP/1.1");
    assert_eq!(connection.body, "{}");
    assert_eq!(connection.headers["content-type"], "application/json");
    assert_eq!(
        Some(connection.headers["host"].as_str()),
        url.strip_prefix("http://")
    );
}

#[test]
fn streams_lose_their_prefix_and_are_not_held_back() {
    let gateway = Stub::start();
    let frontend = start(NOBODY, &gateway.url);
    let upstream = thread::spawn(move || {
        let mut connection = gateway.next();
        connection.write(STREAM);
        connection
    });
    let mut client = EventSource::open(&frontend, "/sse/stream/1?request_id=2");
    let mut connection = upstream.join().expect("the upstream was asked");
    assert_eq!(client.status, 200);
    assert_eq!(
        connection.request_line,
        "GET /stream/1?request_id=2 HTTP/1.1"
    );
    for number in 0..3 {
        // Only sent once the one before has arrived.
        connection.write(&format!("event: count\ndata: {number}\n\n"));
        assert_eq!(client.frame(), format!("event: count|data: {number}"));
    }
    drop(connection);
    assert_eq!(client.rest(), "");
}

#[test]
fn a_client_that_leaves_takes_a_quiet_stream_with_it() {
    let gateway = Stub::start();
    let frontend = start(NOBODY, &gateway.url);
    let upstream = thread::spawn(move || {
        let mut connection = gateway.next();
        connection.write(STREAM);
        connection
    });
    let client = EventSource::open(&frontend, "/sse/stream");
    let connection = upstream.join().expect("the upstream was asked");
    drop(client);
    connection.wait_for_close();
}

#[test]
fn a_client_that_leaves_before_the_answer_takes_the_request_with_it() {
    let gateway = Stub::start();
    let frontend = start(NOBODY, &gateway.url);
    let client = EventSource::request(&frontend, "/sse/stream");
    let connection = gateway.next();
    drop(client);
    connection.wait_for_close();
}

#[test]
fn an_unreachable_service_is_named() {
    let frontend = start(NOBODY, NOBODY);
    for (path, name) in [("/api/parts", "backend"), ("/sse/stream", "gateway")] {
        let (status, answer) = frontend.request("GET", path, None);
        assert_eq!(status, 502);
        assert_eq!(answer["upstream"], name);
        let reason = answer["error"].as_str().expect("a reason");
        assert!(reason.starts_with(&format!("{name} at {NOBODY} cannot be reached")));
        frontend.wait_for_line(reason);
    }
}

#[test]
fn the_status_tells_who_answers() {
    let backend = Stub::start();
    let frontend = start(&backend.url, NOBODY);
    let upstream = thread::spawn(move || {
        let mut connection = backend.next();
        connection.write("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
        connection.request_line.clone()
    });
    let (status, answer) = frontend.request("GET", "/status", None);
    let request_line = upstream.join().expect("the upstream was asked");
    assert_eq!(status, 200);
    assert_eq!(request_line, "GET /api/health/readyz HTTP/1.1");
    assert_eq!(answer["backend"]["reachable"], true);
    assert_eq!(answer["backend"]["status"], 503);
    assert!(answer["backend"]["milliseconds"].is_f64());
    assert_eq!(answer["gateway"]["reachable"], false);
    assert_ne!(answer["gateway"]["reason"], Value::Null);
}

#[test]
fn a_stop_ends_open_streams() {
    for signal in ["TERM", "INT"] {
        let gateway = Stub::start();
        let mut frontend = start(NOBODY, &gateway.url);
        let upstream = thread::spawn(move || {
            let mut connection = gateway.next();
            connection.write(STREAM);
            connection
        });
        let client = EventSource::open(&frontend, "/sse/stream");
        let connection = upstream.join().expect("the upstream was asked");
        frontend.signal(signal);
        assert_eq!(client.rest(), "");
        connection.wait_for_close();
        assert_eq!(frontend.wait().code(), Some(0), "SIG{signal}");
    }
}

#[test]
fn the_healthcheck_command_needs_only_the_port() {
    let frontend = start(NOBODY, NOBODY);
    let port = frontend.url.rsplit(':').next().expect("a port").to_owned();
    let healthcheck = || {
        Command::new(BINARY)
            .arg("healthcheck")
            .env_clear()
            .env("PORT", &port)
            .output()
            .expect("the binary starts")
    };
    assert!(healthcheck().status.success());
    drop(frontend);
    assert_eq!(healthcheck().status.code(), Some(1));
}

#[test]
fn settings_that_make_no_sense_are_refused_at_the_start() {
    for (backend, gateway, expected) in [
        (None, Some(NOBODY), "BACKEND_URL"),
        (Some(NOBODY), None, "SSE_GATEWAY_URL"),
        (
            Some("backend:5000"),
            Some(NOBODY),
            "BACKEND_URL=backend:5000",
        ),
    ] {
        let output = Command::new(BINARY)
            .env_clear()
            .envs(backend.map(|url| ("BACKEND_URL", url)))
            .envs(gateway.map(|url| ("SSE_GATEWAY_URL", url)))
            .output()
            .expect("the binary starts");
        assert_eq!(output.status.code(), Some(1));
        let reason = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(reason.contains(expected), "{reason}");
    }
}
