//! `include`: other Compose files with directories and variables of their own, whose
//! resources become part of this one.

use std::path::{Path as FilePath, PathBuf};

use super::{
    diagnostic::Problem,
    load::{Context, Failure, Input, Scope, load_files},
    merge::merge_at,
    node::{Map, Node, Path, Span, Value},
    source::join,
};

/// The kinds of resources that are taken over.
const KINDS: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];

/// Loads what a document includes and adds it to the document, whose own words win.
pub(super) fn apply(
    document: &mut Map,
    trail: &[PathBuf],
    scope: &Scope,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    // Anything but a list is left for validation to report.
    if document.get("include").and_then(Node::as_list).is_none() {
        return Ok(());
    }
    let include = document.remove("include").expect("it was just seen");
    for item in include.as_list().unwrap_or_default() {
        let Some(request) = Request::of(item) else {
            return Err(malformed(item).into());
        };
        let included = request.load(trail, scope, context)?;
        import(included, document)?;
    }
    Ok(())
}

fn malformed(item: &Node) -> Problem {
    let found = item.value.describe();
    Problem::error(
        item.span,
        format!("`include[]` must be a path or a mapping with `path`, not {found}"),
    )
}

/// An item of `include`.
struct Request<'a> {
    paths: Vec<&'a Node>,
    env_files: Vec<&'a Node>,
    directory: Option<&'a str>,
}

impl<'a> Request<'a> {
    fn of(item: &'a Node) -> Option<Self> {
        if item.as_str().is_some() {
            return Some(Self { paths: vec![item], env_files: Vec::new(), directory: None });
        }
        let map = item.as_map()?;
        let known = |key: &str| matches!(key, "path" | "env_file" | "project_directory");
        let paths = strings(map.get("path")?)?;
        if paths.is_empty() || !map.keys().all(known) {
            return None;
        }
        let env_files = map.get("env_file").map_or(Some(Vec::new()), strings)?;
        Some(Self { paths, env_files, directory: item.get_str("project_directory") })
    }

    fn load(
        &self,
        trail: &[PathBuf],
        scope: &Scope,
        context: &mut Context<'_>,
    ) -> Result<Map, Failure> {
        let text = |node: &Node| node.as_str().unwrap_or_default().to_owned();
        let files: Vec<_> = self
            .paths
            .iter()
            .map(|node| Input {
                path: join(&scope.directory, &text(node)),
                shown: text(node).into(),
                reference: Some(node.span),
            })
            .collect();
        check_cycle(trail, &files[0].path, self.paths[0].span)?;
        let directory = match self.directory {
            Some(directory) => join(&scope.directory, directory),
            None => files[0].path.parent().unwrap_or(&scope.directory).to_owned(),
        };
        let mut inner = Scope { directory, environment: scope.environment.clone() };
        for (path, span) in self.env_files(&inner.directory, scope, context) {
            context.read_env_file(&path, span, &mut inner.environment)?;
        }
        load_files(&files, trail, &inner, context)
    }

    /// The given env files, or the `.env` of the included project.
    fn env_files(
        &self,
        directory: &FilePath,
        scope: &Scope,
        context: &Context<'_>,
    ) -> Vec<(PathBuf, Span)> {
        if self.env_files.is_empty() {
            let default = directory.join(".env");
            let there = context.source.is_file(&default);
            return there.then_some((default, Span::NONE)).into_iter().collect();
        }
        let path =
            |node: &&Node| (join(&scope.directory, node.as_str().unwrap_or_default()), node.span);
        self.env_files
            .iter()
            .map(path)
            .filter(|(path, _)| path != FilePath::new("/dev/null"))
            .collect()
    }
}

/// The items of a string or of a list of strings.
fn strings(node: &Node) -> Option<Vec<&Node>> {
    match &node.value {
        Value::String(_) => Some(vec![node]),
        Value::List(items) => items.iter().map(|item| item.as_str().map(|_| item)).collect(),
        _ => None,
    }
}

fn import(included: Map, document: &mut Map) -> Result<(), Problem> {
    for (kind, resources) in included {
        let Value::Map(from) = resources.node.value else {
            continue;
        };
        if !KINDS.contains(&kind.as_str()) {
            continue;
        }
        if document.get(&kind).is_none_or(Node::is_null) {
            document.insert(
                kind.as_str(),
                resources.key,
                Node::new(Map::default(), resources.node.span),
            );
        }
        let Some(into) = document.get_mut(&kind).and_then(Node::as_map_mut) else {
            continue;
        };
        for (name, entry) in from {
            let node = match into.get(&name) {
                None => entry.node,
                Some(own) => merge_at(entry.node, own.clone(), Path::ROOT.key(&kind).key(&name))?,
            };
            into.insert(name, entry.key, node);
        }
    }
    Ok(())
}

fn check_cycle(trail: &[PathBuf], path: &FilePath, span: Span) -> Result<(), Problem> {
    let Some(first) = trail.iter().position(|file| file == path) else {
        return Ok(());
    };
    let files = trail[first..].iter().map(PathBuf::as_path).chain([path]);
    let names: Vec<_> = files.map(|file| file.display().to_string()).collect();
    let message = format!("files include each other in a cycle: {}", names.join(" -> "));
    Err(Problem::error(span, message))
}
