//! The docker CLI's configuration: which engine it talks to, and its logins.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The directory of the docker CLI's configuration, and what its `config.json` says.
#[derive(Debug, Clone, Default)]
pub(super) struct DockerConfig {
    directory: PathBuf,
    pub(super) file: ConfigFile,
}

/// `config.json`, as far as it matters here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ConfigFile {
    /// The context in use.
    pub(super) current_context: Option<String>,
    /// Logins by registry, in the file itself.
    pub(super) auths: BTreeMap<String, Auth>,
    /// Suffix of the program that keeps all other logins.
    pub(super) creds_store: Option<String>,
    /// Suffix of the program that keeps the login, by registry.
    pub(super) cred_helpers: BTreeMap<String, String>,
}

/// A login in `config.json`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Auth {
    /// `name:password` in base64.
    #[serde(rename = "auth")]
    pub(super) basic: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) identitytoken: Option<String>,
    pub(super) registrytoken: Option<String>,
}

/// A secret is nothing for a log.
impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

/// Where a context leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContextEndpoint {
    /// The engine's URL.
    pub(super) host: String,
    /// Certificates belong to it.
    pub(super) tls: bool,
}

impl DockerConfig {
    /// Reads the configuration that `environment` points at. None at all is fine; one
    /// that cannot be read is told, because it may name another engine.
    pub(super) fn read(environment: &BTreeMap<String, String>) -> io::Result<Self> {
        let Some(directory) = directory(environment) else {
            return Ok(Self::default());
        };
        let path = directory.join("config.json");
        let file = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{}: {error}", path.display()),
                )
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => ConfigFile::default(),
            Err(error) => {
                let message = format!("{}: {error}", path.display());
                return Err(io::Error::new(error.kind(), message));
            }
        };
        Ok(Self { directory, file })
    }

    /// Where the context of that name leads.
    pub(super) fn context(&self, name: &str) -> io::Result<ContextEndpoint> {
        let id = hex(&Sha256::digest(name));
        let contexts = self.directory.join("contexts");
        let path = contexts.join("meta").join(&id).join("meta.json");
        let text = std::fs::read(&path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        let meta: ContextMeta = serde_json::from_slice(&text).map_err(io::Error::other)?;
        Ok(ContextEndpoint {
            host: meta.endpoints.docker.host,
            tls: has_certificates(&contexts.join("tls").join(id)),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextMeta {
    endpoints: ContextEndpoints,
}

#[derive(Deserialize)]
struct ContextEndpoints {
    docker: DockerEndpoint,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEndpoint {
    #[serde(default)]
    host: String,
}

/// `$DOCKER_CONFIG`, or `.docker` in the home directory.
fn directory(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let set = |name| environment.get(name).filter(|value| !value.is_empty());
    set("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(home(environment)?.join(".docker")))
}

/// The user's home directory.
pub(super) fn home(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    let home = environment.get(name).filter(|value| !value.is_empty())?;
    Some(PathBuf::from(home))
}

fn has_certificates(directory: &Path) -> bool {
    std::fs::read_dir(directory.join("docker")).is_ok_and(|mut files| files.next().is_some())
}

/// How the docker CLI writes the digest that names a context's directory.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
