//! Whether the services behind the proxy answer, and how fast.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::upstream::Upstream;

/// Someone looks at a page while this runs.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Asks `path` of the upstream. Any answer means that it can be reached, the
/// answer's own status whether it is ready.
pub async fn of(upstream: &Upstream, path: &str) -> Value {
    let url = &upstream.url;
    let request = Request::get(format!("{url}{path}"))
        .body(Body::empty())
        .expect("the URL was checked at the start, and the path is a constant");
    let started = Instant::now();
    let reason = match tokio::time::timeout(TIMEOUT, upstream.send(request)).await {
        Ok(Ok(response)) => {
            return json!({
                "url": url,
                "reachable": true,
                "status": response.status().as_u16(),
                "milliseconds": started.elapsed().as_secs_f64() * 1000.0,
            });
        }
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => format!("no answer in {TIMEOUT:?}"),
    };
    json!({ "url": url, "reachable": false, "reason": reason })
}
