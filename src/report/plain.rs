//! A line for each thing that happens.

use std::time::Duration;

use crate::{
    event::{Event, EventKind},
    text,
};

use super::line::plain_text;

/// The line for an event, if it deserves one.
pub(super) fn line(event: &Event, verbosity: u8) -> Option<String> {
    // Some of the words come out of containers.
    let what = plain_text(
        describe(&event.kind, verbosity)?
            .replace('\n', " ")
            .as_bytes(),
    );
    let time = seconds(event.elapsed_ms);
    let subject = match (&event.worker, &event.service) {
        (Some(worker), Some(service)) => format!("{worker} {service}  "),
        (Some(worker), None) => format!("{worker}  "),
        _ => String::new(),
    };
    Some(format!("{time:>7}  {subject}{what}"))
}

fn describe(kind: &EventKind, verbosity: u8) -> Option<String> {
    Some(match kind {
        EventKind::SessionStarted {
            session,
            workers,
            services,
            ..
        } if *workers > 0 => format!(
            "session {session}: {} of {}",
            text::count(*workers as usize, "worker"),
            text::count(services.len(), "service")
        ),
        EventKind::Warning { message } => format!("warning: {message}"),
        EventKind::ImageProgress {
            image,
            action,
            status,
            ..
        } if verbosity > 0 => format!("{action} {image}: {status}"),
        EventKind::ImageReady {
            image,
            action,
            took_ms,
        } => format!("{action} {image} took {}", millis(*took_ms)),
        EventKind::StepFinished {
            action,
            target,
            took_ms,
            error: None,
            ..
        } if verbosity > 0 && !action.ends_with("image") => {
            format!("{action} {target} took {}", millis(*took_ms))
        }
        EventKind::ContainerStarted { took_ms, .. } => format!("started in {}", millis(*took_ms)),
        EventKind::NotReady { probe, status } if verbosity > 0 => {
            format!("not ready ({probe}): {status}")
        }
        EventKind::Ready { probe, after_ms } => {
            format!("ready after {} ({probe})", millis(*after_ms))
        }
        EventKind::Completed { after_ms } => format!("completed after {}", millis(*after_ms)),
        EventKind::Failed { reason } => format!("failed: {reason}"),
        EventKind::Skipped { because } => format!("not started, because of {because}"),
        EventKind::Exited {
            exit_code,
            oom_killed,
        } => crate::probe::describe_exit(*exit_code, *oom_killed),
        EventKind::Stopped { took_ms, .. } => format!("stopped in {}", millis(*took_ms)),
        EventKind::SessionReady { took_ms } => {
            format!("everything is ready after {}", millis(*took_ms))
        }
        EventKind::CommandStarted { command } => format!("running {}", command.join(" ")),
        EventKind::CommandFinished { exit_code } => format!("command exited with code {exit_code}"),
        EventKind::TeardownStarted { reason } => format!("taking everything down: {reason}"),
        EventKind::TeardownFinished { took_ms, left } if left.is_empty() => {
            format!("everything is gone after {}", millis(*took_ms))
        }
        EventKind::TeardownFinished { left, .. } => format!("left behind: {}", text::list(left)),
        _ => return None,
    })
}

fn millis(millis: f64) -> String {
    text::duration(Duration::from_secs_f64(millis.max(0.0) / 1_000.0))
}

fn seconds(millis: f64) -> String {
    format!("{:.2} s", millis / 1_000.0)
}
