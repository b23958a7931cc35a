//! The backend as a process, over HTTP.

mod support;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use support::{Service, Stub};

const BINARY: &str = env!("CARGO_BIN_EXE_backend");

/// A backend with a database of its own.
struct Backend {
    service: Service,
    _directory: TempDir,
}

impl Backend {
    fn start(gateway: Option<&str>) -> Self {
        let directory = TempDir::new().expect("a temporary folder");
        let path = directory.path().join("parts.sqlite");
        let path = path.to_str().expect("a UTF-8 path");
        let mut variables = vec![("DATABASE_PATH", path)];
        variables.extend(gateway.map(|url| ("SSE_GATEWAY_URL", url)));
        Self {
            service: Service::start(BINARY, &variables),
            _directory: directory,
        }
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.service.request("GET", path, None)
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.service.request("POST", path, Some(&body.to_string()))
    }

    fn parts(&self) -> usize {
        let (status, parts) = self.get("/api/parts");
        assert_eq!(status, 200);
        parts.as_array().expect("a list").len()
    }

    fn connect(&self, token: &str, url: &str) -> (u16, Value) {
        let request = json!({ "url": url, "headers": {} });
        let body = json!({ "action": "connect", "token": token, "request": request });
        self.post("/api/sse/callback", &body)
    }
}

fn error(answer: &Value) -> &str {
    answer["error"].as_str().expect("an error as JSON")
}

fn run(command: &str, variables: &[(&str, &str)]) -> Output {
    Command::new(BINARY)
        .arg(command)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("the binary starts")
}

fn seed(path: &Path) -> String {
    let path = path.to_str().expect("a UTF-8 path");
    let output = run("seed", &[("DATABASE_PATH", path)]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn a_part_is_created_shown_and_deleted() {
    let backend = Backend::start(None);
    let before = backend.parts();
    let (status, created) = backend.post("/api/parts", &json!({"name": " Nut ", "quantity": 3}));
    assert_eq!(status, 201);
    assert_eq!(created["name"], "Nut");
    let path = format!("/api/parts/{}", created["id"]);
    assert_eq!(backend.get(&path), (200, created));
    assert_eq!(backend.parts(), before + 1);
    assert_eq!(backend.service.request("DELETE", &path, None).0, 204);
    assert_eq!(backend.service.request("DELETE", &path, None).0, 404);
    assert_eq!(backend.get(&path).0, 404);
}

#[test]
fn whatever_is_refused_is_refused_as_json() {
    let backend = Backend::start(None);
    for (body, status, expected) in [
        (
            r#"{"name":"  ","quantity":1}"#,
            422,
            "name must not be empty",
        ),
        (r#"{"name":"a","quantity":-1}"#, 422, "quantity must be"),
        (r#"{"name":"a"}"#, 422, "missing field `quantity`"),
        (
            r#"{"name":"a","quantity":1,"colour":2}"#,
            422,
            "unknown field",
        ),
        (r#"{"name":"#, 400, "JSON"),
    ] {
        let (code, answer) = backend.service.request("POST", "/api/parts", Some(body));
        assert_eq!(code, status, "{body}");
        assert!(error(&answer).contains(expected), "{body}: {answer}");
    }
    let (status, answer) = backend.get("/api/parts/seven");
    assert_eq!((status, error(&answer).is_empty()), (400, false));
    let (status, answer) = backend.get("/nowhere");
    assert_eq!((status, error(&answer)), (404, "no route /nowhere"));
    let (status, answer) = backend.service.request("PUT", "/api/parts", None);
    assert_eq!(
        (status, error(&answer)),
        (405, "/api/parts does not take PUT")
    );
}

#[test]
fn reset_puts_the_test_data_back() {
    let backend = Backend::start(None);
    let (_, seeded) = backend.get("/api/parts/1");
    let before = backend.parts();
    backend.service.request("DELETE", "/api/parts/1", None);
    backend.post("/api/parts", &json!({"name": "Nut", "quantity": 3}));
    backend.post("/api/parts", &json!({"name": "Nut", "quantity": 3}));
    let (status, answer) = backend.post("/api/testing/reset", &json!({}));
    assert_eq!((status, &answer["parts"]), (200, &json!(before)));
    let (_, again) = backend.get("/api/parts/1");
    assert_eq!(again["name"], seeded["name"]);
    let (_, next) = backend.post("/api/parts", &json!({"name": "Nut", "quantity": 3}));
    assert_eq!(next["id"], json!(before + 1), "ids start anew");
}

#[test]
fn creation_by_ai_reports_to_the_stream_of_its_request() {
    let gateway = Stub::start(200);
    let backend = Backend::start(Some(&gateway.url));
    let before = backend.parts();
    let (status, _) = backend.connect("token-1", "/stream?request_id=request-1");
    assert_eq!(status, 200);
    let request = json!({"description": "4 rubber feet", "request_id": "request-1"});
    let (status, accepted) = backend.post("/api/parts/ai", &request);
    assert_eq!(status, 202);

    let mut percents = Vec::new();
    let (result, close) = loop {
        let sent = gateway.next();
        assert_eq!(sent.target, "/internal/send");
        assert_eq!(sent.body["token"], "token-1");
        let data = sent.body["event"]["data"].as_str().expect("data is text");
        let data: Value = serde_json::from_str(data).expect("which holds JSON");
        assert_eq!(data["task_id"], accepted["task_id"]);
        if sent.body["event"]["name"] != "progress" {
            assert_eq!(sent.body["event"]["name"], "result");
            break (data, sent.body["close"].clone());
        }
        assert_eq!(sent.body["close"], false);
        percents.push(data["percent"].as_i64().expect("a number"));
    };
    assert!(percents.len() > 1 && percents.is_sorted(), "{percents:?}");
    assert_eq!(close, true);
    assert_eq!(result["part"]["name"], "Rubber feet");
    assert_eq!(result["part"]["quantity"], 4);
    assert_eq!(backend.parts(), before + 1);
}

#[test]
fn a_creation_that_fails_says_so_on_the_stream() {
    let gateway = Stub::start(200);
    let backend = Backend::start(Some(&gateway.url));
    let before = backend.parts();
    backend.connect("token-1", "/stream?request_id=request-1");
    let request = json!({"description": "1 2 3", "request_id": "request-1"});
    assert_eq!(backend.post("/api/parts/ai", &request).0, 202);
    let failed = loop {
        let sent = gateway.next();
        if sent.body["event"]["name"] != "progress" {
            break sent;
        }
    };
    assert_eq!(failed.body["event"]["name"], "failed");
    assert_eq!(failed.body["close"], true);
    assert_eq!(backend.parts(), before);
}

#[test]
fn a_gateway_that_refuses_is_reported_and_stops_no_creation() {
    let gateway = Stub::start(404);
    let backend = Backend::start(Some(&gateway.url));
    backend.connect("token-1", "/stream?request_id=request-1");
    let request = json!({"description": "feet", "request_id": "request-1"});
    assert_eq!(backend.post("/api/parts/ai", &request).0, 202);
    let line = backend.service.wait_for_line("`result`");
    assert!(line.contains("/internal/send: 404"), "{line}");
    assert!(line.contains(&gateway.url), "{line}");
}

#[test]
fn creation_by_ai_needs_a_gateway() {
    let backend = Backend::start(None);
    let request = json!({"description": "feet", "request_id": "r"});
    let (status, answer) = backend.post("/api/parts/ai", &request);
    assert_eq!(status, 503);
    assert!(error(&answer).contains("SSE_GATEWAY_URL"), "{answer}");
}

#[test]
fn a_stream_without_a_request_id_is_refused() {
    let backend = Backend::start(None);
    let (status, answer) = backend.connect("token-1", "/stream");
    assert_eq!(status, 400);
    assert!(
        error(&answer).contains("no request_id in /stream"),
        "{answer}"
    );
}

#[test]
fn health_is_answered_to_get_and_head() {
    let backend = Backend::start(None);
    for path in ["/healthz", "/api/health/readyz"] {
        for method in ["GET", "HEAD"] {
            assert_eq!(backend.service.request(method, path, None).0, 200, "{path}");
        }
    }
    backend.service.wait_for_line("HEAD /healthz 200 ");
}

#[test]
fn the_healthcheck_command_tells_ready_from_unreachable() {
    let backend = Backend::start(None);
    let port = backend
        .service
        .url
        .rsplit(':')
        .next()
        .expect("a port")
        .to_owned();
    let healthy = run("healthcheck", &[("PORT", &port)]);
    assert!(healthy.status.success(), "{healthy:?}");
    drop(backend);
    let unhealthy = run("healthcheck", &[("PORT", &port)]);
    assert_eq!(unhealthy.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&unhealthy.stderr).contains("refused"),
        "{unhealthy:?}"
    );
}

#[test]
fn seeding_twice_is_seeding_once() {
    let directory = TempDir::new().expect("a temporary folder");
    let path = directory.path().join("parts.sqlite");
    let first = seed(&path);
    assert_eq!(seed(&path), first);
    let files = directory.path().read_dir().expect("a folder").count();
    assert_eq!(
        files, 1,
        "the database is one file, so that it can be copied"
    );
}

#[test]
fn a_killed_backend_loses_nothing_it_has_answered() {
    let directory = TempDir::new().expect("a temporary folder");
    let path = directory.path().join("parts.sqlite");
    let variables = [("DATABASE_PATH", path.to_str().expect("a UTF-8 path"))];
    let mut service = Service::start(BINARY, &variables);
    let body = r#"{"name":"Nut","quantity":3}"#;
    let (_, created) = service.request("POST", "/api/parts", Some(body));
    service.signal("KILL");
    service.wait();
    let service = Service::start(BINARY, &variables);
    let path = format!("/api/parts/{}", created["id"]);
    assert_eq!(service.request("GET", &path, None), (200, created));
}

#[test]
fn both_signals_stop_it_cleanly() {
    for signal in ["TERM", "INT"] {
        let mut backend = Backend::start(None);
        backend.service.signal(signal);
        assert_eq!(backend.service.wait().code(), Some(0), "SIG{signal}");
    }
}

#[test]
fn an_unknown_command_is_an_error() {
    let output = run("sedd", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("`sedd`"),
        "{output:?}"
    );
}
