//! Containers' output: live by attaching, or from what the engine has kept.

use std::time::Duration;

use bollard::{
    container::LogOutput,
    query_parameters::{AttachContainerOptions, LogsOptions},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use jiff::Timestamp;

use crate::engine::{LogOptions, OutputFrame, OutputStream, Result, StdStream};

use super::call::{ORDINARY, call, engine_error, shown};

/// Opens the live output. Asking for `logs` as well would repeat what a container
/// wrote before, and is not needed before it starts.
///
/// bollard tells a terminal's output, which has no headers, by its first byte: output
/// that starts with byte 0, 1 or 2 would be taken for a header. No text does.
pub(super) async fn attach(client: &bollard::Docker, container: &str) -> Result<OutputStream> {
    let attempted = format!("attach to container `{}`", shown(container));
    let options = AttachContainerOptions {
        stdout: true,
        stderr: true,
        stream: true,
        ..AttachContainerOptions::default()
    };
    let request = client.attach_container(container, Some(options));
    let attached = call(&attempted, ORDINARY, request).await?;
    let attempted = format!("read the output of container `{}`", shown(container));
    let frames = attached.output.map(move |output| {
        output
            .map(|output| frame(output, None))
            .map_err(|error| engine_error(&attempted, error))
    });
    Ok(frames.boxed())
}

/// Reads the engine's record of the output.
///
/// The engine is asked for whole seconds, which is all that bollard can say; frames
/// outside of the exact span are left out here.
pub(super) fn logs(client: &bollard::Docker, container: &str, options: LogOptions) -> OutputStream {
    let attempted = format!("read the logs of container `{}`", shown(container));
    let query = LogsOptions {
        follow: options.follow,
        stdout: true,
        stderr: true,
        timestamps: true,
        since: options.since.map_or(0, |since| seconds(since.as_second())),
        until: options
            .until
            .map_or(0, |until| seconds(until.as_second() + 1)),
        tail: options
            .tail
            .map_or_else(|| "all".to_owned(), |lines| lines.to_string()),
    };
    let frames = client.logs(container, Some(query)).flat_map(move |output| {
        let frames = output.map(stamped_frames);
        stream::iter(match frames {
            Ok(frames) => frames.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(engine_error(&attempted, error))],
        })
    });
    let wanted = move |frame: &Result<OutputFrame>| {
        let at = frame.as_ref().ok().and_then(|frame| frame.at);
        at.is_none_or(|at| {
            options.since.is_none_or(|since| since <= latest(at))
                && options.until.is_none_or(|until| at <= until)
        })
    };
    frames
        .filter(move |frame| std::future::ready(wanted(frame)))
        .boxed()
}

/// The latest moment that a stamp can stand for: Podman 4.3 writes whole seconds.
fn latest(at: Timestamp) -> Timestamp {
    let within = if at.subsec_nanosecond() == 0 {
        999_999_999
    } else {
        0
    };
    at.saturating_add(Duration::from_nanos(within))
        .unwrap_or(at)
}

/// A frame without time stamps, from a container or a command.
pub(super) fn frame(output: LogOutput, at: Option<Timestamp>) -> OutputFrame {
    let (stream, bytes) = match output {
        LogOutput::StdErr { message } => (StdStream::Stderr, message),
        LogOutput::StdOut { message }
        | LogOutput::StdIn { message }
        | LogOutput::Console { message } => (StdStream::Stdout, message),
    };
    OutputFrame { stream, at, bytes }
}

/// Frames that the engine has put time stamps before: every line has one, and so has
/// every piece of a line that is too long for one frame.
///
/// A terminal's output comes without headers, and bollard makes one frame of a line.
/// The engine keeps such a line in pieces all the same (Docker 20.10 puts stamps at
/// bytes 0, 16,415 and 32,830 of a line of 40,000).
fn stamped_frames(output: LogOutput) -> Vec<OutputFrame> {
    const PIECE: usize = 16 * 1024;
    let is_terminal = matches!(output, LogOutput::Console { .. });
    let whole = frame(output, None);
    let Some((mut at, mut rest)) = split_stamp(&whole.bytes) else {
        return vec![whole];
    };
    let piece = |at, bytes| OutputFrame {
        at: Some(at),
        bytes,
        ..whole
    };
    let mut frames = Vec::new();
    while is_terminal
        && rest.len() > PIECE
        && let Some((next_at, next)) = split_stamp(&rest.slice(PIECE..))
    {
        frames.push(piece(at, rest.slice(..PIECE)));
        (at, rest) = (next_at, next);
    }
    frames.push(piece(at, rest));
    frames
}

fn split_stamp(bytes: &Bytes) -> Option<(Timestamp, Bytes)> {
    // The stamp has a fixed width; a numeric offset is its longest form.
    const LONGEST: usize = "2006-01-02T15:04:05.000000000+07:00".len();
    let head = &bytes[..bytes.len().min(LONGEST + 1)];
    let space = head.iter().position(|&byte| byte == b' ')?;
    let stamp = std::str::from_utf8(&head[..space]).ok()?.parse().ok()?;
    Some((stamp, bytes.slice(space + 1..)))
}

fn seconds(seconds: i64) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(text: &'static str) -> OutputFrame {
        let mut frames = stamped_frames(LogOutput::StdErr {
            message: Bytes::from_static(text.as_bytes()),
        });
        assert_eq!(frames.len(), 1);
        frames.remove(0)
    }

    #[test]
    fn the_time_stamp_becomes_the_moment() {
        let frame = stamped("2024-05-06T07:08:09.123456789Z hello world\n");
        assert_eq!(frame.stream, StdStream::Stderr);
        assert_eq!(frame.bytes, "hello world\n");
        let moment = frame.at.expect("a moment").to_string();
        assert_eq!(moment, "2024-05-06T07:08:09.123456789Z");
    }

    #[test]
    fn an_empty_line_keeps_its_end() {
        assert_eq!(stamped("2024-05-06T07:08:09.000000000Z \n").bytes, "\n");
    }

    #[test]
    fn a_long_line_of_a_terminal_has_stamps_inside() {
        let stamp = "2024-05-06T07:08:09.123456789Z ";
        let piece = "x".repeat(16 * 1024);
        // The last one looks like a stamp, but is where none can be.
        let line = format!("{stamp}{piece}{stamp}{piece}{stamp}{stamp}\r\n");
        let frames = stamped_frames(LogOutput::Console {
            message: line.into(),
        });
        let texts: Vec<_> = frames.iter().map(|frame| &frame.bytes[..]).collect();
        let last = format!("{stamp}\r\n");
        assert_eq!(texts, [piece.as_bytes(), piece.as_bytes(), last.as_bytes()]);
        assert!(frames.iter().all(|frame| frame.at.is_some()));
    }

    #[test]
    fn what_has_no_time_stamp_is_left_whole() {
        let frame = stamped("no stamp here\n");
        assert_eq!(
            (frame.at, &frame.bytes[..]),
            (None, &b"no stamp here\n"[..])
        );
    }
}
