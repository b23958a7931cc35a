//! The sample stack's frontend: one page, and the proxy that lets it reach the
//! other services under its own origin.
//!
//! - `frontend` serves.
//! - `frontend healthcheck` exits 0 when the running server is ready.

mod api;
mod config;
mod healthcheck;
mod log;
mod page;
mod proxy;
mod server;
mod status;
mod upstream;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use tokio_util::sync::CancellationToken;

use api::Frontend;
use config::Config;
use server::Server;

fn main() -> ExitCode {
    match run(std::env::args().nth(1).as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::failure(format_args!("frontend: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Option<&str>) -> Result<()> {
    match command {
        None => {
            let config = Config::from_env()?;
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("start the runtime")?
                .block_on(serve(config))
        }
        // Ready means that the page is served. Whether the other two can be
        // reached is what the page shows, not a reason to hide it.
        Some("healthcheck") => healthcheck::run(config::port()?, "/"),
        Some(other) => bail!("unknown command `{other}`: expected nothing or `healthcheck`"),
    }
}

async fn serve(config: Config) -> Result<()> {
    let server = Server::bind(config.port).await?;
    let stopping = CancellationToken::new();
    let frontend = Frontend::new(config, stopping.clone());
    server.run(api::router(frontend), &stopping).await
}
