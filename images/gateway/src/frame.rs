//! The text of a `text/event-stream`.

use axum::body::Bytes;
use serde::Deserialize;

/// The frame that opens every stream.
pub const READY: Bytes = Bytes::from_static(b"event: ready\ndata:\n\n");

/// A comment: it keeps proxies from taking a quiet stream for a dead one.
pub const HEARTBEAT: Bytes = Bytes::from_static(b": heartbeat\n\n");

/// An event as the backend sends it. Without a name it is a `message`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    pub name: Option<String>,
    pub data: String,
}

/// A line break in the name of an event: it would end the line that names it.
#[derive(Debug, PartialEq, Eq)]
pub struct BrokenName;

impl Event {
    /// Writes the event as a frame.
    pub fn frame(&self) -> Result<Bytes, BrokenName> {
        let mut text = String::with_capacity(self.data.len() + 32);
        if let Some(name) = &self.name {
            if name.contains(['\n', '\r']) {
                return Err(BrokenName);
            }
            text.push_str("event: ");
            text.push_str(name);
            text.push('\n');
        }
        // The format knows three line ends; each line needs a field of its own.
        let data = self.data.replace("\r\n", "\n").replace('\r', "\n");
        for line in data.split('\n') {
            text.push_str("data: ");
            text.push_str(line);
            text.push('\n');
        }
        text.push('\n');
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: Option<&str>, data: &str) -> Event {
        Event {
            name: name.map(Into::into),
            data: data.into(),
        }
    }

    #[test]
    fn a_named_event() {
        let frame = event(Some("progress"), "{}").frame();
        assert_eq!(frame, Ok("event: progress\ndata: {}\n\n".into()));
    }

    #[test]
    fn without_a_name_there_is_no_event_field() {
        assert_eq!(event(None, "a").frame(), Ok("data: a\n\n".into()));
    }

    #[test]
    fn every_line_of_the_data_gets_a_field() {
        let frame = event(None, "a\r\nb\rc\n").frame();
        assert_eq!(frame, Ok("data: a\ndata: b\ndata: c\ndata: \n\n".into()));
    }

    #[test]
    fn a_name_cannot_smuggle_fields_in() {
        assert_eq!(event(Some("a\ndata: b"), "").frame(), Err(BrokenName));
    }
}
