//! The routes.

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, Method, StatusCode, Uri};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use crate::ai;
use crate::database::{Database, NewPart, Part};
use crate::error::{ApiError, Body, Id};
use crate::gateway::Gateway;
use crate::streams::{self, Streams};

/// Where readiness is asked for.
pub const READY_PATH: &str = "/api/health/readyz";

const LONGEST_NAME: usize = 100;
const LARGEST_QUANTITY: i64 = 1_000_000;

/// What the handlers share.
#[derive(Clone)]
pub struct App {
    pub database: Database,
    pub gateway: Option<Gateway>,
    pub streams: Streams,
    pub tasks: TaskTracker,
}

pub fn router(app: App) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route(READY_PATH, get(ready))
        .route("/api/parts", get(list).post(create))
        .route("/api/parts/{id}", get(show).delete(delete))
        .route("/api/parts/ai", post(ai::start))
        .route("/api/sse/callback", post(streams::callback))
        .route("/api/testing/reset", post(reset))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app)
}

/// Ready means that the database answers. The gateway is left out on purpose:
/// its own readiness asks for this service, and a circle would never start.
async fn ready(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    match app.database.get(0).await {
        Ok(_) => Ok(Json(json!({ "status": "ready" }))),
        Err(error) => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("database: {error}"),
        )),
    }
}

async fn list(State(app): State<App>) -> Result<Json<Vec<Part>>, ApiError> {
    Ok(Json(app.database.list().await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateRequest {
    name: String,
    quantity: i64,
}

async fn create(
    State(app): State<App>,
    Body(request): Body<CreateRequest>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Part>), ApiError> {
    let part = app.database.insert(validate(&request)?).await?;
    let location = format!("/api/parts/{}", part.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(part)))
}

async fn show(State(app): State<App>, Id(id): Id) -> Result<Json<Part>, ApiError> {
    let part = app.database.get(id).await?;
    part.map(Json).ok_or_else(|| no_part(id))
}

async fn delete(State(app): State<App>, Id(id): Id) -> Result<StatusCode, ApiError> {
    if app.database.delete(id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(no_part(id))
    }
}

async fn reset(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    let parts = app.database.reset().await?;
    Ok(Json(json!({ "parts": parts })))
}

async fn not_found(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("no route {}", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} does not take {method}", uri.path()),
    )
}

fn no_part(id: i64) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("no part {id}"))
}

fn validate(request: &CreateRequest) -> Result<NewPart, ApiError> {
    let name = request.name.trim();
    let invalid = |message: String| Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, message));
    if name.is_empty() {
        return invalid("name must not be empty".into());
    }
    if name.chars().count() > LONGEST_NAME {
        return invalid(format!("name must not exceed {LONGEST_NAME} characters"));
    }
    if !(0..=LARGEST_QUANTITY).contains(&request.quantity) {
        return invalid(format!("quantity must be from 0 to {LARGEST_QUANTITY}"));
    }
    Ok(NewPart {
        name: name.to_owned(),
        quantity: request.quantity,
    })
}
