//! What the gateway tells and asks the backend.
//!
//! Best effort: nothing is retried, a failure is logged with URL and reason.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use uuid::Uuid;

use crate::log;
use crate::stream::ClientRequest;

/// A connect callback may wait for the backend's database.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Readiness is asked for again and again, so it would rather hear "not yet".
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The client went away.
    ClientClosed,
    /// The backend asked for it, or the gateway stops.
    ServerClosed,
    /// The client did not read what was sent to it.
    Error,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As in the callback, so that log and protocol can be matched.
        f.write_str(match self {
            Self::ClientClosed => "client_closed",
            Self::ServerClosed => "server_closed",
            Self::Error => "error",
        })
    }
}

#[derive(Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Message<'a> {
    Connect {
        token: Uuid,
        request: &'a ClientRequest,
    },
    Disconnect {
        token: Uuid,
        reason: Reason,
        request: &'a ClientRequest,
    },
}

/// The backend, as far as the gateway knows it: one URL.
#[derive(Clone)]
pub struct Callback {
    url: Uri,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Callback {
    pub fn new(url: Uri) -> Self {
        // A connection of its own for every callback: they are rare, and one
        // kept from before the backend's restart would fail for nothing.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build_http();
        Self { url, client }
    }

    pub fn url(&self) -> &Uri {
        &self.url
    }

    /// Asks whether a stream may open; the answer is the backend's status.
    pub async fn connect(&self, token: Uuid, request: &ClientRequest) -> Result<StatusCode> {
        let answer = self.post(&Message::Connect { token, request }).await;
        self.log(format_args!("connect {token}"), &answer);
        answer
    }

    /// Tells that a stream has ended.
    pub async fn disconnect(&self, token: Uuid, reason: Reason, request: &ClientRequest) {
        let message = Message::Disconnect {
            token,
            reason,
            request,
        };
        let answer = self.post(&message).await;
        self.log(format_args!("disconnect {token} ({reason})"), &answer);
    }

    /// Succeeds if anything that speaks HTTP answers. The status says nothing:
    /// a callback takes no `HEAD`, and a good backend refuses one.
    pub async fn probe(&self) -> Result<()> {
        self.request(Method::HEAD, Bytes::new(), PROBE_TIMEOUT)
            .await?;
        Ok(())
    }

    async fn post(&self, message: &Message<'_>) -> Result<StatusCode> {
        let body = serde_json::to_vec(message)?;
        self.request(Method::POST, body.into(), TIMEOUT).await
    }

    async fn request(&self, method: Method, body: Bytes, limit: Duration) -> Result<StatusCode> {
        let request = Request::builder()
            .method(method)
            .uri(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        match tokio::time::timeout(limit, self.client.request(request)).await {
            Ok(response) => Ok(response.context("no answer")?.status()),
            Err(_) => bail!("no answer in {limit:?}"),
        }
    }

    fn log(&self, what: fmt::Arguments<'_>, answer: &Result<StatusCode>) {
        let url = &self.url;
        match answer {
            Ok(status) if status.is_success() => {
                log::line(format_args!(
                    "callback {what}: {} from {url}",
                    status.as_u16()
                ));
            }
            Ok(status) => log::failure(format_args!("callback {what}: {url} answered {status}")),
            Err(error) => log::failure(format_args!("callback {what}: {url} failed: {error:#}")),
        }
    }
}
