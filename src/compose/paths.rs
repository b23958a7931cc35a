//! Makes the paths of a document absolute.

use std::path::Path;

use super::{
    load::Scope,
    node::{Map, Node, Value},
    source::{clean, join},
};

/// Makes every path of a document in long syntax absolute. `directory` is where
/// relative ones start.
pub(super) fn resolve(document: &mut Map, directory: &Path, scope: &Scope) {
    let resolver = Resolver {
        directory,
        home: scope.environment.get("HOME").map(String::as_str),
    };
    each(document, "services", |service| resolver.service(service));
    each(document, "volumes", |volume| resolver.volume(volume));
    for kind in ["configs", "secrets"] {
        each(document, kind, |resource| {
            resolver.at(resource.get_mut("file"));
        });
    }
}

struct Resolver<'a> {
    directory: &'a Path,
    home: Option<&'a str>,
}

impl Resolver<'_> {
    fn service(&self, service: &mut Node) {
        if let Some(build) = service.get_mut("build") {
            self.context(build.get_mut("context"));
            if let Some(Value::Map(contexts)) = build
                .get_mut("additional_contexts")
                .map(|node| &mut node.value)
            {
                contexts
                    .iter_mut()
                    .for_each(|(_, entry)| self.context(Some(&mut entry.node)));
            }
        }
        for item in items(service.get_mut("env_file")) {
            self.at(item.get_mut("path"));
        }
        for item in items(service.get_mut("label_file")) {
            self.at(Some(item));
        }
        if let Some(extends) = service.get_mut("extends") {
            self.at(extends.get_mut("file"));
        }
        for mount in items(service.get_mut("volumes")) {
            if mount.get_str("type") == Some("bind") {
                self.at(mount.get_mut("source"));
            }
        }
        let watch = service
            .get_mut("develop")
            .and_then(|develop| develop.get_mut("watch"));
        for rule in items(watch) {
            self.at(rule.get_mut("path"));
        }
    }

    /// A `local` volume with the option `o=bind` is a bind mount in disguise.
    fn volume(&self, volume: &mut Node) {
        if volume.get_str("driver") != Some("local") {
            return;
        }
        if let Some(options) = volume.get_mut("driver_opts")
            && options.get_str("o") == Some("bind")
        {
            self.at(options.get_mut("device"));
        }
    }

    /// A build context may also be a URL, another service or an image.
    fn context(&self, node: Option<&mut Node>) {
        const REMOTE: [&str; 4] = ["git@", "github.com/", "service:", "docker-image:"];
        let remote = |text: &str| {
            text.contains("://") || REMOTE.iter().any(|prefix| text.starts_with(prefix))
        };
        self.at(node.filter(|node| !node.as_str().is_some_and(remote)));
    }

    fn at(&self, node: Option<&mut Node>) {
        let Some(Value::String(path)) = node.map(|node| &mut node.value) else {
            return;
        };
        if is_windows(path) {
            return;
        }
        let absolute = match (path.strip_prefix('~'), self.home) {
            // Compose knows no homes of others: `~x` is in this one as well.
            (Some(rest), Some(home)) => clean(Path::new(&format!("{home}/{rest}"))),
            _ => join(self.directory, path),
        };
        *path = absolute.to_string_lossy().into_owned();
    }
}

/// Whether a path is absolute on Windows, and so none of ours to resolve.
fn is_windows(path: &str) -> bool {
    matches!(path.as_bytes(), [drive, b':', b'/' | b'\\', ..] if drive.is_ascii_alphabetic())
}

fn each(document: &mut Map, kind: &str, mut change: impl FnMut(&mut Node)) {
    if let Some(Value::Map(resources)) = document.get_mut(kind).map(|node| &mut node.value) {
        resources
            .iter_mut()
            .for_each(|(_, entry)| change(&mut entry.node));
    }
}

fn items(node: Option<&mut Node>) -> impl Iterator<Item = &mut Node> {
    node.and_then(Node::as_list_mut).into_iter().flatten()
}
