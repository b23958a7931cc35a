//! The way to a client's stream: the gateway's `/internal/send`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::body::Bytes;
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(2);

/// What becomes of the stream after an event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum After {
    KeepOpen,
    Close,
}

/// A client of the gateway's internal interface.
#[derive(Clone)]
pub struct Gateway {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Gateway {
    pub fn new(base: &str) -> Self {
        Self {
            url: format!("{}/internal/send", base.trim_end_matches('/')),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Sends one event to the stream that `token` names.
    pub async fn send(&self, token: &str, name: &str, data: &Value, after: After) -> Result<()> {
        let body = json!({
            "token": token,
            "event": { "name": name, "data": data.to_string() },
            "close": after == After::Close,
        });
        tokio::time::timeout(TIMEOUT, self.post(body.to_string()))
            .await
            .unwrap_or_else(|_| bail!("no answer in {TIMEOUT:?}"))
            .with_context(|| format!("POST {}", self.url))
    }

    async fn post(&self, body: String) -> Result<()> {
        let request = Request::post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))?;
        let response = self.client.request(request).await?;
        let status = response.status();
        // Read to the end, or the connection could not be used again.
        let answer = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("{status}: {}", String::from_utf8_lossy(&answer));
        }
        Ok(())
    }
}
