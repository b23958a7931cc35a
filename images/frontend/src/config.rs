//! Settings, all from the environment.

use std::env;

use anyhow::{Context, Result, ensure};
use axum::http::Uri;

/// What the environment says, with its defaults applied.
pub struct Config {
    /// `PORT`, 8080 by default.
    pub port: u16,
    /// `BACKEND_URL`, without a slash at its end.
    pub backend_url: String,
    /// `SSE_GATEWAY_URL`, without a slash at its end.
    pub gateway_url: String,
}

impl Config {
    pub fn from_env() -> Result<Self> {
        Ok(Self {
            port: port()?,
            backend_url: url("BACKEND_URL")?,
            gateway_url: url("SSE_GATEWAY_URL")?,
        })
    }
}

/// The port alone, which is all that the healthcheck needs.
pub fn port() -> Result<u16> {
    match env::var("PORT") {
        Ok(port) => port.parse().with_context(|| format!("PORT={port}")),
        Err(_) => Ok(8080),
    }
}

fn url(name: &str) -> Result<String> {
    let text = env::var(name).with_context(|| name.to_owned())?;
    let uri: Uri = text.parse().with_context(|| format!("{name}={text}"))?;
    ensure!(
        uri.scheme_str() == Some("http") && uri.host().is_some() && uri.query().is_none(),
        "{name}={text}: not the http:// URL of a service"
    );
    Ok(text.trim_end_matches('/').to_owned())
}
