//! Finds the engine that the docker CLI would talk to, or else Podman.

use std::{
    collections::BTreeMap, convert::Infallible, fmt, io, path::PathBuf, str::FromStr, sync::Arc,
    time::Duration,
};

use tokio::net::TcpStream;

use super::{
    Engine,
    config::{self, DockerConfig},
    docker::{BOLLARD_TIMEOUT, Credentials, Docker},
};

/// How long one candidate may take to answer: Podman needs seconds on a busy machine.
const PROBE: Duration = Duration::from_secs(15);

/// Which engine is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EngineChoice {
    /// The docker CLI's, or else Podman.
    #[default]
    Auto,
    /// The docker CLI's.
    Docker,
    /// Podman.
    Podman,
    /// The one at this URL.
    Url(String),
}

impl FromStr for EngineChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "auto" => Self::Auto,
            "docker" => Self::Docker,
            "podman" => Self::Podman,
            url => Self::Url(url.to_owned()),
        })
    }
}

impl fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Url(url) => url,
        })
    }
}

/// Where to look for an engine.
#[derive(Debug, Clone, Default)]
pub struct ConnectRequest {
    /// Which engine.
    pub engine: EngineChoice,
    /// The environment variables to go by; those of the process are never read.
    pub environment: BTreeMap<String, String>,
}

/// No engine answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no container engine answered")]
pub struct ConnectError {
    /// Every place that was tried, in order.
    pub attempts: Vec<Attempt>,
}

/// A place where an engine was looked for in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Why it was tried: `DOCKER_HOST`, `Docker's default socket`.
    pub what: String,
    /// Its URL, where there is one.
    pub endpoint: String,
    /// What went wrong, and where there is one, the way around.
    pub why: String,
}

impl Attempt {
    /// Why it was tried, and its URL.
    pub fn place(&self) -> String {
        match self.endpoint.as_str() {
            "" => self.what.clone(),
            endpoint => format!("{} ({endpoint})", self.what),
        }
    }
}

/// Connects to the first engine that answers.
///
/// What was chosen explicitly (a URL, `DOCKER_HOST`, a context) has to answer: tests
/// that run on another engine than the one that was named would mislead.
pub async fn connect(request: &ConnectRequest) -> Result<Arc<dyn Engine>, ConnectError> {
    let environment = &request.environment;
    let config = DockerConfig::read(environment);
    let mut attempts = Vec::new();
    for candidate in candidates(&request.engine, environment, config.as_ref()) {
        let login_file = config.as_ref().map(|config| config.file.clone());
        let credentials = Credentials::new(login_file.unwrap_or_default(), environment.clone());
        match probe(&candidate, credentials).await {
            Ok(engine) => return Ok(Arc::new(engine)),
            Err(why) => attempts.push(Attempt {
                what: candidate.what,
                endpoint: candidate.endpoint,
                why,
            }),
        }
        if candidate.explicit {
            break;
        }
    }
    Err(ConnectError { attempts })
}

/// A place where an engine may be.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    what: String,
    endpoint: String,
    /// Someone asked for this one; nothing else will do.
    explicit: bool,
    tls: bool,
    /// Why it need not be tried.
    broken: Option<String>,
}

impl Candidate {
    fn explicit(what: impl Into<String>, endpoint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            endpoint: endpoint.into(),
            explicit: true,
            tls: false,
            broken: None,
        }
    }

    fn socket(what: &str, path: impl Into<PathBuf>) -> Self {
        Self {
            explicit: false,
            ..Self::explicit(what, format!("unix://{}", path.into().display()))
        }
    }

    fn broken(what: String, why: String) -> Self {
        Self {
            broken: Some(why),
            ..Self::explicit(what, String::new())
        }
    }
}

/// The places to look at, in order.
fn candidates(
    choice: &EngineChoice,
    environment: &BTreeMap<String, String>,
    config: Result<&DockerConfig, &io::Error>,
) -> Vec<Candidate> {
    match choice {
        EngineChoice::Url(url) => vec![Candidate {
            tls: wants_tls(environment),
            ..Candidate::explicit("the given URL", url)
        }],
        EngineChoice::Docker => docker_candidates(environment, config),
        EngineChoice::Podman => podman_candidates(environment),
        EngineChoice::Auto => {
            let mut all = docker_candidates(environment, config);
            all.extend(podman_candidates(environment));
            all
        }
    }
}

/// As the docker CLI looks for its engine: `DOCKER_HOST` before any context, a context
/// before the sockets.
fn docker_candidates(
    environment: &BTreeMap<String, String>,
    config: Result<&DockerConfig, &io::Error>,
) -> Vec<Candidate> {
    if let Some(host) = set(environment, "DOCKER_HOST") {
        return vec![Candidate {
            tls: wants_tls(environment),
            ..Candidate::explicit("DOCKER_HOST", host)
        }];
    }
    let named = set(environment, "DOCKER_CONTEXT");
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            let what = "the docker CLI's configuration".to_owned();
            return vec![Candidate::broken(what, error.to_string())];
        }
    };
    match named.or(config.file.current_context.as_deref()) {
        None | Some("" | "default") => docker_sockets(environment),
        Some(name) => vec![context_candidate(config, name)],
    }
}

fn context_candidate(config: &DockerConfig, name: &str) -> Candidate {
    let what = format!("docker context `{name}`");
    match config.context(name) {
        Ok(endpoint) => Candidate {
            tls: endpoint.tls,
            ..Candidate::explicit(what, endpoint.host)
        },
        Err(error) => Candidate::broken(what, format!("there is no such context: {error}")),
    }
}

fn docker_sockets(environment: &BTreeMap<String, String>) -> Vec<Candidate> {
    if cfg!(windows) {
        let mut pipe =
            Candidate::explicit("Docker's default pipe", "npipe:////./pipe/docker_engine");
        pipe.explicit = false;
        return vec![pipe];
    }
    let mut found = vec![Candidate::socket(
        "Docker's default socket",
        "/var/run/docker.sock",
    )];
    if let Some(runtime) = set(environment, "XDG_RUNTIME_DIR") {
        let path = PathBuf::from(runtime).join("docker.sock");
        found.push(Candidate::socket("rootless Docker's socket", path));
    }
    if let Some(home) = config::home(environment) {
        let docker = home.join(".docker");
        for path in ["run/docker.sock", "desktop/docker.sock"] {
            found.push(Candidate::socket(
                "Docker Desktop's socket",
                docker.join(path),
            ));
        }
    }
    found
}

fn podman_candidates(environment: &BTreeMap<String, String>) -> Vec<Candidate> {
    if let Some(host) = set(environment, "CONTAINER_HOST") {
        return vec![Candidate::explicit("CONTAINER_HOST", host)];
    }
    if cfg!(windows) {
        return Vec::new();
    }
    let mut found = vec![Candidate::socket(
        "Podman's default socket",
        "/run/podman/podman.sock",
    )];
    if let Some(runtime) = set(environment, "XDG_RUNTIME_DIR") {
        let path = PathBuf::from(runtime).join("podman/podman.sock");
        found.push(Candidate::socket("rootless Podman's socket", path));
    }
    found
}

fn set<'a>(environment: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    let value = environment.get(name)?.as_str();
    (!value.is_empty()).then_some(value)
}

fn wants_tls(environment: &BTreeMap<String, String>) -> bool {
    set(environment, "DOCKER_TLS_VERIFY").is_some()
}

async fn probe(candidate: &Candidate, credentials: Credentials) -> Result<Docker, String> {
    if let Some(why) = &candidate.broken {
        return Err(why.clone());
    }
    let probe = async {
        let client = client(&candidate.endpoint, candidate.tls).await?;
        Docker::new(client, &candidate.endpoint, credentials)
            .await
            .map_err(|error| crate::error::chain(&error))
    };
    match tokio::time::timeout(PROBE, probe).await {
        Ok(answer) => answer,
        Err(_) => Err(format!(
            "it did not answer within {}",
            crate::text::duration(PROBE)
        )),
    }
}

/// A client for the URL, once its transport has been seen to work: bollard's own errors
/// do not tell a missing socket from a forbidden one.
async fn client(endpoint: &str, tls: bool) -> Result<bollard::Docker, String> {
    let (scheme, address) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let built = match scheme {
        "unix" => {
            knock_unix(address).await?;
            bollard::Docker::connect_with_unix(
                endpoint,
                BOLLARD_TIMEOUT,
                bollard::API_DEFAULT_VERSION,
            )
        }
        "https" => return Err(no_tls()),
        "tcp" | "http" if tls => return Err(no_tls()),
        "tcp" | "http" => {
            let address = address.trim_end_matches('/');
            knock_tcp(address).await?;
            bollard::Docker::connect_with_http(
                address,
                BOLLARD_TIMEOUT,
                bollard::API_DEFAULT_VERSION,
            )
        }
        "npipe" => return named_pipe(endpoint),
        "ssh" => return Err(no_ssh(address)),
        _ => {
            return Err(
                "it is no URL of an engine: `unix://`, `tcp://`, `http://` and `npipe://` are \
                 understood"
                    .to_owned(),
            );
        }
    };
    built.map_err(|error| crate::error::chain(&error))
}

#[cfg(unix)]
async fn knock_unix(path: &str) -> Result<(), String> {
    match tokio::net::UnixStream::connect(path).await {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::PermissionDenied => {
                "permission denied: is this user in the group that owns the socket?".to_owned()
            }
            io::ErrorKind::ConnectionRefused => {
                "connection refused: the socket is there, but nothing listens on it".to_owned()
            }
            _ => error.to_string(),
        }),
    }
}

#[cfg(not(unix))]
async fn knock_unix(_path: &str) -> Result<(), String> {
    Err("there are no Unix sockets on this system".to_owned())
}

async fn knock_tcp(address: &str) -> Result<(), String> {
    match TcpStream::connect(address).await {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                "connection refused: nothing listens at this address".to_owned()
            }
            _ => error.to_string(),
        }),
    }
}

#[cfg(windows)]
fn named_pipe(endpoint: &str) -> Result<bollard::Docker, String> {
    bollard::Docker::connect_with_named_pipe(
        endpoint,
        BOLLARD_TIMEOUT,
        bollard::API_DEFAULT_VERSION,
    )
    .map_err(|error| crate::error::chain(&error))
}

#[cfg(not(windows))]
fn named_pipe(_endpoint: &str) -> Result<bollard::Docker, String> {
    Err("named pipes are there on Windows only".to_owned())
}

fn no_tls() -> String {
    "TLS is not supported; forward the engine's socket instead: \
     `ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock USER@HOST`, \
     then DOCKER_HOST=unix:///tmp/engine.sock"
        .to_owned()
}

fn no_ssh(address: &str) -> String {
    let host = address.split('/').next().unwrap_or(address);
    format!(
        "ssh is not spoken directly; forward the engine's socket instead: \
         `ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock {host}`, \
         then DOCKER_HOST=unix:///tmp/engine.sock"
    )
}

#[cfg(test)]
mod tests;
