//! Draws the tree in place, and lets other lines go past above it.

use std::io::{self, Write as _};

use rustix::termios;

use super::{
    state::State,
    tree::{Canvas, render},
};

/// The part of the terminal that is drawn over again and again.
#[derive(Debug, Default)]
pub(super) struct Terminal {
    /// How many lines the last picture had.
    drawn: usize,
}

impl Terminal {
    /// Draws a new picture over the last one.
    pub(super) fn draw(&mut self, state: &State, color: bool, now_ms: f64) {
        let (rows, columns) = size();
        let lines = render(
            state,
            Canvas {
                columns,
                rows,
                color,
                now_ms,
            },
        );
        let mut frame = self.erasure();
        for line in &lines {
            frame.push_str(line);
            frame.push('\n');
        }
        self.drawn = lines.len();
        write(&frame);
    }

    /// Takes the picture away, so that something else can be written.
    pub(super) fn erase(&mut self) {
        let erasure = self.erasure();
        self.drawn = 0;
        write(&erasure);
    }

    /// Leaves the picture where it is, for good.
    pub(super) fn keep(&mut self) {
        self.drawn = 0;
    }

    fn erasure(&self) -> String {
        match self.drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }
}

/// Rows and columns. Terminals that do not tell are as the first ones were.
fn size() -> (usize, usize) {
    match termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
            (usize::from(size.ws_row), usize::from(size.ws_col))
        }
        _ => (24, 80),
    }
}

fn write(text: &str) {
    // A terminal that is gone shows nothing; the session goes on.
    let _ = io::stderr().write_all(text.as_bytes());
}
