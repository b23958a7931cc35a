//! One client's stream, from its request to its end.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use uuid::Uuid;

use crate::callback::Reason;
use crate::connections::Connections;
use crate::frame;

/// The client's request, as the callbacks show it.
#[derive(Debug, Default, Serialize)]
pub struct ClientRequest {
    url: String,
    headers: BTreeMap<String, String>,
}

impl From<&Request> for ClientRequest {
    fn from(request: &Request) -> Self {
        let mut headers = BTreeMap::<String, String>::new();
        for (name, value) in request.headers() {
            let value = String::from_utf8_lossy(value.as_bytes());
            headers
                .entry(name.to_string())
                .and_modify(|all| *all = format!("{all}, {value}"))
                .or_insert_with(|| value.into_owned());
        }
        Self {
            url: request.uri().to_string(),
            headers,
        }
    }
}

/// An accepted stream. Dropping it, which the server does as soon as the client
/// is gone, ends the connection.
pub struct EventStream {
    token: Uuid,
    queue: Receiver<Bytes>,
    connections: Connections,
}

/// Why a stream could not be opened.
pub enum Refusal {
    /// The backend answered the connect callback with this.
    Status(StatusCode),
    /// The backend could not be asked.
    Unreachable(anyhow::Error),
}

impl EventStream {
    /// Asks the backend for a stream.
    ///
    /// To be run to its end even if the client leaves meanwhile: a backend that
    /// has accepted has to be told that the stream is gone.
    pub async fn open(connections: Connections, request: ClientRequest) -> Result<Self, Refusal> {
        let request = Arc::new(request);
        // In the table before the backend is asked: it may send events before
        // it answers. They wait in the queue, behind `ready`.
        let (token, queue) = connections.open(Arc::clone(&request));
        let refusal = match connections.callback().connect(token, &request).await {
            Ok(status) if status.is_success() => {
                return Ok(Self {
                    token,
                    queue,
                    connections,
                });
            }
            Ok(status) => Refusal::Status(status),
            Err(error) => Refusal::Unreachable(error),
        };
        connections.refuse(token);
        Err(refusal)
    }

    /// Turns the stream into the response that carries it.
    pub fn into_response(self, heartbeat: Duration) -> Response {
        let mut heartbeats = interval_at(Instant::now() + heartbeat, heartbeat);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ready = stream::iter([frame::READY]);
        let later = stream::unfold((self, heartbeats), next_frame);
        let frames = ready.chain(later).map(Ok::<_, Infallible>);
        let headers = [
            (CONTENT_TYPE, "text/event-stream"),
            (CACHE_CONTROL, "no-store"),
            // What nginx and its kin go by.
            (HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        (headers, Body::from_stream(frames)).into_response()
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        // Ended by the backend or by a shutdown, it is no longer in the table
        // and this does nothing.
        self.connections.end(self.token, Reason::ClientClosed);
    }
}

async fn next_frame(
    (mut stream, mut heartbeats): (EventStream, Interval),
) -> Option<(Bytes, (EventStream, Interval))> {
    let frame = tokio::select! {
        // The queue first, so that a heartbeat never delays an event.
        biased;
        frame = stream.queue.recv() => frame?,
        _ = heartbeats.tick() => frame::HEARTBEAT,
    };
    Some((frame, (stream, heartbeats)))
}
