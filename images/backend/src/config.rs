//! Settings, all from the environment.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// What the environment says, with its defaults applied.
pub struct Config {
    /// `PORT`, 5000 by default.
    pub port: u16,
    /// `DATABASE_PATH`, `/data/parts.sqlite` by default.
    pub database_path: PathBuf,
    /// `SSE_GATEWAY_URL`. Without it everything works but creation by AI.
    pub gateway_url: Option<String>,
}

impl Config {
    pub fn from_env() -> Result<Self> {
        let port = match env::var("PORT") {
            Ok(port) => port.parse().with_context(|| format!("PORT={port}"))?,
            Err(_) => 5000,
        };
        let database_path = env::var_os("DATABASE_PATH")
            .map_or_else(|| PathBuf::from("/data/parts.sqlite"), PathBuf::from);
        Ok(Self {
            port,
            database_path,
            gateway_url: env::var("SSE_GATEWAY_URL").ok(),
        })
    }
}
