//! A session at work, with its reporter and its signals.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::task::JoinHandle;

use crate::{
    engine::Engine,
    event::{EventSink, reports},
    report::{Recording, Reporter, Settings},
    session::Session,
    spec::SessionName,
};

use super::{context::Context, failure::Failure, print, signals::Signals};

/// A session at work, with its reporter and its signals.
pub(super) struct Attended {
    pub(super) session: Session,
    pub(super) signals: Signals,
    pub(super) sink: EventSink,
    reporter: JoinHandle<Recording>,
}

impl Attended {
    /// Begins to report. `events` is a file for every event.
    pub(super) async fn open(
        context: &Context,
        engine: Arc<dyn Engine>,
        signals: Signals,
        (name, directory): (SessionName, &Path),
        events: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let settings = Settings {
            mode: context.report_mode(),
            color_stdout: context.color_stdout(),
            color_stderr: context.color_stderr(),
            events_file: events,
            verbosity: context.verbose,
        };
        let reporter = Reporter::new(settings).map_err(|error| {
            Failure::usage(format!("the file of `--events` cannot be written: {error}"))
        })?;
        let (sink, events, lines) = reports();
        let reporter = tokio::spawn(reporter.run(events, lines));
        let shutdown = signals.shutdown.clone();
        let session = Session::open(engine, name, directory, sink.clone(), shutdown)
            .await
            .map_err(|error| Failure::engine(&error))?;
        Ok(Self {
            session,
            signals,
            sink,
            reporter,
        })
    }

    /// Ends the report, and shows where the time went if that is wanted.
    pub(super) async fn finish(self, timings: bool) {
        let Self {
            session,
            sink,
            reporter,
            signals,
        } = self;
        drop((session, sink, signals));
        if let (Ok(recording), true) = (reporter.await, timings) {
            print(&recording.timings().to_string());
        }
    }
}
