//! Creation "by AI": slow work in the background that reports its progress.
//!
//! The intelligence is a few lines of text handling. What counts is the shape:
//! an answer at once, then events on the client's stream, then an end.

use std::time::Duration;

use anyhow::{Context, Result};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::App;
use crate::database::NewPart;
use crate::error::{ApiError, Body};
use crate::gateway::{After, Gateway};
use crate::log;

const STEPS: [&str; 4] = [
    "Reading the description",
    "Finding a name",
    "Counting",
    "Checking the result",
];

/// How long the model pretends to think, for each step.
const STEP: Duration = Duration::from_millis(40);

/// More than all steps take, for whoever waits for a creation to finish.
pub const LONGEST: Duration = Duration::from_millis(400);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AiRequest {
    description: String,
    request_id: String,
}

/// `POST /api/parts/ai`.
pub async fn start(
    State(app): State<App>,
    Body(request): Body<AiRequest>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    for (field, value) in [
        ("description", &request.description),
        ("request_id", &request.request_id),
    ] {
        if value.trim().is_empty() {
            return Err(ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("{field} must not be empty"),
            ));
        }
    }
    let Some(gateway) = app.gateway.clone() else {
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "SSE_GATEWAY_URL is not set: progress could not be reported",
        ));
    };
    let task_id = Uuid::new_v4().to_string();
    let creation = Creation {
        app: app.clone(),
        gateway,
        task_id: task_id.clone(),
        request,
    };
    app.tasks.spawn(creation.run());
    Ok((StatusCode::ACCEPTED, Json(json!({ "task_id": task_id }))))
}

/// One task, from its first `progress` to its `result` or `failed`.
struct Creation {
    app: App,
    gateway: Gateway,
    task_id: String,
    request: AiRequest,
}

impl Creation {
    async fn run(self) {
        match self.create().await {
            Ok(part) => {
                let result = json!({ "task_id": self.task_id, "part": part });
                self.report("result", &result, After::Close).await;
            }
            Err(error) => {
                log::failure(format_args!("task {}: {error:#}", self.task_id));
                let failed = json!({ "task_id": self.task_id, "error": format!("{error:#}") });
                self.report("failed", &failed, After::Close).await;
            }
        }
    }

    async fn create(&self) -> Result<Value> {
        for (done, step) in STEPS.iter().enumerate() {
            let percent = done * 100 / STEPS.len();
            let progress = json!({ "task_id": self.task_id, "step": step, "percent": percent });
            self.report("progress", &progress, After::KeepOpen).await;
            tokio::time::sleep(STEP).await;
        }
        let new = understand(&self.request.description)
            .context("the description names no part, only numbers")?;
        let part = self
            .app
            .database
            .insert(new)
            .await
            .context("store the part")?;
        Ok(serde_json::to_value(part)?)
    }

    /// Reports as well as it can: a client that is gone stops no creation.
    async fn report(&self, name: &str, data: &Value, after: After) {
        let request_id = &self.request.request_id;
        let Some(token) = self.app.streams.token(request_id) else {
            log::failure(format_args!(
                "task {}: `{name}` has no stream, none is open for {request_id}",
                self.task_id
            ));
            return;
        };
        if let Err(error) = self.gateway.send(&token, name, data, after).await {
            log::failure(format_args!("task {}: `{name}`: {error:#}", self.task_id));
        }
    }
}

/// The first number is the quantity, the rest is the name.
fn understand(description: &str) -> Option<NewPart> {
    let mut quantity = None;
    let mut words = Vec::new();
    for word in description.split_whitespace() {
        match word.parse::<u16>() {
            Ok(number) if quantity.is_none() => quantity = Some(number),
            _ => words.push(word),
        }
    }
    let name: String = words.join(" ").chars().take(100).collect();
    let first = name.chars().find(|c| c.is_alphabetic())?;
    Some(NewPart {
        name: name.replacen(first, &first.to_uppercase().to_string(), 1),
        quantity: quantity.map_or(1, i64::from),
    })
}

#[cfg(test)]
mod tests {
    use super::understand;

    #[test]
    fn the_first_number_is_the_quantity() {
        let part = understand("12 brass hinges, size 3").expect("a part");
        assert_eq!(
            (part.name.as_str(), part.quantity),
            ("Brass hinges, size 3", 12)
        );
    }

    #[test]
    fn without_a_number_it_is_one() {
        let part = understand("door handle").expect("a part");
        assert_eq!((part.name.as_str(), part.quantity), ("Door handle", 1));
    }

    #[test]
    fn numbers_alone_name_no_part() {
        assert!(understand("12 13").is_none());
    }
}
