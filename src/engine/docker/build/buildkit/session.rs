//! What the engine asks for during a build: files, secrets, logins, SSH agents.

use std::{collections::HashMap, io, path::PathBuf, sync::Arc};

use bollard_buildkit_proto::{
    health::{
        HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
        health_check_response::ServingStatus,
        health_server::{Health, HealthServer},
    },
    moby::{
        buildkit::secrets::v1::{
            GetSecretRequest, GetSecretResponse,
            secrets_server::{Secrets, SecretsServer},
        },
        filesync::{
            packet::file_sync_server::FileSyncServer,
            v1::{
                CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
                GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
                VerifyTokenAuthorityResponse,
                auth_server::{Auth, AuthServer},
            },
        },
        sshforward::v1::{
            BytesMessage, CheckAgentRequest, CheckAgentResponse,
            ssh_server::{Ssh, SshServer},
        },
    },
};
use futures::{StreamExt, future, stream::BoxStream};
use hyper::{server::conn::http2, upgrade::Upgraded};
use hyper_util::{rt::TokioTimer, service::TowerToHyperService};
use sha2::{Digest, Sha256};
use tonic::{Request, Response, Status, Streaming, service::Routes};

use crate::{
    engine::{
        Result,
        config::hex,
        docker::{Credentials, Docker, credentials::DOCKER_HUB},
    },
    spec::{BuildSpec, SecretSource},
};

use super::{
    files::Files,
    transport::{Tasks, Upgrade},
};
use crate::engine::docker::build::Attempt;

/// What can be asked for, as the engine is told. It tells methods apart in lower case.
const METHODS: [&str; 5] = [
    "/grpc.health.v1.Health/check",
    "/moby.filesync.v1.Auth/credentials",
    "/moby.filesync.v1.FileSync/diffcopy",
    "/moby.buildkit.secrets.v1.Secrets/getsecret",
    "/moby.sshforward.v1.SSH/checkagent",
];

/// What one build may ask for.
pub(super) struct Session {
    engine: Docker,
    files: Files,
    secrets: HashMap<String, SecretSource>,
    agents: HashMap<String, PathBuf>,
    /// By this, the engine finds what it has of an earlier build's files.
    key: String,
}

impl Session {
    pub(super) fn new(engine: &Docker, spec: &BuildSpec, attempt: &Attempt) -> Result<Self> {
        let build = &spec.build;
        let mut agents = HashMap::new();
        for agent in &build.ssh {
            let socket = agent.socket.clone().ok_or_else(|| {
                let id = &agent.id;
                attempt.unsupported(format!("it needs the SSH agent `{id}`, but none runs"))
            })?;
            if !is_socket(&socket) {
                let why = format!(
                    "`{}` is no socket of an SSH agent, and keys are not read from files",
                    socket.display()
                );
                return Err(attempt.unsupported(why));
            }
            agents.insert(agent.id.clone(), socket);
        }
        let secrets = build.secrets.iter();
        Ok(Self {
            engine: engine.clone(),
            files: Files::new(spec),
            secrets: secrets
                .map(|secret| (secret.id.clone(), secret.source.clone()))
                .collect(),
            agents,
            key: hex(&Sha256::digest(&build.context)),
        })
    }

    /// Opens the connection on which the engine asks.
    pub(super) async fn open(self, id: &str) -> io::Result<Served> {
        let mut upgrade = Upgrade::new(&self.engine, "/session")
            .header("X-Docker-Expose-Session-Uuid", id)
            .header("X-Docker-Expose-Session-Name", "stackrun")
            .header("X-Docker-Expose-Session-Sharedkey", &self.key);
        for method in METHODS {
            upgrade = upgrade.header("X-Docker-Expose-Session-Grpc-Method", method);
        }
        let connection = upgrade.open().await?;
        let credentials = self.engine.credentials;
        let routes = Routes::new(HealthServer::new(Alive))
            .add_service(AuthServer::new(Logins(credentials)))
            .add_service(FileSyncServer::new(self.files))
            .add_service(SecretsServer::new(SecretFiles(self.secrets)))
            .add_service(SshServer::new(Agents(Arc::new(self.agents))));
        Ok(Served { connection, routes })
    }
}

/// An open session.
pub(super) struct Served {
    connection: Upgraded,
    routes: Routes,
}

impl Served {
    /// Answers the engine until it closes the connection.
    pub(super) async fn run(self) {
        let connection = http2::Builder::new(Tasks::default())
            .timer(TokioTimer::new())
            .serve_connection(self.connection, TowerToHyperService::new(self.routes));
        if let Err(error) = connection.await {
            tracing::debug!("a build's session ended: {error}");
        }
    }
}

#[cfg(unix)]
fn is_socket(path: &std::path::Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

#[cfg(not(unix))]
fn is_socket(_path: &std::path::Path) -> bool {
    false
}

/// The engine asks every second whether somebody is still there.
struct Alive;

#[tonic::async_trait]
impl Health for Alive {
    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let status = ServingStatus::Serving.into();
        Ok(Response::new(HealthCheckResponse { status }))
    }

    async fn list(
        &self,
        _: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Err(not_offered())
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(not_offered())
    }
}

fn not_offered() -> Status {
    Status::unimplemented("not offered")
}

/// Logins for registries. Tokens are left to the engine, which can get them itself.
struct Logins(Credentials);

#[tonic::async_trait]
impl Auth for Logins {
    async fn credentials(
        &self,
        request: Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        let registry = match request.get_ref().host.as_str() {
            "registry-1.docker.io" | "docker.io" | "index.docker.io" => DOCKER_HUB,
            host => host,
        };
        let login = self.0.for_registry(registry).await.unwrap_or_default();
        // Where there is no name, the password is a token.
        let answer = match login.identitytoken {
            Some(secret) => CredentialsResponse {
                username: String::new(),
                secret,
            },
            None => CredentialsResponse {
                username: login.username.unwrap_or_default(),
                secret: login.password.unwrap_or_default(),
            },
        };
        Ok(Response::new(answer))
    }

    async fn fetch_token(
        &self,
        _: Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        Err(not_offered())
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(not_offered())
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(not_offered())
    }
}

/// Secrets by id.
struct SecretFiles(HashMap<String, SecretSource>);

#[tonic::async_trait]
impl Secrets for SecretFiles {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = &request.get_ref().id;
        let data = match self.0.get(id) {
            Some(SecretSource::Value(value)) => value.expose().as_bytes().to_vec(),
            Some(SecretSource::File(path)) => tokio::fs::read(path)
                .await
                .map_err(|error| Status::internal(format!("{}: {error}", path.display())))?,
            // A step that can do without goes on at this.
            None => return Err(Status::not_found(format!("there is no secret `{id}`"))),
        };
        Ok(Response::new(GetSecretResponse { data }))
    }
}

/// Sockets of SSH agents by id.
struct Agents(Arc<HashMap<String, PathBuf>>);

impl Agents {
    fn socket(&self, id: &str) -> Result<&PathBuf, Status> {
        let id = if id.is_empty() { "default" } else { id };
        let socket = self.0.get(id);
        socket.ok_or_else(|| Status::not_found(format!("there is no SSH agent `{id}`")))
    }
}

#[tonic::async_trait]
impl Ssh for Agents {
    async fn check_agent(
        &self,
        request: Request<CheckAgentRequest>,
    ) -> Result<Response<CheckAgentResponse>, Status> {
        self.socket(&request.get_ref().id)?;
        Ok(Response::new(CheckAgentResponse {}))
    }

    type ForwardAgentStream = BoxStream<'static, Result<BytesMessage, Status>>;

    async fn forward_agent(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::ForwardAgentStream>, Status> {
        let id = request.metadata().get("buildkit.ssh.id");
        let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
        let socket = self.socket(id)?.clone();
        forward(socket, request.into_inner()).await
    }
}

/// Passes on what the engine says to the agent, and what the agent says to the engine.
#[cfg(unix)]
async fn forward(
    socket: PathBuf,
    mut said: Streaming<BytesMessage>,
) -> Result<Response<BoxStream<'static, Result<BytesMessage, Status>>>, Status> {
    use tokio::io::AsyncWriteExt as _;

    let agent = tokio::net::UnixStream::connect(socket).await?;
    let (answers, mut questions) = agent.into_split();
    let asking = async move {
        while let Some(message) = said.message().await? {
            questions.write_all(&message.data).await?;
        }
        questions.shutdown().await?;
        Ok::<_, Status>(())
    };
    let asking = futures::stream::once(asking).filter_map(|end| future::ready(end.err().map(Err)));
    let answers = tokio_util::io::ReaderStream::new(answers).map(|piece| {
        let data = piece?.to_vec();
        Ok(BytesMessage { data })
    });
    Ok(Response::new(
        futures::stream::select(answers, asking).boxed(),
    ))
}

#[cfg(not(unix))]
async fn forward(
    _socket: PathBuf,
    _said: Streaming<BytesMessage>,
) -> Result<Response<BoxStream<'static, Result<BytesMessage, Status>>>, Status> {
    Err(not_offered())
}
