//! Logins for registries, where the docker CLI keeps them: in its `config.json`, or
//! with a program `docker-credential-NAME`.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    process::Stdio,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::engine::config::{Auth, ConfigFile};

/// Docker Hub's name among the logins.
pub(super) const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What is known about logins.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct Credentials {
    config: Arc<ConfigFile>,
    /// For the programs that keep logins: they are found by its `PATH`.
    environment: Arc<BTreeMap<String, String>>,
}

impl Credentials {
    /// The logins that `config` names.
    pub(in crate::engine) fn new(
        config: ConfigFile,
        environment: BTreeMap<String, String>,
    ) -> Self {
        Self {
            config: Arc::new(config),
            environment: Arc::new(environment),
        }
    }

    /// The login for an image's registry. Without one, or when it cannot be had, the
    /// pull goes without: most images are public.
    pub(super) async fn for_image(&self, reference: &str) -> Option<DockerCredentials> {
        self.for_registry(registry(reference)).await
    }

    /// The login for a registry, by the name under which it is kept.
    pub(super) async fn for_registry(&self, registry: &str) -> Option<DockerCredentials> {
        match self.helper(registry) {
            Some(helper) => match self.ask(helper, registry).await {
                Ok(login) => login,
                Err(error) => {
                    tracing::warn!("docker-credential-{helper} gave no login: {error}");
                    None
                }
            },
            None => self.in_file(registry),
        }
    }

    /// All logins that the file itself has, which the classic builder is sent: it does
    /// not ask for those that it needs.
    pub(super) fn in_the_file(&self) -> HashMap<String, DockerCredentials> {
        let auths = self.config.auths.iter();
        auths
            .filter_map(|(registry, auth)| Some((registry.clone(), login(auth, registry)?)))
            .collect()
    }

    fn helper(&self, registry: &str) -> Option<&str> {
        let own = self.config.cred_helpers.get(registry);
        let helper = own.or(self.config.creds_store.as_ref())?;
        Some(helper.as_str()).filter(|helper| !helper.is_empty())
    }

    fn in_file(&self, registry: &str) -> Option<DockerCredentials> {
        let auths = &self.config.auths;
        let found = auths.get(registry).or_else(|| {
            let mut others = auths.iter();
            others.find_map(|(key, auth)| (host(key) == host(registry)).then_some(auth))
        });
        login(found?, registry)
    }

    /// `docker-credential-NAME get`: the registry goes in, a login as JSON comes out.
    async fn ask(&self, helper: &str, registry: &str) -> io::Result<Option<DockerCredentials>> {
        let mut child = Command::new(format!("docker-credential-{helper}"))
            .arg("get")
            .env_clear()
            .envs(self.environment.iter())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(registry.as_bytes()).await?;
        }
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            // It has no login for this registry, which it says by failing.
            return Ok(None);
        }
        let kept: Kept = serde_json::from_slice(&output.stdout).map_err(io::Error::other)?;
        Ok(Some(kept.login(registry)))
    }
}

/// What a program that keeps logins answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Kept {
    username: String,
    secret: String,
}

impl Kept {
    fn login(self, registry: &str) -> DockerCredentials {
        let serveraddress = Some(registry.to_owned());
        if self.username == "<token>" {
            return DockerCredentials {
                identitytoken: Some(self.secret),
                serveraddress,
                ..DockerCredentials::default()
            };
        }
        DockerCredentials {
            username: Some(self.username),
            password: Some(self.secret),
            serveraddress,
            ..DockerCredentials::default()
        }
    }
}

fn login(auth: &Auth, registry: &str) -> Option<DockerCredentials> {
    let decoded = auth.basic.as_deref().and_then(decode);
    let (username, password) = match decoded {
        Some((name, password)) => (Some(name), Some(password)),
        None => (auth.username.clone(), auth.password.clone()),
    };
    let login = DockerCredentials {
        username,
        password,
        identitytoken: auth.identitytoken.clone(),
        registrytoken: auth.registrytoken.clone(),
        serveraddress: Some(registry.to_owned()),
        ..DockerCredentials::default()
    };
    let says_something =
        login.username.is_some() || login.identitytoken.is_some() || login.registrytoken.is_some();
    says_something.then_some(login)
}

fn decode(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// The registry of an image, by the name under which its login is kept. The first part
/// of a reference is a host if it looks like one.
fn registry(reference: &str) -> &str {
    match reference.split_once('/') {
        Some(("docker.io" | "index.docker.io", _)) | None => DOCKER_HUB,
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        Some(_) => DOCKER_HUB,
    }
}

/// `registry.example` of `https://registry.example/v1/`: older logins are kept by URL.
fn host(key: &str) -> &str {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    key.split('/').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(json: &str) -> Credentials {
        let config = serde_json::from_str(json).expect("legal JSON");
        Credentials::new(config, BTreeMap::new())
    }

    #[test]
    fn the_first_part_is_a_registry_if_it_looks_like_a_host() {
        let registries = [
            "redis",
            "library/redis:7",
            "docker.io/library/redis",
            "registry.example/team/app",
            "localhost:5000/app",
            "localhost/app",
        ]
        .map(registry);
        assert_eq!(
            registries,
            [
                DOCKER_HUB,
                DOCKER_HUB,
                DOCKER_HUB,
                "registry.example",
                "localhost:5000",
                "localhost"
            ]
        );
    }

    #[tokio::test]
    async fn a_login_in_the_file_is_found_by_host() {
        // alice:s3cret:with-colon
        let credentials = credentials(
            r#"{"auths": {"https://registry.example/v1/":
                {"auth": "YWxpY2U6czNjcmV0OndpdGgtY29sb24="}}}"#,
        );
        let login = credentials.for_image("registry.example/app:1").await;
        let login = login.expect("a login");
        assert_eq!(login.username.as_deref(), Some("alice"));
        assert_eq!(login.password.as_deref(), Some("s3cret:with-colon"));
        assert_eq!(credentials.for_image("other.example/app").await, None);
    }

    #[tokio::test]
    async fn a_missing_helper_does_not_stop_a_pull() {
        let credentials = credentials(r#"{"credsStore": "that-is-not-there"}"#);
        assert_eq!(credentials.for_image("redis").await, None);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_helper_is_asked_for_its_registry() {
        use std::os::unix::fs::PermissionsExt as _;

        let bin = tempfile::tempdir().expect("a directory");
        let program = bin.path().join("docker-credential-test");
        let script = "#!/bin/sh\nread -r registry\n\
                      echo \"{\\\"Username\\\": \\\"bob at $registry\\\", \\\"Secret\\\": \\\"x\\\"}\"\n";
        std::fs::write(&program, script).expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))
            .expect("executable");
        let config =
            serde_json::from_str(r#"{"credHelpers": {"r.example": "test"}}"#).expect("legal JSON");
        let path = bin.path().display().to_string();
        let environment = BTreeMap::from([("PATH".to_owned(), path)]);

        let login = Credentials::new(config, environment)
            .for_image("r.example/app")
            .await
            .expect("a login");
        assert_eq!(login.username.as_deref(), Some("bob at r.example"));
    }
}
