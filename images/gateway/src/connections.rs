//! The open streams.
//!
//! A connection is open as long as it is in the table; whoever takes it out
//! tells the backend, so that happens exactly once whichever of client, backend
//! and shutdown comes first. The table holds the only sender of the stream's
//! queue: taking the connection out also ends the stream, after what is queued.
//!
//! ```text
//! open ──▶ in the table ──refuse──▶ out, the backend knows why
//!                       ──end────▶ out, the backend is told why
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::callback::{Callback, Reason};
use crate::stream::ClientRequest;

/// Frames that may wait for one client. A client that is further behind does
/// not read, and would cost memory without end.
const QUEUE: usize = 1024;

/// Why a frame could not be queued.
#[derive(Debug, PartialEq, Eq)]
pub enum SendError {
    /// No such stream, or none any more.
    Unknown,
    /// The client does not read; its stream has been ended.
    Stuck,
}

struct Connection {
    frames: Sender<Bytes>,
    request: Arc<ClientRequest>,
}

/// The table of open streams.
#[derive(Clone)]
pub struct Connections {
    table: Arc<Mutex<HashMap<Uuid, Connection>>>,
    callback: Callback,
    callbacks: TaskTracker,
}

impl Connections {
    pub fn new(callback: Callback, callbacks: TaskTracker) -> Self {
        Self {
            table: Arc::default(),
            callback,
            callbacks,
        }
    }

    /// The backend that is asked and told about these connections.
    pub fn callback(&self) -> &Callback {
        &self.callback
    }

    /// Takes a new connection in; frames may be sent to it from here on.
    pub fn open(&self, request: Arc<ClientRequest>) -> (Uuid, Receiver<Bytes>) {
        let token = Uuid::new_v4();
        let (frames, queue) = channel(QUEUE);
        self.lock().insert(token, Connection { frames, request });
        (token, queue)
    }

    /// Queues a frame. Under one lock for all, so that frames keep the order in
    /// which they were asked for.
    pub fn send(&self, token: Uuid, frame: Bytes) -> Result<(), SendError> {
        let outcome = match self.lock().get(&token) {
            None => return Err(SendError::Unknown),
            Some(connection) => connection.frames.try_send(frame),
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(SendError::Unknown),
            Err(TrySendError::Full(_)) => {
                self.end(token, Reason::Error);
                Err(SendError::Stuck)
            }
        }
    }

    /// Ends a stream and tells the backend; says whether it was open.
    pub fn end(&self, token: Uuid, reason: Reason) -> bool {
        let Some(connection) = self.lock().remove(&token) else {
            return false;
        };
        let callback = self.callback.clone();
        self.callbacks.spawn(async move {
            callback
                .disconnect(token, reason, &connection.request)
                .await;
        });
        true
    }

    /// Whether a stream is open.
    pub fn contains(&self, token: Uuid) -> bool {
        self.lock().contains_key(&token)
    }

    /// Forgets a connection that the backend refused, or was never asked about.
    pub fn refuse(&self, token: Uuid) {
        self.lock().remove(&token);
    }

    /// Ends all streams.
    pub fn end_all(&self, reason: Reason) {
        let tokens: Vec<Uuid> = self.lock().keys().copied().collect();
        for token in tokens {
            self.end(token, reason);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Connection>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;

    use super::*;

    #[tokio::test]
    async fn a_client_that_does_not_read_is_cut() {
        let callback = Callback::new(Uri::from_static("http://127.0.0.1:1"));
        let connections = Connections::new(callback, TaskTracker::new());
        let (token, _unread) = connections.open(Arc::default());
        for _ in 0..QUEUE {
            assert_eq!(connections.send(token, Bytes::new()), Ok(()));
        }
        let more = || connections.send(token, Bytes::new());
        assert_eq!(more(), Err(SendError::Stuck));
        assert_eq!(more(), Err(SendError::Unknown));
    }
}
