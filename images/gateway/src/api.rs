//! The routes: streams on any path, and what the backend and the engine ask.

use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::callback::{Callback, Reason};
use crate::config::Config;
use crate::connections::{Connections, SendError};
use crate::frame::{BrokenName, Event};
use crate::log;
use crate::stream::{ClientRequest, EventStream, Refusal};

/// Where readiness is asked for.
pub const READY_PATH: &str = "/readyz";

const NO_CALLBACK_URL: &str = "CALLBACK_URL is not set";

/// What the handlers share.
#[derive(Clone)]
pub struct Gateway {
    /// None without a `CALLBACK_URL`: no stream can open.
    connections: Option<Connections>,
    heartbeat_interval: Duration,
    /// Callbacks on their way, so that a stop can wait for them.
    callbacks: TaskTracker,
}

impl Gateway {
    pub fn new(config: Config) -> Self {
        let callbacks = TaskTracker::new();
        let connections = config
            .callback_url
            .map(|url| Connections::new(Callback::new(url), callbacks.clone()));
        Self {
            connections,
            heartbeat_interval: config.heartbeat_interval,
            callbacks,
        }
    }

    /// Ends all streams.
    pub fn close_all(&self) {
        if let Some(connections) = &self.connections {
            connections.end_all(Reason::ServerClosed);
        }
    }

    /// Waits until every callback is answered.
    pub async fn callbacks_done(&self) {
        self.callbacks.close();
        self.callbacks.wait().await;
    }
}

pub fn router(gateway: Gateway) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route(READY_PATH, get(ready))
        .route("/internal/send", post(send))
        .fallback(open)
        .with_state(gateway)
}

/// A failure as the client sees it.
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

/// Asks the backend each time: an answer kept would hide that it has gone.
async fn ready(State(gateway): State<Gateway>) -> Result<Json<Value>, Failure> {
    let unavailable = |reason| Failure(StatusCode::SERVICE_UNAVAILABLE, reason);
    let Some(connections) = &gateway.connections else {
        return Err(unavailable(NO_CALLBACK_URL.to_owned()));
    };
    let callback = connections.callback();
    match callback.probe().await {
        Ok(()) => Ok(Json(json!({ "status": "ready" }))),
        Err(error) => {
            let reason = format!("CALLBACK_URL {} failed: {error:#}", callback.url());
            log::failure(format_args!("not ready: {reason}"));
            Err(unavailable(reason))
        }
    }
}

/// `GET` on any path that has no other meaning opens a stream.
async fn open(State(gateway): State<Gateway>, request: Request) -> Result<Response, Failure> {
    if request.method() != Method::GET {
        let reason = format!("a stream is opened by GET, not {}", request.method());
        return Err(Failure(StatusCode::METHOD_NOT_ALLOWED, reason));
    }
    let Some(connections) = gateway.connections else {
        let reason = NO_CALLBACK_URL.to_owned();
        return Err(Failure(StatusCode::SERVICE_UNAVAILABLE, reason));
    };
    // As a task, because this handler is dropped if the client leaves. The
    // task then ends by dropping the stream nobody waits for, which tells the
    // backend.
    let opening = EventStream::open(connections, ClientRequest::from(&request));
    let opened = gateway.callbacks.spawn(opening).await;
    match opened.expect("opening a stream neither panics nor is cancelled") {
        Ok(stream) => Ok(stream.into_response(gateway.heartbeat_interval)),
        Err(Refusal::Status(status)) => {
            let reason = "the backend refused the stream".to_owned();
            Err(Failure(status, reason))
        }
        Err(Refusal::Unreachable(error)) => {
            let reason = format!("the backend could not be asked: {error:#}");
            Err(Failure(StatusCode::BAD_GATEWAY, reason))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SendRequest {
    token: String,
    event: Option<Event>,
    #[serde(default)]
    close: bool,
}

/// `POST /internal/send`: the event first, then the close.
async fn send(
    State(gateway): State<Gateway>,
    body: Result<Json<SendRequest>, JsonRejection>,
) -> Result<Json<Value>, Failure> {
    let Json(request) =
        body.map_err(|rejection| Failure(StatusCode::BAD_REQUEST, rejection.body_text()))?;
    let frame = match &request.event {
        None => None,
        Some(event) => Some(event.frame().map_err(|BrokenName| {
            let reason = "event.name must not contain a line break".to_owned();
            Failure(StatusCode::BAD_REQUEST, reason)
        })?),
    };
    let unknown = || {
        log::failure(format_args!("send {}: no such stream", request.token));
        Failure(
            StatusCode::NOT_FOUND,
            format!("no stream {}", request.token),
        )
    };
    let token: Uuid = request.token.parse().map_err(|_| unknown())?;
    let connections = gateway.connections.as_ref().ok_or_else(unknown)?;
    if !connections.contains(token) {
        return Err(unknown());
    }
    if let Some(frame) = frame {
        connections
            .send(token, frame)
            .map_err(|error| match error {
                SendError::Unknown => unknown(),
                SendError::Stuck => {
                    log::failure(format_args!(
                        "send {token}: the client does not read, closed"
                    ));
                    let reason = format!("the client of {token} does not read and is cut");
                    Failure(StatusCode::SERVICE_UNAVAILABLE, reason)
                }
            })?;
        let name = request.event.and_then(|event| event.name);
        let name = name.as_deref().unwrap_or("message");
        log::line(format_args!("deliver `{name}` to {token}"));
    }
    if request.close && connections.end(token, Reason::ServerClosed) {
        log::line(format_args!("close {token}"));
    }
    Ok(Json(json!({ "status": "ok" })))
}
