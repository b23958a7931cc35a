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

/// A client of an event stream, closed when dropped.
pub struct EventSource {
    pub status: u16,
    lines: BufReader<TcpStream>,
}

impl EventSource {
    /// Requests `path` and reads the head of the answer.
    pub fn open(service: &Service, path: &str) -> Self {
        let mut source = Self::request(service, path);
        let status = source.line();
        source.status = status
            .split_whitespace()
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status line");
        while !source.line().is_empty() {}
        source
    }

    /// Requests `path` and leaves the answer unread.
    pub fn request(service: &Service, path: &str) -> Self {
        let address = service.url.strip_prefix("http://").expect("a plain URL");
        let mut stream = TcpStream::connect(address).expect("the service listens");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a time-out can be set");
        // HTTP/1.0 is answered without chunks: the body is the raw stream.
        let head = format!("GET {path} HTTP/1.0\r\nX-Test: one\r\nX-Test: two\r\n\r\n");
        stream
            .write_all(head.as_bytes())
            .expect("it reads requests");
        Self {
            status: 0,
            lines: BufReader::new(stream),
        }
    }

    /// Reads a frame, its lines joined by `|`.
    pub fn frame(&mut self) -> String {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return lines.join("|");
            }
            lines.push(line);
        }
    }

    /// Reads to the end that the server makes.
    pub fn rest(mut self) -> String {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("a clean end");
        rest
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line comes");
        assert!(line.ends_with('\n'), "the stream ended after {line:?}");
        line.trim_end_matches(['\r', '\n']).to_owned()
    }
}

/// A server that notes what it is asked.
pub struct Stub {
    pub url: String,
    requests: Receiver<Value>,
}

impl Stub {
    /// Answers with the status that `respond` makes of a request's body.
    pub fn start(mut respond: impl FnMut(&Value) -> u16 + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(body) = read_request(&stream) else {
                    continue;
                };
                // Noted before it is answered: whoever sees the effect of the
                // answer finds the request here.
                if sender.send(body.clone()).is_err() {
                    break;
                }
                let status = respond(&body);
                let head = format!("HTTP/1.1 {status} Stub\r\nContent-Length: 0\r\n");
                let _ = (&stream).write_all(format!("{head}Connection: close\r\n\r\n").as_bytes());
            }
        });
        Self { url, requests }
    }

    /// Waits for the body of the next request.
    pub fn next(&self) -> Value {
        self.requests
            .recv_timeout(DEADLINE)
            .expect("a request comes in")
    }
}

/// Reads one request and returns its body; `None` if the peer only connected.
fn read_request(stream: &TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(("content-length", value)) = line.to_lowercase().trim_end().split_once(": ") {
            length = value.parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).unwrap_or_default())
}
