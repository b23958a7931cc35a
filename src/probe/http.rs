//! One GET request from the host.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, StatusCode, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::spec::Expect;

/// An answer that takes longer is no answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn get(address: SocketAddr, path: &str, expect: Expect) -> Result<(), String> {
    let status = match timeout(PATIENCE, status_of(address, path)).await {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => return Err(format!("GET {path}: {}", crate::error::chain(&*error))),
        Err(_) => return Err(format!("GET {path}: no answer")),
    };
    if expect.accepts(status.as_u16()) {
        Ok(())
    } else {
        Err(format!("GET {path}: status {status}"))
    }
}

async fn status_of(
    address: SocketAddr,
    path: &str,
) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(HOST, address.to_string())
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request);
    tokio::pin!(response, connection);
    // The connection does its work only while it is polled. A server that closes it
    // right after its answer ends it before the answer is looked at.
    let response = tokio::select! {
        biased;
        response = &mut response => response?,
        ended = &mut connection => {
            ended?;
            response.await?
        }
    };
    Ok(response.status())
}
