//! Shows and records what happens: consumers of the event stream, which know nothing of
//! engines.

mod line;
mod plain;
mod state;
mod terminal;
mod timings;
mod tree;

use std::{
    fs::File,
    io::{self, Write as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::{Receiver, UnboundedReceiver};

use crate::{
    event::{Event, EventKind, Report, millis},
    logs::LogLine,
};

pub use line::{LineFormat, plain_text};
pub use timings::{ServiceTiming, Timings};

use state::State;
use terminal::Terminal;

/// How often the live tree is drawn anew while something is under way.
const FRAME: Duration = Duration::from_millis(80);

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
    state: State,
    terminal: Terminal,
    /// Whether the tree is being drawn.
    is_live: bool,
    /// The clock of the events, for the time in between.
    now: (f64, Instant),
}

/// Everything that happened.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// In time.
    pub events: Vec<Event>,
}

impl Recording {
    /// Where the time went.
    pub fn timings(&self) -> Timings {
        timings::timings(&self.events)
    }
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
            state: State::default(),
            terminal: Terminal::default(),
            is_live: false,
            now: (0.0, Instant::now()),
        })
    }

    /// Reports until both streams have ended.
    pub async fn run(
        mut self,
        mut events: UnboundedReceiver<Report>,
        mut lines: Receiver<LogLine>,
    ) -> Recording {
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let (mut more_events, mut more_lines) = (true, true);
        while more_events || more_lines {
            tokio::select! {
                biased;
                event = events.recv(), if more_events => match event {
                    Some(Report::Event(event)) => self.event(event),
                    Some(Report::Shown(asked)) => drop(asked.send(())),
                    None => more_events = false,
                },
                line = lines.recv(), if more_lines => match line {
                    Some(line) => self.line(&line),
                    None => more_lines = false,
                },
                _ = frames.tick(), if self.is_live => self.draw(),
            }
        }
        self.settle();
        Recording {
            events: self.events,
        }
    }

    fn event(&mut self, event: Event) {
        self.now = (event.elapsed_ms, Instant::now());
        self.record(&event);
        self.state.apply(&event);
        match self.settings.mode {
            Mode::Quiet => {}
            Mode::Plain => self.say(&event),
            Mode::Tree => self.tree(&event),
        }
        self.events.push(event);
    }

    /// The tree is live while something is on its way up or down, and stays where it is
    /// when that is done.
    fn tree(&mut self, event: &Event) {
        match event.kind {
            EventKind::SessionStarted { .. } | EventKind::TeardownStarted { .. } => {
                self.say(event);
                self.is_live = true;
            }
            EventKind::SessionReady { .. } | EventKind::TeardownFinished { .. } => {
                self.settle();
                self.say(event);
            }
            EventKind::Warning { .. } | EventKind::CommandFinished { .. } => self.say(event),
            _ if !self.is_live => self.say(event),
            _ => {}
        }
    }

    fn say(&mut self, event: &Event) {
        if let Some(text) = plain::line(event, self.settings.verbosity) {
            self.terminal.erase();
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    fn line(&mut self, line: &LogLine) {
        self.terminal.erase();
        let width = self.state.workers.values().flat_map(|rows| rows.keys());
        let format = LineFormat {
            color: self.settings.color_stdout,
            timestamps: false,
            width: width.map(|name| name.as_str().len()).max().unwrap_or(0),
        };
        // A reader that has gone away has seen enough; the lines are drained all the
        // same, or the containers would stand still.
        let _ = io::stdout().write_all(format.text(line).as_bytes());
    }

    fn draw(&mut self) {
        let (at, then) = self.now;
        let now_ms = at + millis(then.elapsed());
        self.terminal
            .draw(&self.state, self.settings.color_stderr, now_ms);
    }

    fn settle(&mut self) {
        if std::mem::take(&mut self.is_live) {
            self.draw();
            self.terminal.keep();
        }
    }

    /// A recording that fails never fails what it records.
    fn record(&mut self, event: &Event) {
        let Some(file) = &mut self.file else { return };
        let mut line = serde_json::to_vec(event).expect("an event becomes JSON");
        line.push(b'\n');
        if let Err(error) = file.write_all(&line) {
            self.file = None;
            self.terminal.erase();
            let _ = writeln!(
                io::stderr(),
                "warning: events are not recorded any more: {error}"
            );
        }
    }
}
