//! Connections to the engine that begin as HTTP and go on as gRPC.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, StatusCode, client::conn::http1, header, rt::Executor, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};
use tonic::transport::{Channel, Endpoint};

use crate::engine::docker::Docker;

/// A request for a connection that goes on as gRPC.
pub(super) struct Upgrade {
    endpoint: String,
    request: hyper::http::request::Builder,
}

impl Upgrade {
    pub(super) fn new(engine: &Docker, path: &str) -> Self {
        let version = &engine.info.api_version;
        let request = Request::post(format!("/v{version}{path}"))
            .header(header::HOST, "engine")
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "h2c");
        Self {
            endpoint: engine.info.endpoint.clone(),
            request,
        }
    }

    pub(super) fn header(self, name: &str, value: &str) -> Self {
        Self {
            request: self.request.header(name, value),
            ..self
        }
    }

    /// Opens the connection.
    pub(super) async fn open(self) -> io::Result<Upgraded> {
        let (scheme, address) = self.endpoint.split_once("://").unwrap_or_default();
        match scheme {
            #[cfg(unix)]
            "unix" => {
                let socket = tokio::net::UnixStream::connect(address).await?;
                upgrade(socket, self.request).await
            }
            "tcp" | "http" => {
                let socket = TcpStream::connect(address.trim_end_matches('/')).await?;
                upgrade(socket, self.request).await
            }
            _ => Err(io::Error::from(io::ErrorKind::Unsupported)),
        }
    }
}

async fn upgrade(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: hyper::http::request::Builder,
) -> io::Result<Upgraded> {
    let request = request.body(Empty::<Bytes>::new());
    let request = request.map_err(io::Error::other)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket))
        .await
        .map_err(io::Error::other)?;
    // It takes the sender along: without one, the connection ends.
    let answer = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Ok(hyper::upgrade::on(response).await?));
        }
        Ok::<_, hyper::Error>(Err(status))
    };
    // The connection moves only while it is polled.
    let (answer, _) = tokio::join!(answer, connection.with_upgrades());
    let upgraded = answer.map_err(io::Error::other)?;
    upgraded.map_err(|status| io::Error::other(format!("the engine answered with {status}")))
}

/// A channel for gRPC on a connection. It is closed when its last clone is dropped.
pub(super) async fn channel(upgrade: Upgrade) -> io::Result<Channel> {
    let mut upgraded = Some(upgrade.open().await?);
    let connector = tower::service_fn(move |_| {
        // There is one, which is not opened again once it is lost.
        let connection = upgraded.take();
        async move { connection.ok_or(io::Error::from(io::ErrorKind::ConnectionReset)) }
    });
    let endpoint = Endpoint::from_static("http://engine");
    endpoint
        .connect_with_connector(connector)
        .await
        .map_err(io::Error::other)
}

/// Tasks that end, at the latest, when this is dropped.
#[derive(Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}
