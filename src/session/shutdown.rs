//! How urgently everything should end.

use tokio::sync::watch;

/// How urgently everything should end. Only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Go on.
    None,
    /// Stop in order, with grace.
    Graceful,
    /// Kill and remove.
    Immediate,
}

/// The end that raises the urgency.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<Urgency>);

/// The end that learns of it.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<Urgency>);

/// Makes both ends.
pub fn shutdown() -> (ShutdownTrigger, Shutdown) {
    let (sender, receiver) = watch::channel(Urgency::None);
    (ShutdownTrigger(sender), Shutdown(receiver))
}

impl ShutdownTrigger {
    /// Raises the urgency by one; returns the new one.
    pub fn raise(&self) -> Urgency {
        self.0.send_modify(|urgency| {
            *urgency = match urgency {
                Urgency::None => Urgency::Graceful,
                Urgency::Graceful | Urgency::Immediate => Urgency::Immediate,
            };
        });
        *self.0.borrow()
    }
}

impl Shutdown {
    /// The present urgency.
    pub fn urgency(&self) -> Urgency {
        *self.0.borrow()
    }

    /// Waits until the urgency is at least `urgency`; for ever, if nobody can raise it
    /// any more.
    pub async fn reached(&self, urgency: Urgency) {
        let mut receiver = self.0.clone();
        if receiver
            .wait_for(|current| *current >= urgency)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }
}
