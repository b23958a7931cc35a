//! What happens to containers.

use std::collections::HashMap;

use bollard::{models::EventMessage, query_parameters::EventsOptions};
use futures::{StreamExt, stream::BoxStream};
use jiff::Timestamp;

use crate::{
    engine::{EngineEvent, EngineEventKind, Result},
    spec::{Health, SessionName, label},
};

use super::call::engine_error;

/// What happens to the containers of a session, from `since` on.
///
/// Podman reads `since` as a floating-point number, which blurs it by some hundred
/// nanoseconds, so what was before is left out here.
///
/// The request is sent when the stream is first polled. An engine may hold back even
/// the headers of its answer until there is something to tell (Podman does), so there
/// is no moment at which the stream is known to be open; `since` makes that harmless.
pub(super) fn events(
    client: &bollard::Docker,
    session: &SessionName,
    since: Timestamp,
) -> BoxStream<'static, Result<EngineEvent>> {
    let options = EventsOptions {
        since: Some(format!(
            "{}.{:09}",
            since.as_second(),
            since.subsec_nanosecond()
        )),
        until: None,
        filters: Some(HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            (
                "label".to_owned(),
                vec![format!("{}={session}", label::SESSION)],
            ),
        ])),
    };
    let messages = client.events(Some(options));
    messages
        .filter_map(move |message| {
            let told = message
                .map_err(|error| engine_error("follow the engine's events", error))
                .map(|message| event(message).filter(|told| since <= told.at))
                .transpose();
            std::future::ready(told)
        })
        .boxed()
}

fn event(message: EventMessage) -> Option<EngineEvent> {
    let actor = message.actor.unwrap_or_default();
    let attributes = actor.attributes.unwrap_or_default();
    let verdict = attributes.get("health_status").map(String::as_str);
    Some(EngineEvent {
        container: actor.id?,
        at: moment(message.time_nano, message.time)?,
        kind: kind(message.action.as_deref()?, verdict)?,
    })
}

/// Docker's words, and where they differ, Podman's.
fn kind(action: &str, verdict: Option<&str>) -> Option<EngineEventKind> {
    let (action, verdict) = match action.split_once(": ") {
        Some((action, verdict)) => (action, Some(verdict)),
        None => (action, verdict),
    };
    Some(match action {
        "start" => EngineEventKind::Started,
        "die" | "died" => EngineEventKind::Died,
        "oom" => EngineEventKind::OutOfMemory,
        "destroy" | "remove" => EngineEventKind::Removed,
        "health_status" => EngineEventKind::Health(match verdict? {
            "healthy" => Health::Healthy,
            "unhealthy" => Health::Unhealthy,
            "starting" => Health::Starting,
            _ => return None,
        }),
        _ => return None,
    })
}

fn moment(nanoseconds: Option<i64>, seconds: Option<i64>) -> Option<Timestamp> {
    match nanoseconds {
        Some(nanoseconds) => Timestamp::from_nanosecond(nanoseconds.into()).ok(),
        None => Timestamp::from_second(seconds?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_words_are_understood() {
        let healthy = Some(EngineEventKind::Health(Health::Healthy));
        assert_eq!(kind("health_status: healthy", None), healthy);
        assert_eq!(kind("health_status", Some("healthy")), healthy);
        assert_eq!(kind("died", None), Some(EngineEventKind::Died));
        assert_eq!(kind("destroy", None), Some(EngineEventKind::Removed));
    }

    #[test]
    fn what_does_not_matter_is_left_out() {
        assert_eq!(kind("exec_start: /probe", None), None);
    }
}
