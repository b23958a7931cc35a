//! The live picture of a session: as much as fits.
//!
//! A line a service; where that is too much, a line a worker; where that is too much
//! as well, a line a phase.

use std::{collections::BTreeMap, time::Duration};

use unicode_width::UnicodeWidthChar as _;

use crate::{
    spec::{ServiceName, WorkerId},
    text,
};

use super::{
    line::plain_text,
    state::{Phase, Progress, Row, State},
};

/// What is drawn on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Canvas {
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) color: bool,
    /// Milliseconds since the first event.
    pub(super) now_ms: f64,
}

const SPINNER: [char; 8] = ['⣾', '⣽', '⣻', '⢿', '⡿', '⣟', '⣯', '⣷'];

/// How long one picture of the spinner stays.
const SPINNER_MS: f64 = 100.0;

/// Draws the session. No line is wider than the canvas, and there are fewer lines than
/// rows.
pub(super) fn render(state: &State, canvas: Canvas) -> Vec<String> {
    let room = canvas.rows.saturating_sub(2);
    let services = state.rows().count();
    let mut lines: Vec<Line> = images(state);
    if lines.len() + services <= room {
        lines.extend(by_service(state, canvas));
    } else if lines.len() + state.workers.len() <= room {
        lines.extend(by_worker(state, canvas));
    } else {
        lines.extend(by_phase(state, canvas));
    }
    lines.truncate(room);
    lines.iter().map(|line| line.fit(canvas)).collect()
}

/// Pieces of text with the colour of each.
#[derive(Default)]
struct Line(Vec<(Option<&'static str>, String)>);

impl Line {
    fn plain(mut self, text: impl Into<String>) -> Self {
        self.0.push((None, text.into()));
        self
    }

    fn colored(mut self, color: &'static str, text: impl Into<String>) -> Self {
        self.0.push((Some(color), text.into()));
        self
    }

    fn fit(&self, canvas: Canvas) -> String {
        let mut room = canvas.columns.saturating_sub(1);
        let mut shown = String::new();
        for (color, text) in &self.0 {
            let piece = fitting(text, &mut room);
            match color {
                Some(color) if canvas.color => {
                    shown.push_str(&format!("\x1b[{color}m{piece}\x1b[0m"));
                }
                _ => shown.push_str(&piece),
            }
        }
        shown
    }
}

/// As much of a text as there is room for, in columns of a terminal: a line that wraps
/// would be two lines to draw over.
fn fitting(text: &str, room: &mut usize) -> String {
    let mut piece = String::new();
    for c in text.chars().map(|c| if c == '\t' { ' ' } else { c }) {
        let width = c.width().unwrap_or(0);
        if width > *room {
            *room = 0;
            break;
        }
        *room -= width;
        piece.push(c);
    }
    piece
}

fn images(state: &State) -> Vec<Line> {
    let image = |(image, progress): (&String, &Progress)| {
        let Progress {
            action,
            status,
            done,
            total,
        } = progress;
        let words = plain_text(status.lines().next().unwrap_or_default().as_bytes());
        let how_far = match total {
            0 => words,
            total => format!("{} of {}", text::bytes(*done), text::bytes(*total)),
        };
        Line::default().plain(format!("{action} {image}  {how_far}"))
    };
    state.images.iter().map(image).collect()
}

fn by_service(state: &State, canvas: Canvas) -> Vec<Line> {
    let names = state.workers.values().flat_map(|rows| rows.keys());
    let width = names.map(|name| name.as_str().len()).max().unwrap_or(0);
    let each = state.workers.iter().flat_map(|(worker, rows)| {
        rows.iter()
            .map(move |(service, row)| (*worker, service, row))
    });
    each.map(|(worker, service, row)| service_line(worker, service, row, width, canvas))
        .collect()
}

fn service_line(
    worker: WorkerId,
    service: &ServiceName,
    row: &Row,
    width: usize,
    canvas: Canvas,
) -> Line {
    let time = row
        .took_ms
        .or((!row.phase.is_settled()).then_some(canvas.now_ms - row.since_ms));
    let time = time.map(duration).unwrap_or_default();
    Line::default()
        .colored(color(row.phase), symbol(row.phase, canvas))
        .plain(format!(
            " {worker:<3} {:<width$}  {:<11} ",
            service.as_str(),
            row.phase.word()
        ))
        .plain(format!("{time:>9}  "))
        .colored("2", plain_text(row.detail.as_bytes()))
}

fn by_worker(state: &State, canvas: Canvas) -> Vec<Line> {
    let worker_line = |(worker, rows): (&WorkerId, &indexmap::IndexMap<ServiceName, Row>)| {
        let start = Line::default().plain(format!("{worker:<4}"));
        rows.iter().fold(start, |line, (service, row)| {
            line.plain("  ")
                .colored(color(row.phase), symbol(row.phase, canvas))
                .plain(format!(" {service}"))
        })
    };
    state.workers.iter().map(worker_line).collect()
}

fn by_phase(state: &State, canvas: Canvas) -> Vec<Line> {
    let mut phases: BTreeMap<Phase, usize> = BTreeMap::new();
    for row in state.rows() {
        *phases.entry(row.phase).or_default() += 1;
    }
    let all = state.rows().count();
    let phase_line = |(phase, count): (Phase, usize)| {
        Line::default()
            .colored(color(phase), symbol(phase, canvas))
            .plain(format!(
                " {:<11} {count:>5} of {}",
                phase.word(),
                text::count(all, "service")
            ))
    };
    phases.into_iter().map(phase_line).collect()
}

fn symbol(phase: Phase, canvas: Canvas) -> String {
    match phase {
        Phase::Waiting | Phase::Created | Phase::Skipped | Phase::Removed => '·',
        Phase::Ready | Phase::Completed | Phase::Stopped => '✓',
        Phase::Failed | Phase::Exited => '✗',
        Phase::Creating | Phase::Starting | Phase::Started | Phase::Stopping => spinner(canvas),
    }
    .to_string()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a session's milliseconds fit, and are not negative"
)]
fn spinner(canvas: Canvas) -> char {
    SPINNER[(canvas.now_ms / SPINNER_MS) as usize % SPINNER.len()]
}

/// SGR parameters: green for what is well, red for what is not, yellow for what is
/// under way. The symbols say the same without colour.
fn color(phase: Phase) -> &'static str {
    match phase {
        Phase::Ready | Phase::Completed => "32",
        Phase::Failed | Phase::Exited => "31",
        Phase::Creating | Phase::Starting | Phase::Started | Phase::Stopping => "33",
        Phase::Waiting | Phase::Created | Phase::Skipped | Phase::Stopped | Phase::Removed => "2",
    }
}

fn duration(millis: f64) -> String {
    text::duration(Duration::from_secs_f64(millis.max(0.0) / 1_000.0))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::{
        event::{Event, EventKind, ServiceSummary},
        spec::SessionName,
    };

    fn event(at: f64, place: Option<(u32, &str)>, kind: EventKind) -> Event {
        Event {
            at: jiff::Timestamp::UNIX_EPOCH,
            elapsed_ms: at,
            worker: place.map(|(worker, _)| WorkerId(worker)),
            service: place.map(|(_, service)| service.parse().unwrap()),
            kind,
        }
    }

    fn session(workers: u32) -> State {
        let names = ["backend", "gateway", "frontend"];
        let services = names.map(|name| ServiceSummary {
            name: name.parse().unwrap(),
            depends_on: Vec::new(),
        });
        let session: SessionName = "parts".parse().unwrap();
        let mut state = State::default();
        let services = services.to_vec();
        let kind = EventKind::SessionStarted {
            schema: 1,
            session,
            workers,
            services,
        };
        state.apply(&event(0.0, None, kind));
        let probe = "GET :5000/".to_owned();
        let ready = EventKind::Ready {
            probe,
            after_ms: 35.0,
        };
        state.apply(&event(400.0, Some((0, "backend")), ready));
        let started = EventKind::ContainerStarted {
            container: "x".to_owned(),
            ports: Vec::new(),
            took_ms: 200.0,
        };
        state.apply(&event(500.0, Some((0, "gateway")), started));
        let status = "GET /: status 503\x1b[2J\t部品".to_owned();
        let not_ready = EventKind::NotReady {
            probe: String::new(),
            status,
        };
        state.apply(&event(510.0, Some((0, "gateway")), not_ready));
        state
    }

    fn canvas(columns: usize, rows: usize) -> Canvas {
        Canvas {
            columns,
            rows,
            color: false,
            now_ms: 1_500.0,
        }
    }

    #[test]
    fn a_line_a_service_where_there_is_room() {
        assert_snapshot!(render(&session(2), canvas(80, 24)).join("\n"), @r"
        ✓ w0  backend   ready           35 ms  GET :5000/
        ⣷ w0  gateway   started           1 s  GET /: status 503 部品
        · w0  frontend  waiting        1.50 s  
        · w1  backend   waiting        1.50 s  
        · w1  gateway   waiting        1.50 s  
        · w1  frontend  waiting        1.50 s
        ");
    }

    #[test]
    fn a_line_a_worker_where_services_do_not_fit() {
        assert_snapshot!(render(&session(3), canvas(80, 8)).join("\n"), @"
        w0    ✓ backend  ⣷ gateway  · frontend
        w1    · backend  · gateway  · frontend
        w2    · backend  · gateway  · frontend
        ");
    }

    #[test]
    fn a_line_a_phase_where_workers_do_not_fit() {
        assert_snapshot!(render(&session(64), canvas(80, 24)).join("\n"), @"
        · waiting       190 of 192 services
        ⣷ started         1 of 192 services
        ✓ ready           1 of 192 services
        ");
    }

    proptest! {
        #[test]
        fn the_picture_fits(workers in 1_u32..100, columns in 2_usize..200, rows in 1_usize..80) {
            let lines = render(&session(workers), canvas(columns, rows));
            prop_assert!(lines.len() < rows);
            prop_assert!(lines.iter().all(|line| line.width() < columns));
            prop_assert!(lines.iter().all(|line| !line.contains('\x1b')));
        }
    }
}
