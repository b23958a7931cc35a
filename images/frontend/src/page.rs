//! The page: three files that are part of the binary.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

/// The routes of the page.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(html))
        .route("/app.css", get(css))
        .route("/app.js", get(javascript))
}

async fn html() -> impl IntoResponse {
    asset(
        "text/html; charset=utf-8",
        include_str!("../page/index.html"),
    )
}

async fn css() -> impl IntoResponse {
    asset("text/css; charset=utf-8", include_str!("../page/app.css"))
}

async fn javascript() -> impl IntoResponse {
    asset(
        "text/javascript; charset=utf-8",
        include_str!("../page/app.js"),
    )
}

fn asset(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, content_type),
        // Every worker has a port of its own, which others had before it: a
        // browser must not mix the page of one with the script of another.
        (CACHE_CONTROL, "no-store"),
        // Names of parts are shown, never run.
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src 'self' data:",
        ),
    ];
    (headers, text)
}
