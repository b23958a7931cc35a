//! A line of the container's output.

use futures::StreamExt;
use jiff::Timestamp;
use regex::bytes::Regex;

use crate::{
    engine::{Engine, LogOptions, StdStream},
    logs::{Assembler, Chunk},
};

/// Waits for a line that matches among those that the engine has kept since `since`,
/// and those to come: for a container that ran before anybody listened.
/// Says why when the engine cannot tell.
pub(super) async fn kept_line(
    engine: &dyn Engine,
    container: &str,
    since: Option<Timestamp>,
    pattern: &Regex,
) -> Result<(), String> {
    let options = LogOptions {
        follow: true,
        since,
        ..LogOptions::default()
    };
    let told = |error| crate::error::chain(&error);
    let mut frames = engine.logs(container, options).await.map_err(told)?;
    let mut lines = [Assembler::default(), Assembler::default()];
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(told)?;
        let mut found = false;
        let number = usize::from(frame.stream == StdStream::Stderr);
        lines[number].push(frame.bytes, |line| found |= pattern.is_match(&line.text));
        if found {
            return Ok(());
        }
    }
    let last = lines.iter_mut().filter_map(Assembler::finish);
    let matches = |line: &Chunk| pattern.is_match(&line.text);
    if last.into_iter().any(|line| matches(&line)) {
        return Ok(());
    }
    Err("no line has matched, and the output has ended".to_owned())
}
