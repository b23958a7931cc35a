//! The services behind the proxy.

use std::time::Duration;

use anyhow::Result;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// A host that drops packets answers no sooner than one that is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// One service, by the name that people know it under.
#[derive(Clone)]
pub struct Upstream {
    pub name: &'static str,
    pub url: String,
    client: Client<HttpConnector, Body>,
}

impl Upstream {
    pub fn new(name: &'static str, url: String) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        // A connection of its own for every request: tests restart services,
        // and a connection kept from before would fail a request for nothing.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Self { name, url, client }
    }

    /// Sends a request and returns the answer as soon as its head is there.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>> {
        let response = self.client.request(request).await?;
        Ok(response.map(Body::new))
    }
}
