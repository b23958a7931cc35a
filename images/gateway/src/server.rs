//! Listening, and stopping in time.

use std::future::IntoFuture;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::middleware;
use axum::serve::ListenerExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::log;

/// What requests in flight get after a signal. Whatever is still open then is
/// cut: a stop has to be over within a second.
const GRACE: Duration = Duration::from_millis(500);

/// A bound port and the signals that end its service.
pub struct Server {
    listener: TcpListener,
    terminate: Signal,
    interrupt: Signal,
}

impl Server {
    /// Binds `port` on all interfaces; port 0 takes a free one.
    pub async fn bind(port: u16) -> Result<Self> {
        // Before listening, not after: process 1 of a container has no default
        // signal handlers, so a SIGTERM that comes before these is lost.
        let terminate = signal(SignalKind::terminate()).context("install the SIGTERM handler")?;
        let interrupt = signal(SignalKind::interrupt()).context("install the SIGINT handler")?;
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
            .await
            .with_context(|| format!("listen on port {port}"))?;
        log::line(format_args!("listening on {}", listener.local_addr()?));
        Ok(Self {
            listener,
            terminate,
            interrupt,
        })
    }

    /// Serves until SIGTERM or SIGINT, then cancels `stopping` and lets the
    /// open requests finish.
    pub async fn run(mut self, router: Router, stopping: &CancellationToken) -> Result<()> {
        let router = router.layer(middleware::from_fn(log::requests));
        // Events are small and go out one by one: never wait to fill a packet.
        let listener = self.listener.tap_io(|stream: &mut TcpStream| {
            let _ = stream.set_nodelay(true);
        });
        let mut server = pin!(
            axum::serve(listener, router)
                .with_graceful_shutdown(stopping.clone().cancelled_owned())
                .into_future()
        );
        let name = tokio::select! {
            result = &mut server => return result.context("serve"),
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        };
        log::line(format_args!("{name}: stopping"));
        stopping.cancel();
        let Ok(result) = tokio::time::timeout(GRACE, server).await else {
            log::failure(format_args!("requests were still open and are cut"));
            return Ok(());
        };
        result.context("serve")
    }
}
