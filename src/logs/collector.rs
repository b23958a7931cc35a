//! Reads the output of all containers of a session, at the speed at which it is
//! written, into files, and passes on what is to be shown.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::StreamExt;
use jiff::Timestamp;
use regex::bytes::Regex;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    engine::{OutputFrame, OutputStream, StdStream},
    event::{EventKind, EventSink},
    plan::Replica,
    spec::{ServiceName, WorkerId},
};

use super::{Assembler, Chunk, LogLine, LogPaths, Source, store::LogFile};

/// How many of a service's last lines are remembered: for errors, and for the moment
/// when its log is first shown.
const REMEMBERED_LINES: usize = 100;

/// How much of a line is remembered, in bytes.
const REMEMBERED_BYTES: usize = 2 << 10;

/// The logs of a session.
#[derive(Debug)]
pub struct Collector {
    paths: LogPaths,
    sink: EventSink,
    targets: Mutex<BTreeMap<Replica, Arc<Target>>>,
    tasks: Mutex<JoinSet<()>>,
    shown_from_start: Mutex<Wanted>,
}

/// Picks services.
struct Wanted(Box<dyn Fn(&Replica) -> bool + Send + Sync>);

impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wanted(…)")
    }
}

impl Collector {
    /// A collector that writes under `paths` and shows lines by `sink`.
    pub fn new(paths: LogPaths, sink: EventSink) -> Self {
        Self {
            paths,
            sink,
            targets: Mutex::default(),
            tasks: Mutex::default(),
            shown_from_start: Mutex::new(Wanted(Box::new(|_| false))),
        }
    }

    /// The log of a service, opened at the first call.
    pub fn target(&self, replica: &Replica) -> Arc<Target> {
        let mut targets = lock(&self.targets);
        let target = targets.entry(replica.clone()).or_insert_with(|| {
            let target = Target::open(&self.paths, &self.sink, replica);
            target.state().shown = lock(&self.shown_from_start).0(replica);
            Arc::new(target)
        });
        Arc::clone(target)
    }

    /// Whether the output of a service is being read, or was.
    pub fn follows(&self, replica: &Replica) -> bool {
        lock(&self.targets)
            .get(replica)
            .is_some_and(|target| target.state().followed)
    }

    /// Reads `output` to its end, in the background.
    pub fn follow(&self, replica: &Replica, output: OutputStream) {
        let target = self.target(replica);
        target.state().followed = true;
        target.finished.send_replace(false);
        let sink = self.sink.clone();
        lock(&self.tasks).spawn(async move { target.read(output, &sink).await });
    }

    /// Shows, from their first line on, the services that `wanted` picks among those
    /// that are yet to be opened.
    pub fn show_from_start(&self, wanted: impl Fn(&Replica) -> bool + Send + Sync + 'static) {
        *lock(&self.shown_from_start) = Wanted(Box::new(wanted));
    }

    /// Starts to show the lines of services that `wanted` picks, beginning with those
    /// that are remembered.
    pub async fn show(&self, wanted: impl Fn(&Replica) -> bool) {
        let mut remembered = Vec::new();
        for (replica, target) in lock(&self.targets).iter() {
            if wanted(replica) {
                remembered.extend(target.start_showing());
            }
        }
        remembered.sort_by_key(|line| line.at);
        for line in remembered {
            self.sink.line(line).await;
        }
    }

    /// Waits until the output of every container has been read to its end.
    pub async fn finish(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        while tasks.join_next().await.is_some() {}
        for target in lock(&self.targets).values() {
            target.state().flush();
            target.report_loss();
        }
    }
}

/// The log of one container.
#[derive(Debug)]
pub struct Target {
    worker: WorkerId,
    service: ServiceName,
    sink: EventSink,
    state: Mutex<State>,
    /// Whether the output has been read to its end.
    finished: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    /// None once it could not be written: a full disk must not stop the stack.
    file: Option<LogFile>,
    remembered: VecDeque<LogLine>,
    followed: bool,
    shown: bool,
    patterns: Vec<(Regex, watch::Sender<bool>)>,
    failure: Option<std::io::Error>,
    lost: u64,
}

impl Target {
    fn open(paths: &LogPaths, sink: &EventSink, replica: &Replica) -> Self {
        let service = match replica.number {
            1 => replica.service.clone(),
            number => format!("{}-{number}", replica.service)
                .parse()
                .expect("a legal name with a number"),
        };
        let (file, failure) = match LogFile::open(paths, replica.worker, &service) {
            Ok(file) => (Some(file), None),
            Err(error) => (None, Some(error)),
        };
        let state = State {
            file,
            remembered: VecDeque::new(),
            followed: false,
            shown: false,
            patterns: Vec::new(),
            failure: None,
            lost: 0,
        };
        let target = Self {
            worker: replica.worker,
            service,
            sink: sink.clone(),
            state: Mutex::new(state),
            finished: watch::Sender::new(false),
        };
        if let Some(error) = failure {
            target.warn(&error);
        }
        target
    }

    /// Writes a line about what happened to the container.
    pub fn meta(&self, text: &str) {
        let line = self.line(
            Source::Meta,
            Timestamp::now(),
            Chunk {
                text: Bytes::copy_from_slice(text.as_bytes()),
                ended: true,
            },
        );
        self.keep(&line);
        self.state().flush();
    }

    /// The last lines that the container wrote, oldest first.
    pub fn last_lines(&self, count: usize) -> Vec<LogLine> {
        let state = self.state();
        let written = state
            .remembered
            .iter()
            .filter(|line| line.source != Source::Meta);
        let skipped = written.clone().count().saturating_sub(count);
        written.skip(skipped).cloned().collect()
    }

    /// Becomes true when a line matches, one that is remembered or one to come.
    pub fn watch_for(&self, pattern: Regex) -> watch::Receiver<bool> {
        let mut state = self.state();
        let matched = state.remembered.iter().any(|line| is_match(&pattern, line));
        let (sender, receiver) = watch::channel(matched);
        if !matched {
            state.patterns.push((pattern, sender));
        }
        receiver
    }

    /// Waits until the output that is being read has come to its end.
    pub async fn finished(&self) {
        // The sender lives as long as this target does.
        let _ = self
            .finished
            .subscribe()
            .wait_for(|finished| *finished)
            .await;
    }

    async fn read(&self, mut output: OutputStream, sink: &EventSink) {
        let mut stdout = Assembler::default();
        let mut stderr = Assembler::default();
        let mut lines = Vec::new();
        loop {
            // Files are brought up to date whenever the container pauses for breath,
            // so that a reader sees whole lines soon and a flood is written in blocks.
            let frame = match futures::poll!(output.next()) {
                std::task::Poll::Ready(frame) => frame,
                std::task::Poll::Pending => {
                    self.state().flush();
                    output.next().await
                }
            };
            let Some(frame) = frame else { break };
            let OutputFrame { stream, at, bytes } = match frame {
                Ok(frame) => frame,
                Err(error) => {
                    self.meta(&format!(
                        "the log stream broke: {}",
                        crate::error::chain(&error)
                    ));
                    break;
                }
            };
            let at = at.unwrap_or_else(Timestamp::now);
            let assembler = match stream {
                StdStream::Stdout => &mut stdout,
                StdStream::Stderr => &mut stderr,
            };
            assembler.push(bytes, |chunk| {
                lines.push(self.line(stream.into(), at, chunk));
            });
            self.pass_on(&mut lines, sink).await;
        }
        for (stream, mut assembler) in [(StdStream::Stdout, stdout), (StdStream::Stderr, stderr)] {
            let rest = assembler.finish();
            lines.extend(rest.map(|chunk| self.line(stream.into(), Timestamp::now(), chunk)));
        }
        self.pass_on(&mut lines, sink).await;
        self.state().flush();
        self.finished.send_replace(true);
    }

    async fn pass_on(&self, lines: &mut Vec<LogLine>, sink: &EventSink) {
        for line in lines.drain(..) {
            if self.keep(&line) {
                sink.line(line).await;
            }
        }
    }

    fn line(&self, source: Source, at: Timestamp, Chunk { text, ended }: Chunk) -> LogLine {
        LogLine {
            worker: self.worker,
            service: self.service.clone(),
            source,
            at,
            text,
            ended,
        }
    }

    /// Writes a line down; tells whether it is to be shown as well.
    fn keep(&self, line: &LogLine) -> bool {
        let mut state = self.state();
        let had_failed = state.file.is_none();
        state.write(line);
        state.remember(line);
        state.patterns.retain(|(pattern, found)| {
            let matches = is_match(pattern, line);
            if matches {
                found.send_replace(true);
            }
            !matches
        });
        let shown = state.shown;
        let failure = state.failure.take().filter(|_| !had_failed);
        drop(state);
        if let Some(error) = failure {
            self.warn(&error);
        }
        shown
    }

    fn start_showing(&self) -> Vec<LogLine> {
        let mut state = self.state();
        if std::mem::replace(&mut state.shown, true) {
            return Vec::new();
        }
        state.remembered.iter().cloned().collect()
    }

    fn warn(&self, error: &std::io::Error) {
        let message = format!(
            "the log of {}/{} is not written: {error}",
            self.worker, self.service
        );
        self.sink
            .service(self.worker, &self.service, EventKind::Warning { message });
    }

    fn report_loss(&self) {
        let lost = std::mem::take(&mut self.state().lost);
        if lost > 0 {
            let message = format!(
                "{lost} lines of the log of {}/{} are lost",
                self.worker, self.service
            );
            self.sink
                .service(self.worker, &self.service, EventKind::Warning { message });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn write(&mut self, line: &LogLine) {
        match self.file.as_mut().map(|file| file.write(line)) {
            Some(Ok(())) => {}
            Some(Err(error)) => self.give_up(error),
            None => self.lost += 1,
        }
    }

    fn flush(&mut self) {
        if let Some(Err(error)) = self.file.as_mut().map(LogFile::flush) {
            self.give_up(error);
        }
    }

    fn give_up(&mut self, error: std::io::Error) {
        self.file = None;
        self.failure = Some(error);
        self.lost += 1;
    }

    fn remember(&mut self, line: &LogLine) {
        if self.remembered.len() == REMEMBERED_LINES {
            self.remembered.pop_front();
        }
        // A copy, even of a short line: a slice would keep its whole frame in memory.
        let length = line.text.len().min(REMEMBERED_BYTES);
        let text = Bytes::copy_from_slice(&line.text[..length]);
        self.remembered.push_back(LogLine {
            text,
            ..line.clone()
        });
    }
}

/// A panic elsewhere is reported elsewhere; the logs are still worth having.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
/// What stackrun itself has to say about a container is none of its output.
fn is_match(pattern: &Regex, line: &LogLine) -> bool {
    line.source != Source::Meta && pattern.is_match(&line.text)
}
