//! The sample stack's backend: a parts inventory over SQLite that reports
//! background work through the SSE gateway.
//!
//! - `backend` serves the API.
//! - `backend seed` creates the database with its test data and exits.
//! - `backend healthcheck` exits 0 when the running server is ready.

mod ai;
mod api;
mod config;
mod database;
mod error;
mod gateway;
mod healthcheck;
mod log;
mod server;
mod streams;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use api::App;
use config::Config;
use database::Database;
use gateway::Gateway;
use server::Server;
use streams::Streams;

fn main() -> ExitCode {
    match run(std::env::args().nth(1).as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::failure(format_args!("backend: {error:#}"));
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
        Some("seed") => {
            let database = Database::open(&config.database_path)?;
            let count = database.count()?;
            let path = config.database_path.display();
            log::line(format_args!("{path} holds {count} parts"));
            Ok(())
        }
        Some("healthcheck") => healthcheck::run(config.port, api::READY_PATH),
        Some(other) => bail!("unknown command `{other}`: expected nothing, `seed`, `healthcheck`"),
    }
}

async fn serve(config: Config) -> Result<()> {
    // The port is bound last: whoever can connect finds a database behind it.
    let app = App {
        database: Database::open(&config.database_path)?,
        gateway: config.gateway_url.as_deref().map(Gateway::new),
        streams: Streams::default(),
        tasks: TaskTracker::new(),
    };
    let server = Server::bind(config.port).await?;
    server
        .run(api::router(app.clone()), &CancellationToken::new())
        .await?;
    // A creation in progress takes some tens of milliseconds a step and is
    // let finish, so that no stream ends without its `result`.
    app.tasks.close();
    let finished = tokio::time::timeout(ai::LONGEST, app.tasks.wait()).await;
    if finished.is_err() {
        log::failure(format_args!("creations were still running and are cut"));
    }
    Ok(())
}
