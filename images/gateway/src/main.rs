//! The sample stack's SSE gateway: it owns the clients' event streams on behalf
//! of a backend, asks that backend by callback whether a stream may open, and
//! tells it when one has ended.
//!
//! - `gateway` serves.
//! - `gateway healthcheck` exits 0 when the running server is ready.

mod api;
mod callback;
mod config;
mod connections;
mod frame;
mod healthcheck;
mod log;
mod server;
mod stream;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio_util::sync::CancellationToken;

use api::Gateway;
use config::Config;
use server::Server;

/// What the last disconnect callbacks get after a signal.
const LAST_CALLBACKS: Duration = Duration::from_millis(400);

fn main() -> ExitCode {
    match run(std::env::args().nth(1).as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::failure(format_args!("gateway: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Option<&str>) -> Result<()> {
    let config = Config::from_env()?;
    match command {
        None => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start the runtime")?
            .block_on(serve(config)),
        Some("healthcheck") => healthcheck::run(config.port, api::READY_PATH),
        Some(other) => bail!("unknown command `{other}`: expected nothing or `healthcheck`"),
    }
}

async fn serve(config: Config) -> Result<()> {
    let server = Server::bind(config.port).await?;
    let gateway = Gateway::new(config);
    let stopping = CancellationToken::new();
    let close_streams = async {
        stopping.cancelled().await;
        gateway.close_all();
    };
    let serve = async {
        let result = server.run(api::router(gateway.clone()), &stopping).await;
        // A server that fails by itself has streams to close as well.
        stopping.cancel();
        result
    };
    let (result, ()) = tokio::join!(serve, close_streams);
    let told = tokio::time::timeout(LAST_CALLBACKS, gateway.callbacks_done()).await;
    if told.is_err() {
        log::failure(format_args!(
            "disconnect callbacks were still open and are cut"
        ));
    }
    result
}
