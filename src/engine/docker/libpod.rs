//! The few things that only Podman's own API tells: one GET request each.
//!
//! bollard speaks Docker's API and nothing else. Podman serves both on one socket; the
//! version in the path is the oldest that is served by Podman 4 and 5.

use std::path::Path;

use bollard::{errors::Error, models::HealthConfig};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, header::HOST};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{engine::Result, spec::Healthcheck};

use super::{
    call::{ORDINARY, call},
    healthcheck,
};

/// Where Podman looks for the programs that resolve names: next to netavark, or among
/// the plugins of CNI. Source: `helper_binaries_dir` and `cni_plugin_dirs` in
/// containers.conf(5).
const AARDVARK: &str = "aardvark-dns";
const AARDVARK_FOLDERS: [&str; 4] = [
    "/usr/local/libexec/podman",
    "/usr/local/lib/podman",
    "/usr/libexec/podman",
    "/usr/lib/podman",
];
const DNSNAME: &str = "dnsname";
const DNSNAME_FOLDERS: [&str; 5] = [
    "/usr/local/libexec/cni",
    "/usr/libexec/cni",
    "/usr/local/lib/cni",
    "/usr/lib/cni",
    "/opt/cni/bin",
];

/// What Podman says of its host, beyond what it says in Docker's words.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Where containers' output is kept by default.
    pub log_driver: String,
    /// `netavark` or `cni`.
    network_backend: String,
}

impl Host {
    /// Whether the program is installed that has names of containers resolved. Podman
    /// 4.3 does not tell, and makes networks without names all the same.
    pub(super) fn resolves_names(&self) -> bool {
        let (program, folders) = match self.network_backend.as_str() {
            "cni" => (DNSNAME, &DNSNAME_FOLDERS[..]),
            _ => (AARDVARK, &AARDVARK_FOLDERS[..]),
        };
        let mut folders = folders.iter();
        folders.any(|folder| Path::new(folder).join(program).exists())
    }
}

/// Asks Podman about its host. To other engines there is no such question.
pub(super) async fn host(endpoint: &str) -> Result<Option<Host>> {
    let request = get(endpoint, "info");
    let info = match call("ask the engine about its host", ORDINARY, request).await {
        Ok(info) => info,
        Err(error) if error.refusal().is_some() => return Ok(None),
        Err(error) => return Err(error),
    };
    let word = |name: &str| {
        let word = info.pointer(&format!("/host/{name}"));
        word.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    Ok(Some(Host {
        log_driver: word("logDriver"),
        network_backend: word("networkBackend"),
    }))
}

/// The health check that an image declares. Podman 4.3 does not tell it in Docker's
/// words.
pub(super) async fn image_healthcheck(
    endpoint: &str,
    reference: &str,
) -> Result<Option<Healthcheck>> {
    let attempted = format!("inspect image `{reference}`");
    let path = format!("images/{reference}/json");
    let mut image = call(&attempted, ORDINARY, get(endpoint, &path)).await?;
    let declared = image.get_mut("Healthcheck").map(Value::take);
    let declared: Option<HealthConfig> =
        declared.and_then(|declared| serde_json::from_value(declared).ok());
    Ok(declared.map(healthcheck::from_engine))
}

async fn get(endpoint: &str, path: &str) -> Result<Value, Error> {
    let path = format!("/v4.0.0/libpod/{path}");
    match endpoint.split_once("://") {
        #[cfg(unix)]
        Some(("unix", socket)) => {
            exchange(tokio::net::UnixStream::connect(socket).await?, &path).await
        }
        other => {
            let address = other.map_or(endpoint, |(_, address)| address);
            let address = address.trim_end_matches('/');
            exchange(tokio::net::TcpStream::connect(address).await?, &path).await
        }
    }
}

async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> Result<Value, Error> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(HOST, "podman")
        .body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, Error>((status, body))
    };
    tokio::pin!(answer, connection);
    // The connection does its work only while it is polled. A server that closes it
    // right after its answer ends it before the answer is looked at.
    let (status, body) = tokio::select! {
        biased;
        answer = &mut answer => answer?,
        ended = &mut connection => {
            ended?;
            answer.await?
        }
    };
    if status.is_success() {
        return Ok(serde_json::from_slice(&body)?);
    }
    Err(Error::DockerResponseServerError {
        status_code: status.as_u16(),
        message: String::from_utf8_lossy(&body).trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn answered(answer: &'static str) -> Result<Value, Error> {
        let (ours, mut theirs) = tokio::io::duplex(4_096);
        let server = async move {
            let mut request = [0; 1_024];
            let length = theirs.read(&mut request).await.expect("a request");
            assert!(request[..length].starts_with(b"GET /info HTTP/1.1\r\n"));
            theirs.write_all(answer.as_bytes()).await.expect("sent");
        };
        tokio::join!(exchange(ours, "/info"), server).0
    }

    #[tokio::test]
    async fn an_answer_is_json() {
        let answer = answered("HTTP/1.1 200 OK\r\n\r\n{\"a\":1}").await;
        assert_eq!(answer.expect("an answer")["a"], 1);
    }

    #[tokio::test]
    async fn a_refusal_is_one() {
        let answer = answered("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno").await;
        assert!(matches!(
            answer,
            Err(Error::DockerResponseServerError { status_code: 404, message }) if message == "no"
        ));
    }
}
