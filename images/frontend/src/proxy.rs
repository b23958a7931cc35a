//! Passing requests on, head and body as they come, without buffering.

use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{StatusCode, Version};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::log;
use crate::upstream::Upstream;

/// Headers that speak of one connection, not of the message.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Passes `request` on to `target`, a path with its query, at `upstream`.
///
/// If the client leaves, this future or the response's body is dropped, and
/// with it the connection to the upstream: nobody has to watch for it.
pub async fn pass_on(
    mut request: Request,
    upstream: &Upstream,
    target: &str,
    stopping: CancellationToken,
) -> Response {
    *request.uri_mut() = match format!("{}{target}", upstream.url).parse() {
        Ok(uri) => uri,
        Err(error) => {
            let answer = Json(json!({ "error": format!("{target}: {error}") }));
            return (StatusCode::BAD_REQUEST, answer).into_response();
        }
    };
    *request.version_mut() = Version::HTTP_11;
    remove_hop_by_hop(request.headers_mut());
    // Left out, the client writes the upstream's own.
    request.headers_mut().remove(HOST);

    match upstream.send(request).await {
        Ok(mut response) => {
            remove_hop_by_hop(response.headers_mut());
            if is_event_stream(response.headers()) {
                // A stream has no end of its own that a stop could wait for.
                response.map(|body| {
                    let frames = body.into_data_stream();
                    Body::from_stream(frames.take_until(stopping.cancelled_owned()))
                })
            } else {
                response
            }
        }
        Err(error) => {
            let Upstream { name, url, .. } = upstream;
            let reason = format!("{name} at {url} cannot be reached: {error:#}");
            log::failure(format_args!("{reason}"));
            let answer = Json(json!({ "error": reason, "upstream": name }));
            (StatusCode::BAD_GATEWAY, answer).into_response()
        }
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // `Connection` may name further ones.
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn headers_of_the_connection_stay_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("x-end-to-end", "1"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        remove_hop_by_hop(&mut headers);
        let left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-end-to-end"]);
    }
}
