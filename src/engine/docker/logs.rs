//! Containers' output: live by attaching, or from what the engine has kept.

use bollard::{
    container::LogOutput,
    query_parameters::{AttachContainerOptions, LogsOptions},
};
use bytes::Bytes;
use futures::StreamExt;
use jiff::Timestamp;

use crate::engine::{LogOptions, OutputFrame, OutputStream, Result, StdStream};

use super::call::{ORDINARY, call, engine_error, shown};

/// Opens the live output. Asking for `logs` as well would repeat what a container
/// wrote before, and is not needed before it starts.
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
    let frames = client.logs(container, Some(query)).map(move |output| {
        output
            .map(stamped_frame)
            .map_err(|error| engine_error(&attempted, error))
    });
    let wanted = move |frame: &Result<OutputFrame>| {
        let at = frame.as_ref().ok().and_then(|frame| frame.at);
        at.is_none_or(|at| {
            options.since.is_none_or(|since| since <= at)
                && options.until.is_none_or(|until| at <= until)
        })
    };
    frames
        .filter(move |frame| std::future::ready(wanted(frame)))
        .boxed()
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

/// A frame that the engine has put a time stamp before: every line has one, and so has
/// every piece of a line that was too long for one frame.
fn stamped_frame(output: LogOutput) -> OutputFrame {
    let mut frame = frame(output, None);
    if let Some((at, bytes)) = split_stamp(&frame.bytes) {
        frame.at = Some(at);
        frame.bytes = bytes;
    }
    frame
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
        stamped_frame(LogOutput::StdErr {
            message: Bytes::from_static(text.as_bytes()),
        })
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
    fn what_has_no_time_stamp_is_left_whole() {
        let frame = stamped("no stamp here\n");
        assert_eq!(
            (frame.at, &frame.bytes[..]),
            (None, &b"no stamp here\n"[..])
        );
    }
}
