//! Signals that ask stackrun to end.
//!
//! The first one takes everything down in order, the second kills, the third leaves
//! at once: what is left then is found by its labels.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::session::{Shutdown, Urgency, shutdown};

use super::exit_code;

/// The signals that have come.
#[derive(Debug, Clone)]
pub(super) struct Signals {
    received: watch::Receiver<Vec<u8>>,
    /// Raised by each of them.
    pub(super) shutdown: Shutdown,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> Self {
        let (trigger, shutdown) = shutdown();
        let (sender, received) = watch::channel(Vec::new());
        let kinds = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ];
        let mut streams = kinds.map(|kind| signal(kind).expect("these signals can be handled"));
        tokio::spawn(async move {
            loop {
                let [interrupt, terminate, hangup] = &mut streams;
                let number = tokio::select! {
                    _ = interrupt.recv() => kinds[0].as_raw_value(),
                    _ = terminate.recv() => kinds[1].as_raw_value(),
                    _ = hangup.recv() => kinds[2].as_raw_value(),
                };
                let number = u8::try_from(number).unwrap_or_default();
                sender.send_modify(|received| received.push(number));
                if sender.borrow().len() > 2 {
                    leave(number);
                }
                trigger.raise();
            }
        });
        Self { received, shutdown }
    }

    /// The first signal, if one has come.
    pub(super) fn first(&self) -> Option<u8> {
        self.received.borrow().first().copied()
    }

    /// Waits for the next signal, and returns its number.
    pub(super) async fn next(&mut self) -> u8 {
        if self.received.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.received
            .borrow_and_update()
            .last()
            .copied()
            .unwrap_or_default()
    }

    /// Waits for the first signal.
    pub(super) async fn any(&self) {
        self.shutdown.reached(Urgency::Graceful).await;
    }
}

#[expect(clippy::exit, reason = "the third signal asks for exactly that")]
fn leave(signal: u8) -> ! {
    std::process::exit(i32::from(exit_code::SIGNAL + signal));
}
