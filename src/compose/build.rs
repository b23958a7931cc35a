//! `build` of the resolved tree to [`spec::Build`](crate::spec::Build).

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::{
    diagnostic::Problem,
    load::Environment,
    node::Node,
    service::{bytes, entries, flag, list, text, texts, texts_by_name, ulimits},
    source,
};
use crate::spec::{
    Build, BuildContext, BuildSecret, FileSource, SecretSource, SharedFile, SshAgent,
};

/// What a build refers to outside of itself.
pub(super) struct Surroundings<'a> {
    /// The project's secrets.
    pub secrets: &'a IndexMap<String, SharedFile>,
    /// Variables that secrets and SSH agents are taken from.
    pub environment: &'a Environment,
    /// The project's directory.
    pub directory: &'a Path,
}

/// Reads `build`.
pub(super) fn build(node: &Node, around: &Surroundings<'_>, warnings: &mut Vec<Problem>) -> Build {
    let contexts = entries(node, "additional_contexts");
    Build {
        context: text(node, "context").unwrap_or_default(),
        dockerfile: text(node, "dockerfile"),
        dockerfile_inline: text(node, "dockerfile_inline"),
        additional_contexts: contexts
            .filter_map(|(name, it)| Some((name.to_owned(), BuildContext::parse(it.as_str()?))))
            .collect(),
        args: texts_by_name(node, "args"),
        target: text(node, "target"),
        labels: texts_by_name(node, "labels"),
        tags: texts(node, "tags"),
        cache_from: texts(node, "cache_from"),
        cache_to: texts(node, "cache_to"),
        no_cache: flag(node, "no_cache"),
        pull: flag(node, "pull"),
        network: text(node, "network"),
        extra_hosts: texts(node, "extra_hosts"),
        shm_size: bytes(node, "shm_size"),
        ulimits: ulimits(node),
        platforms: texts(node, "platforms"),
        isolation: text(node, "isolation"),
        privileged: flag(node, "privileged"),
        entitlements: texts(node, "entitlements"),
        secrets: list(node, "secrets")
            .filter_map(|item| secret(item, around, warnings))
            .collect(),
        ssh: texts(node, "ssh")
            .iter()
            .map(|item| ssh_agent(item, around))
            .collect(),
    }
}

/// A secret that is not to be had is left out with a warning: whether a step needs it,
/// the Dockerfile says.
fn secret(
    item: &Node,
    around: &Surroundings<'_>,
    warnings: &mut Vec<Problem>,
) -> Option<BuildSecret> {
    let key = item.get_str("source")?;
    let mut missing = |why: &str| {
        let message = format!("the build goes without the secret `{key}`: {why}");
        warnings.push(Problem::warning(item.span, message));
        None
    };
    let source = match &around.secrets.get(key)?.source {
        FileSource::File(path) => SecretSource::File(path.clone()),
        FileSource::Content(content)
        | FileSource::Environment {
            value: Some(content),
            ..
        } => SecretSource::Value(content.clone()),
        FileSource::External => return missing("it is external"),
        FileSource::Environment { name, value: None } => {
            return missing(&format!("the variable `{name}` is not set"));
        }
    };
    Some(BuildSecret {
        id: text(item, "target").unwrap_or_else(|| key.to_owned()),
        source,
    })
}

/// `id` or `id=socket`.
fn ssh_agent(item: &str, around: &Surroundings<'_>) -> SshAgent {
    let (id, path) = item.split_once('=').unwrap_or((item, ""));
    let socket = match path {
        "" => {
            let agent = around.environment.get("SSH_AUTH_SOCK");
            agent.filter(|path| !path.is_empty()).map(PathBuf::from)
        }
        path => Some(source::join(around.directory, path)),
    };
    SshAgent {
        id: id.to_owned(),
        socket,
    }
}
