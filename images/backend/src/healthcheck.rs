//! The container's healthcheck: this same binary asks the server over
//! loopback. An image `FROM scratch` has no curl, and a blocking socket is
//! done before an async runtime would have started.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Longer than any readiness endpoint takes, shorter than the healthcheck's
/// own time-out, so that the reason is told before the engine kills us.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Succeeds if `GET path` on 127.0.0.1 answers 2xx.
pub fn run(port: u16, path: &str) -> Result<()> {
    let answer = get(port, path).with_context(|| format!("GET http://127.0.0.1:{port}{path}"))?;
    let status = answer.split(' ').nth(1).unwrap_or_default();
    if status.len() == 3 && status.starts_with('2') {
        return Ok(());
    }
    // The body carries the reason: it ends up in the engine's health log.
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    bail!("GET {path} answered {status:?}: {}", body.trim());
}

fn get(port: u16, path: &str) -> Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
