//! Shows and records what happens: consumers of the event stream, which know nothing of
//! engines.

mod line;
mod plain;

use std::{
    fs::File,
    io::{self, Write as _},
    path::PathBuf,
};

use tokio::sync::mpsc::{Receiver, UnboundedReceiver};

use crate::{event::Event, logs::LogLine};

pub use line::{LineFormat, plain_text};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A live tree, for terminals.
    Tree,
    /// A line for each thing that happens.
    Plain,
    /// Nothing.
    Quiet,
}

/// What is shown, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How progress is shown.
    pub mode: Mode,
    /// Colour log lines, which go to standard output.
    pub color_stdout: bool,
    /// Colour progress, which goes to standard error.
    pub color_stderr: bool,
    /// Write every event to this file, a JSON object a line.
    pub events_file: Option<PathBuf>,
    /// 0 for what matters, 1 for every step.
    pub verbosity: u8,
}

/// Shows and records a session.
#[derive(Debug)]
pub struct Reporter {
    settings: Settings,
    file: Option<File>,
    events: Vec<Event>,
}

/// Everything that happened.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// In time.
    pub events: Vec<Event>,
}

impl Reporter {
    /// Opens the event file, if there is to be one.
    pub fn new(settings: Settings) -> io::Result<Self> {
        let file = settings
            .events_file
            .as_ref()
            .map(File::create)
            .transpose()?;
        Ok(Self {
            settings,
            file,
            events: Vec::new(),
        })
    }

    /// Reports until both streams have ended.
    pub async fn run(
        mut self,
        mut events: UnboundedReceiver<Event>,
        mut lines: Receiver<LogLine>,
    ) -> Recording {
        let format = LineFormat {
            color: self.settings.color_stdout,
            timestamps: false,
            width: 0,
        };
        loop {
            tokio::select! {
                biased;
                Some(event) = events.recv() => self.event(event),
                Some(line) = lines.recv() => {
                    let _ = io::stdout().write_all(format.text(&line).as_bytes());
                }
                else => break,
            }
        }
        Recording {
            events: self.events,
        }
    }

    fn event(&mut self, event: Event) {
        if let Some(file) = &mut self.file {
            let _ = serde_json::to_writer(&mut *file, &event).map(|()| file.write_all(b"\n"));
        }
        if self.settings.mode != Mode::Quiet
            && let Some(text) = plain::line(&event, self.settings.verbosity)
        {
            let _ = writeln!(io::stderr(), "{text}");
        }
        self.events.push(event);
    }
}
