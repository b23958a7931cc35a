//! Settings, all from the environment.

use std::env;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::http::Uri;

/// What the environment says, with its defaults applied.
pub struct Config {
    /// `PORT`, 3000 by default.
    pub port: u16,
    /// `CALLBACK_URL`. Without it the gateway runs, but is not ready.
    pub callback_url: Option<Uri>,
    /// `HEARTBEAT_INTERVAL_SECONDS`, 15 by default.
    pub heartbeat_interval: Duration,
}

impl Config {
    pub fn from_env() -> Result<Self> {
        let port = match env::var("PORT") {
            Ok(port) => port.parse().with_context(|| format!("PORT={port}"))?,
            Err(_) => 3000,
        };
        let callback_url = match env::var("CALLBACK_URL") {
            Ok(url) => Some(parse_url(&url).with_context(|| format!("CALLBACK_URL={url}"))?),
            Err(_) => None,
        };
        let heartbeat_interval = match env::var("HEARTBEAT_INTERVAL_SECONDS") {
            Ok(text) => parse_interval(&text)
                .with_context(|| format!("HEARTBEAT_INTERVAL_SECONDS={text}"))?,
            Err(_) => Duration::from_secs(15),
        };
        Ok(Self {
            port,
            callback_url,
            heartbeat_interval,
        })
    }
}

fn parse_url(text: &str) -> Result<Uri> {
    let uri: Uri = text.parse()?;
    ensure!(
        uri.scheme_str() == Some("http") && uri.host().is_some(),
        "not an http:// URL"
    );
    Ok(uri)
}

fn parse_interval(text: &str) -> Result<Duration> {
    let interval = Duration::try_from_secs_f64(text.parse()?)?;
    ensure!(!interval.is_zero(), "not above zero");
    Ok(interval)
}
