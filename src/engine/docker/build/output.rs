//! What the steps of a build write: bytes to lines, and the last ones for the error.

use std::collections::VecDeque;

use crate::engine::{BuildUpdate, StdStream};

/// As many of a step's last lines as an error repeats.
const LAST: usize = 20;

/// The output of one step.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Lines that have begun, of standard output and standard error.
    begun: [Vec<u8>; 2],
    last: VecDeque<String>,
}

impl Output {
    /// Takes a piece of output, returns the lines that are complete with it.
    pub(super) fn push(&mut self, stream: StdStream, piece: &[u8]) -> Vec<BuildUpdate> {
        let mut lines = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.begun[index(stream)].extend_from_slice(part);
            if part.ends_with(b"\n") {
                lines.extend(self.line(stream));
            }
        }
        lines
    }

    /// The lines that have begun, as the step ends.
    pub(super) fn end(&mut self) -> impl Iterator<Item = BuildUpdate> {
        let lines = [StdStream::Stdout, StdStream::Stderr].map(|stream| self.line(stream));
        lines.into_iter().flatten()
    }

    fn line(&mut self, stream: StdStream) -> Option<BuildUpdate> {
        let begun = std::mem::take(&mut self.begun[index(stream)]);
        if begun.is_empty() {
            return None;
        }
        let text = String::from_utf8_lossy(&begun);
        let text = text.trim_end_matches(['\n', '\r']).to_owned();
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(text.clone());
        Some(BuildUpdate::Line { stream, text })
    }

    /// The last lines of both streams, in the order in which they were complete.
    pub(super) fn last(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }
}

fn index(stream: StdStream) -> usize {
    match stream {
        StdStream::Stdout => 0,
        StdStream::Stderr => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(updates: impl IntoIterator<Item = BuildUpdate>) -> Vec<String> {
        let updates = updates.into_iter();
        let texts = updates.filter_map(|update| match update {
            BuildUpdate::Line { text, .. } => Some(text),
            _ => None,
        });
        texts.collect()
    }

    #[test]
    fn lines_are_put_together() {
        let mut output = Output::default();
        assert_eq!(texts(output.push(StdStream::Stdout, b"one\ntw")), ["one"]);
        assert_eq!(texts(output.push(StdStream::Stderr, b"oh\n")), ["oh"]);
        let lines = output.push(StdStream::Stdout, b"o\r\n\nthree");
        assert_eq!(texts(lines), ["two", ""]);
        assert_eq!(texts(output.end()), ["three"]);
        assert_eq!(texts(output.end()), Vec::<String>::new());
        assert_eq!(output.last(), ["one", "oh", "two", "", "three"]);
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let mut output = Output::default();
        for number in 0..100 {
            output.push(StdStream::Stdout, format!("{number}\n").as_bytes());
        }
        assert_eq!((output.last().len(), &*output.last()[0]), (LAST, "80"));
    }
}
