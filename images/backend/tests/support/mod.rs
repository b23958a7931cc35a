//! The built binary as a process, and a stand-in for the services it calls.
//!
//! Nothing here sleeps: every wait is for a line or a request, and ends the
//! test if that does not come.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// Far above what anything takes: it ends a test that hangs.
const DEADLINE: Duration = Duration::from_secs(20);

/// A running service on a free port, killed when dropped.
pub struct Service {
    child: Child,
    lines: Receiver<String>,
    pub url: String,
}

impl Service {
    /// Starts the binary at `path` and waits until it listens.
    pub fn start(path: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(path)
            .env_clear()
            .env("PORT", "0")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let (sender, lines) = channel();
        forward(
            child.stdout.take().expect("stdout is piped"),
            sender.clone(),
        );
        forward(child.stderr.take().expect("stderr is piped"), sender);
        let mut service = Self {
            child,
            lines,
            url: String::new(),
        };
        let line = service.wait_for_line("listening on ");
        let port = line.rsplit(':').next().expect("the line ends with a port");
        service.url = format!("http://127.0.0.1:{port}");
        service
    }

    /// Waits for a log line, of stdout or stderr, that contains `text`.
    pub fn wait_for_line(&self, text: &str) -> String {
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            if line.contains(text) {
                return line;
            }
            seen.push(line);
        }
        panic!("no line contains {text:?}, there were only {seen:#?}");
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .expect("`kill` is there");
        assert!(status.success(), "kill -s {name}");
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("the process can be waited for")
    }

    /// Requests `path` and returns the status with the body, JSON or text.
    pub fn request(&self, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .body(body.unwrap_or_default().to_owned())
            .expect("the request is well formed");
        let mut response = agent().run(request).expect("the service answers");
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().expect("a text body");
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(DEADLINE))
        .build()
        .into()
}

fn forward(output: impl Read + Send + 'static, sender: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
}

/// A request that a [`Stub`] has got.
#[derive(Debug)]
pub struct Received {
    pub target: String,
    pub body: Value,
}

/// A server that notes what it is asked and answers every request alike.
pub struct Stub {
    pub url: String,
    requests: Receiver<Received>,
}

impl Stub {
    /// Answers with `status` and an empty object.
    pub fn start(status: u16) -> Self {
        let head = format!("HTTP/1.1 {status} Stub\r\nContent-Type: application/json\r\n");
        let answer = format!("{head}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(received) = read_request(&stream) else {
                    continue;
                };
                // Noted before it is answered: whoever sees the effect of the
                // answer finds the request here.
                if sender.send(received).is_err() {
                    break;
                }
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        Self { url, requests }
    }

    /// Waits for the next request.
    pub fn next(&self) -> Received {
        self.requests
            .recv_timeout(DEADLINE)
            .expect("a request comes in")
    }
}

/// Reads one request; `None` if the peer only connected.
fn read_request(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let target = line.split_whitespace().nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received {
        target,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}
