//! The routes.

use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{any, get};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::upstream::Upstream;
use crate::{page, proxy, status};

/// What the handlers share.
#[derive(Clone)]
pub struct Frontend {
    backend: Upstream,
    gateway: Upstream,
    stopping: CancellationToken,
}

impl Frontend {
    pub fn new(config: Config, stopping: CancellationToken) -> Self {
        Self {
            backend: Upstream::new("backend", config.backend_url),
            gateway: Upstream::new("gateway", config.gateway_url),
            stopping,
        }
    }
}

pub fn router(frontend: Frontend) -> Router {
    page::router()
        .route("/healthz", get(|| async { "ok" }))
        .route("/status", get(show_status))
        .route("/version.json", get(version))
        .route("/api/{*rest}", any(to_backend))
        .route("/sse/{*rest}", any(to_gateway))
        .fallback(not_found)
        .with_state(frontend)
}

async fn to_backend(State(frontend): State<Frontend>, request: Request) -> Response {
    let target = target(request.uri());
    proxy::pass_on(request, &frontend.backend, &target, frontend.stopping).await
}

/// The gateway knows nothing of the prefix: `/sse/stream` is its `/stream`.
async fn to_gateway(State(frontend): State<Frontend>, request: Request) -> Response {
    let target = target(request.uri());
    let target = target.strip_prefix("/sse").unwrap_or(&target);
    proxy::pass_on(request, &frontend.gateway, target, frontend.stopping).await
}

fn target(uri: &Uri) -> String {
    uri.path_and_query()
        .map_or_else(|| "/".to_owned(), ToString::to_string)
}

async fn show_status(State(frontend): State<Frontend>) -> Json<Value> {
    let (backend, gateway) = tokio::join!(
        status::of(&frontend.backend, "/api/health/readyz"),
        status::of(&frontend.gateway, "/readyz"),
    );
    Json(json!({ "backend": backend, "gateway": gateway }))
}

async fn version() -> Json<Value> {
    Json(json!({ "name": "frontend", "version": env!("CARGO_PKG_VERSION") }))
}

async fn not_found(uri: Uri) -> (StatusCode, Json<Value>) {
    let error = format!("no route {}", uri.path());
    (StatusCode::NOT_FOUND, Json(json!({ "error": error })))
}
