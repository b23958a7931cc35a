//! Which stream of the gateway belongs to which request.
//!
//! A client chooses a `request_id`, opens a stream with it in the URL, and
//! names it again when it asks for work; the gateway knows the stream by a
//! token. Its callbacks say which token has which `request_id`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::App;
use crate::error::{ApiError, Body};
use crate::log;

/// The open streams: tokens by `request_id`.
#[derive(Clone, Default)]
pub struct Streams {
    tokens: Arc<Mutex<HashMap<String, String>>>,
}

impl Streams {
    /// The token of the stream that was opened for `request_id`.
    pub fn token(&self, request_id: &str) -> Option<String> {
        self.lock().get(request_id).cloned()
    }

    fn bind(&self, request_id: String, token: String) {
        self.lock().insert(request_id, token);
    }

    fn release(&self, request_id: &str, token: &str) {
        let mut tokens = self.lock();
        // A client that reconnects may be bound anew before the end of its
        // former stream is told: that must not release the new one.
        if tokens.get(request_id).is_some_and(|bound| bound == token) {
            tokens.remove(request_id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the gateway posts.
#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Callback {
    Connect {
        token: String,
        request: ClientRequest,
    },
    Disconnect {
        token: String,
        reason: String,
        request: ClientRequest,
    },
}

/// The client's request, as the gateway saw it.
#[derive(Deserialize)]
pub struct ClientRequest {
    url: String,
}

impl ClientRequest {
    fn request_id(&self) -> Option<String> {
        let uri: Uri = self.url.parse().ok()?;
        let Query(mut query) = Query::<HashMap<String, String>>::try_from_uri(&uri).ok()?;
        query.remove("request_id").filter(|id| !id.is_empty())
    }
}

/// `POST /api/sse/callback`. A refusal here is what the client gets.
pub async fn callback(
    State(app): State<App>,
    Body(callback): Body<Callback>,
) -> Result<Json<Value>, ApiError> {
    match callback {
        Callback::Connect { token, request } => {
            let request_id = request.request_id().ok_or_else(|| {
                ApiError::new(
                    StatusCode::BAD_REQUEST,
                    format!("no request_id in {}", request.url),
                )
            })?;
            log::line(format_args!("stream {token} is bound to {request_id}"));
            app.streams.bind(request_id, token);
        }
        Callback::Disconnect {
            token,
            reason,
            request,
        } => {
            log::line(format_args!("stream {token} has ended: {reason}"));
            if let Some(request_id) = request.request_id() {
                app.streams.release(&request_id, &token);
            }
        }
    }
    Ok(Json(json!({ "status": "ok" })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str) -> ClientRequest {
        ClientRequest { url: url.into() }
    }

    #[test]
    fn request_id_is_taken_from_the_query_and_decoded() {
        assert_eq!(
            request("/stream?a=b&request_id=1%202").request_id(),
            Some("1 2".into())
        );
    }

    #[test]
    fn a_missing_or_empty_request_id_is_none() {
        assert_eq!(request("/stream").request_id(), None);
        assert_eq!(request("/stream?request_id=").request_id(), None);
    }

    #[test]
    fn the_end_of_a_former_stream_keeps_the_new_one() {
        let streams = Streams::default();
        streams.bind("r".into(), "first".into());
        streams.bind("r".into(), "second".into());
        streams.release("r", "first");
        assert_eq!(streams.token("r"), Some("second".into()));
        streams.release("r", "second");
        assert_eq!(streams.token("r"), None);
    }
}
