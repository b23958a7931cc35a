//! The way from where things happen to where they are shown.

use std::{sync::Arc, time::Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::{
    logs::LogLine,
    spec::{ServiceName, WorkerId},
};

use super::{Event, EventKind, millis};

/// What a reporter is given.
#[derive(Debug)]
pub enum Report {
    /// Something happened.
    Event(Event),
    /// Somebody wants to know when everything before this has been shown.
    Shown(oneshot::Sender<()>),
}

/// How many log lines may wait for a slow terminal before containers' output is read
/// no further.
const WAITING_LINES: usize = 1_024;

/// Makes a sink, and the streams of events and of log lines that come out of it.
///
/// Events are few and never wait: a blocked terminal must not hold up a teardown.
/// Lines are many and do.
pub fn reports() -> (
    EventSink,
    mpsc::UnboundedReceiver<Report>,
    mpsc::Receiver<LogLine>,
) {
    let (events, event_receiver) = mpsc::unbounded_channel();
    let (lines, line_receiver) = mpsc::channel(WAITING_LINES);
    let sink = EventSink {
        events,
        lines,
        start: Arc::new(Instant::now()),
    };
    (sink, event_receiver, line_receiver)
}

/// Where events and log lines go. Cloned freely; the streams end with the last clone.
#[derive(Debug, Clone)]
pub struct EventSink {
    events: mpsc::UnboundedSender<Report>,
    lines: mpsc::Sender<LogLine>,
    start: Arc<Instant>,
}

impl EventSink {
    /// Reports what concerns the whole session.
    pub fn session(&self, kind: EventKind) {
        self.emit(None, None, kind);
    }

    /// Reports what concerns one service of one worker.
    pub fn service(&self, worker: WorkerId, service: &ServiceName, kind: EventKind) {
        self.emit(Some(worker), Some(service.clone()), kind);
    }

    /// Reports.
    pub fn emit(&self, worker: Option<WorkerId>, service: Option<ServiceName>, kind: EventKind) {
        let elapsed_ms = millis(self.start.elapsed());
        let event = Event {
            at: Timestamp::now(),
            elapsed_ms,
            worker,
            service,
            kind,
        };
        // Nobody listens any more: there is nobody to tell that, either.
        let _ = self.events.send(Report::Event(event));
    }

    /// Waits until everything that was reported so far has been shown: before something
    /// else is written to the same terminal.
    pub async fn shown(&self) {
        let (sender, receiver) = oneshot::channel();
        let _ = self.events.send(Report::Shown(sender));
        let _ = receiver.await;
    }

    /// Shows a line, when the reporter is ready for it.
    pub async fn line(&self, line: LogLine) {
        let _ = self.lines.send(line).await;
    }

    /// Time since the first event.
    pub fn elapsed(&self) -> std::time::Duration {
        self.start.elapsed()
    }
}
