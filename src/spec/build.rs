//! `build`: how an image is made, as the file asks for it and as an engine is asked.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::Serialize;

use super::{Secret, ServiceName, Ulimit, desired::Labels};

/// `build`: how an image is made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Build {
    /// Directory (absolute) or URL that holds the sources.
    pub context: String,
    /// Path of the Dockerfile, relative to the context.
    pub dockerfile: Option<String>,
    /// The Dockerfile's text.
    pub dockerfile_inline: Option<String>,
    /// Further contexts, by the name under which the Dockerfile uses them.
    pub additional_contexts: IndexMap<String, BuildContext>,
    /// Build arguments.
    pub args: IndexMap<String, String>,
    /// Stage to build.
    pub target: Option<String>,
    /// Labels of the image.
    pub labels: IndexMap<String, String>,
    /// Names of the image besides its own.
    pub tags: Vec<String>,
    /// Where cached steps may be taken from: an image, or `type=…,key=value,…`.
    pub cache_from: Vec<String>,
    /// Where cached steps are put, in the same form.
    pub cache_to: Vec<String>,
    /// Run every step, whether cached or not.
    pub no_cache: bool,
    /// Look for newer base images.
    pub pull: bool,
    /// Network of the steps: `default`, `none`, `host`, or the engine's name for one.
    pub network: Option<String>,
    /// Entries for `/etc/hosts` of the steps, as `name=address`.
    pub extra_hosts: Vec<String>,
    /// Size of `/dev/shm` of the steps, in bytes.
    pub shm_size: Option<u64>,
    /// Resource limits of the steps' processes.
    pub ulimits: IndexMap<String, Ulimit>,
    /// Platforms that the image may be built for, as `os/arch[/variant]`.
    pub platforms: Vec<String>,
    /// How Windows isolates the steps.
    pub isolation: Option<String>,
    /// Allow steps that need all rights.
    pub privileged: bool,
    /// What steps may do that is not allowed by default, in the builder's words.
    pub entitlements: Vec<String>,
    /// Files that only those steps see that ask for them.
    pub secrets: Vec<BuildSecret>,
    /// SSH agents that only those steps reach that ask for them.
    pub ssh: Vec<SshAgent>,
}

/// Where the files of a build come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildContext {
    /// A directory, absolute.
    Directory(PathBuf),
    /// A Git repository or an archive, which the engine fetches.
    Remote(String),
    /// An image, by reference.
    Image(String),
    /// What another service's build makes. An engine knows no services: it is given
    /// the image instead.
    Service(ServiceName),
    /// An image in an OCI layout, as `oci-layout://…`.
    OciLayout(String),
}

impl BuildContext {
    /// Tells what kind of context a text of the file means.
    pub fn parse(text: &str) -> Self {
        const GIT: [&str; 2] = ["git@", "github.com/"];
        if let Some(image) = text.strip_prefix("docker-image://") {
            return Self::Image(image.to_owned());
        }
        if let Some(Ok(service)) = text.strip_prefix("service:").map(str::parse) {
            return Self::Service(service);
        }
        if text.starts_with("oci-layout://") {
            return Self::OciLayout(text.to_owned());
        }
        if text.contains("://") || GIT.iter().any(|prefix| text.starts_with(prefix)) {
            return Self::Remote(text.to_owned());
        }
        Self::Directory(PathBuf::from(text))
    }
}

/// An entry of `build.secrets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuildSecret {
    /// What the Dockerfile calls it.
    pub id: String,
    /// Where its content is.
    pub source: SecretSource,
}

/// Where the content of a build's secret is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// In a file, absolute.
    File(PathBuf),
    /// Here: it was text, or an environment variable's value.
    Value(Secret),
}

/// An entry of `build.ssh`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SshAgent {
    /// What the Dockerfile calls it.
    pub id: String,
    /// The agent's socket. Absent: there was no agent to be found. It is another one
    /// after each login, which makes no other image.
    #[serde(skip)]
    pub socket: Option<PathBuf>,
}

/// An image to build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuildSpec {
    /// What the image will be called.
    pub image: String,
    /// How it is made.
    pub build: Build,
    /// `os/arch[/variant]`; the engine's own where absent.
    pub platform: Option<String>,
    /// Labels besides those of the file.
    pub labels: Labels,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_a_directory_unless_it_looks_like_something_else() {
        let directory = |path: &str| BuildContext::Directory(PathBuf::from(path));
        let remote = |url: &str| BuildContext::Remote(url.to_owned());
        for (text, expected) in [
            ("/src/app", directory("/src/app")),
            (
                "https://host.example/app.git#main",
                remote("https://host.example/app.git#main"),
            ),
            (
                "git@host.example:app.git",
                remote("git@host.example:app.git"),
            ),
            (
                "docker-image://redis:7",
                BuildContext::Image("redis:7".to_owned()),
            ),
            (
                "service:base",
                BuildContext::Service("base".parse().expect("a name")),
            ),
            (
                "oci-layout:///layout:1",
                BuildContext::OciLayout("oci-layout:///layout:1".to_owned()),
            ),
        ] {
            assert_eq!(BuildContext::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn the_value_of_a_secret_is_neither_shown_nor_written() {
        let secret = BuildSecret {
            id: "token".to_owned(),
            source: SecretSource::Value(Secret::new("hunter2")),
        };
        let json = serde_json::to_string(&secret).expect("JSON");
        assert!(
            !format!("{secret:?}{json}").contains("hunter2"),
            "{secret:?}"
        );
    }
}
