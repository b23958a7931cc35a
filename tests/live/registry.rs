//! A registry that has one image, and keeps count of who asks for what.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{FIXTURE, client};

/// What it asks of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// Nothing.
    Open,
    /// A name and a password.
    Login(&'static str),
    /// Patience: layers never come.
    Silent,
}

/// A registry on this host. It listens until the test process ends.
pub struct Registry {
    /// The image, by the name under which it is pulled.
    pub image: String,
    requests: Arc<Mutex<Vec<String>>>,
}

struct Content {
    manners: Manners,
    /// By path below `/v2/`: media type and bytes.
    files: HashMap<String, (&'static str, Vec<u8>)>,
}

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

impl Registry {
    /// Serves the fixture, as an image that no other test has.
    pub fn serve(name: &str, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let image = format!("{}/{name}:1", listener.local_addr().unwrap());
        let content = Arc::new(Content {
            manners,
            files: files(name),
        });
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (content, log) = (Arc::clone(&content), Arc::clone(&log));
                std::thread::spawn(move || serve(&stream, &content, &log));
            }
        });
        Self { image, requests }
    }

    /// How often the manifest or the layers were fetched.
    pub fn count(&self, what: &str) -> usize {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|line| line.contains(what)).count()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = client().args(["image", "rm", "-f", &self.image]).output();
    }
}

/// Answers requests on one connection. A client that goes away is no failure.
fn serve(stream: &TcpStream, content: &Content, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut head, mut login) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some(basic) = line.strip_prefix("Authorization: Basic ") {
                basic.trim().clone_into(&mut login);
            }
            if head.is_empty() {
                line.trim().clone_into(&mut head);
            }
        }
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        log.lock().unwrap().push(format!("{method} {path}"));
        if content.manners == Manners::Silent && path.contains("/blobs/") {
            let _ = (&mut &*stream).read(&mut [0; 1]);
            return;
        }
        if answer(stream, content, (method, path), &login).is_err() {
            return;
        }
    }
}

fn answer(
    mut stream: &TcpStream,
    content: &Content,
    (method, path): (&str, &str),
    login: &str,
) -> std::io::Result<()> {
    if matches!(content.manners, Manners::Login(wanted) if wanted != login) {
        return stream.write_all(
            b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"test\"\r\n\
              Content-Length: 0\r\n\r\n",
        );
    }
    let empty = ("application/json", Vec::new());
    let found = match path {
        "/v2/" => Some(&empty),
        path => content.files.get(path.trim_start_matches("/v2/")),
    };
    let Some((kind, bytes)) = found else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nDocker-Content-Digest: {}\r\n\
         Content-Length: {}\r\n\r\n",
        digest(bytes),
        bytes.len()
    )?;
    if method == "HEAD" {
        return Ok(());
    }
    stream.write_all(bytes)
}

/// The fixture's files as a registry has them. A label makes it an image of its own.
fn files(name: &str) -> HashMap<String, (&'static str, Vec<u8>)> {
    let saved = client().args(["save", FIXTURE]).output().unwrap();
    let mut parts: HashMap<String, Vec<u8>> = HashMap::new();
    let mut archive = tar::Archive::new(&saved.stdout[..]);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        parts.insert(path, bytes);
    }
    let index: Value = serde_json::from_slice(&parts["manifest.json"]).unwrap();
    let mut config: Value =
        serde_json::from_slice(&parts[index[0]["Config"].as_str().unwrap()]).unwrap();
    config["config"]["Labels"] = json!({ "test": name });
    let config = serde_json::to_vec(&config).unwrap();
    let layers = index[0]["Layers"].as_array().unwrap().iter();
    let layers: Vec<&Vec<u8>> = layers.map(|it| &parts[it.as_str().unwrap()]).collect();
    let described = |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "size": bytes.len(), "digest": digest(bytes) });
    let tar = "application/vnd.docker.image.rootfs.diff.tar";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described("application/vnd.docker.container.image.v1+json", &config),
        "layers": layers.iter().map(|layer| described(tar, layer)).collect::<Vec<_>>(),
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let blob = |bytes: &Vec<u8>| {
        let path = format!("{name}/blobs/{}", digest(bytes));
        (path, ("application/octet-stream", bytes.clone()))
    };
    let mut files: HashMap<_, _> = layers.into_iter().map(blob).collect();
    files.extend([blob(&config)]);
    for reference in ["1", &digest(&manifest)] {
        let path = format!("{name}/manifests/{reference}");
        files.insert(path, (MANIFEST, manifest.clone()));
    }
    files
}

fn digest(bytes: &[u8]) -> String {
    let hex = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    format!("sha256:{hex}")
}
