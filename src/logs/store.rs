//! The log files of a session.
//!
//! ```text
//! .stackrun/<session>/logs/worker-0/backend.log     [worker-0 backend][stdout] text
//! .stackrun/<session>/logs/worker-0/backend.jsonl   {"at":"…","source":"stdout","text":"…"}
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;

use crate::spec::{ServiceName, WorkerId};

use super::{LogLine, Source};

/// Where the log files of a session are.
#[derive(Debug, Clone)]
pub struct LogPaths {
    directory: PathBuf,
}

impl LogPaths {
    /// Log files under `directory`, which need not exist yet.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// The lines as people read them.
    pub fn text(&self, worker: WorkerId, service: &str) -> PathBuf {
        self.file(worker, service, "log")
    }

    /// The lines as programs read them: a JSON object a line.
    pub fn json(&self, worker: WorkerId, service: &str) -> PathBuf {
        self.file(worker, service, "jsonl")
    }

    fn file(&self, worker: WorkerId, service: &str, extension: &str) -> PathBuf {
        self.directory
            .join(format!("worker-{}", worker.0))
            .join(format!("{service}.{extension}"))
    }
}

/// A service's log and its machine-readable twin, open for appending.
#[derive(Debug)]
pub(super) struct LogFile {
    text: BufWriter<File>,
    json: BufWriter<File>,
    prefix: String,
}

/// What a line of the machine-readable log holds.
#[derive(Serialize)]
struct Record<'a> {
    at: jiff::Timestamp,
    source: Source,
    text: std::borrow::Cow<'a, str>,
    /// The exact bytes, where they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// Only there, and false, where no line feed followed.
    #[serde(skip_serializing_if = "is_true")]
    ended: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_true(value: &bool) -> bool {
    *value
}

impl LogFile {
    pub(super) fn open(
        paths: &LogPaths,
        worker: WorkerId,
        service: &ServiceName,
    ) -> io::Result<Self> {
        Ok(Self {
            text: open(&paths.text(worker, service.as_str()))?,
            json: open(&paths.json(worker, service.as_str()))?,
            prefix: format!("[worker-{} {service}]", worker.0),
        })
    }

    pub(super) fn write(&mut self, line: &LogLine) -> io::Result<()> {
        write!(self.text, "{}[{}] ", self.prefix, line.source)?;
        self.text.write_all(&line.text)?;
        self.text.write_all(b"\n")?;
        let text = String::from_utf8_lossy(&line.text);
        let is_exact = matches!(text, std::borrow::Cow::Borrowed(_));
        let base64 = (!is_exact).then(|| BASE64_STANDARD.encode(&line.text));
        let record = Record {
            at: line.at,
            source: line.source,
            text,
            base64,
            ended: line.ended,
        };
        serde_json::to_writer(&mut self.json, &record)?;
        self.json.write_all(b"\n")
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.text.flush()?;
        self.json.flush()
    }
}

fn open(path: &Path) -> io::Result<BufWriter<File>> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    // Logs may hold what a service was told in confidence.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok(BufWriter::with_capacity(64 << 10, options.open(path)?))
}
