//! `include`: other Compose files with directories and variables of their own, whose
//! resources become part of this one.

use std::path::{Path as FilePath, PathBuf};

use super::{
    diagnostic::Problem,
    load::{Context, Failure, Input, Scope, load_files},
    node::{Map, Node, Span, Value},
    source::join,
};

/// The kinds of resources that are taken over.
const KINDS: [&str; 6] = [
    "services", "volumes", "networks", "secrets", "configs", "models",
];

/// Loads what a document includes and adds it to the document.
pub(super) fn apply(
    document: &mut Map,
    trail: &[PathBuf],
    scope: &Scope,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    // Anything but a list, or nothing, is left for validation to report.
    let include = match document.get("include").map(|include| &include.value) {
        Some(Value::List(_) | Value::Null) => document.remove("include"),
        _ => None,
    };
    for item in include.as_ref().and_then(Node::as_list).unwrap_or_default() {
        let request = Request::of(item, context)?;
        if !request.paths.is_empty() {
            let included = request.load(trail, scope, context)?;
            import(included, document)?;
        }
    }
    Ok(())
}

/// An item of `include`.
struct Request<'a> {
    paths: Vec<&'a Node>,
    env_files: Vec<&'a Node>,
    directory: Option<&'a str>,
}

impl<'a> Request<'a> {
    fn of(item: &'a Node, context: &mut Context<'_>) -> Result<Self, Problem> {
        const KEYS: [&str; 3] = ["path", "env_file", "project_directory"];
        if item.as_str().is_some() {
            return Ok(Self {
                paths: vec![item],
                env_files: Vec::new(),
                directory: None,
            });
        }
        let Some(map) = item.as_map() else {
            return Err(malformed(
                item,
                "an item of `include`",
                "a path or a mapping",
            ));
        };
        // Compose takes no notice of other keys.
        for (key, entry) in map.iter().filter(|(key, _)| !KEYS.contains(key)) {
            let message = format!("`{key}` means nothing in `include`");
            context.warn(Problem::warning(entry.key, message).suggest(key, KEYS));
        }
        let list = |key| match map.get(key) {
            None => Ok(Vec::new()),
            Some(node) => strings(node).ok_or_else(|| {
                malformed(
                    node,
                    &format!("`{key}` of `include`"),
                    "a path or a list of paths",
                )
            }),
        };
        let directory = item.get_str("project_directory");
        Ok(Self {
            paths: list("path")?,
            env_files: list("env_file")?,
            directory,
        })
    }

    fn load(
        &self,
        trail: &[PathBuf],
        scope: &Scope,
        context: &mut Context<'_>,
    ) -> Result<Map, Failure> {
        let text = |node: &Node| node.as_str().unwrap_or_default().to_owned();
        let input = |node: &&Node| Input {
            path: join(&scope.directory, &text(node)),
            shown: text(node).into(),
            reference: Some(node.span),
        };
        let files: Vec<_> = self.paths.iter().map(input).collect();
        check_cycle(trail, &files[0].path, self.paths[0].span)?;
        let directory = match self.directory {
            Some(directory) => join(&scope.directory, directory),
            None => parent(&files[0].path),
        };
        let mut environment = scope.environment.clone();
        let env_files = self.env_files(&directory, scope, context);
        context.read_env_files(env_files, &mut environment)?;
        let scope = Scope {
            directory: base_of_paths(directory, self.directory, context),
            environment,
        };
        load_files(&files, trail, &scope, context)
    }

    /// The given env files, or the `.env` of the included project.
    fn env_files(
        &self,
        directory: &FilePath,
        scope: &Scope,
        context: &Context<'_>,
    ) -> Vec<(PathBuf, Option<Span>)> {
        if self.env_files.is_empty() {
            let default = directory.join(".env");
            let there = context.source.is_file(&default);
            return there.then_some((default, None)).into_iter().collect();
        }
        self.env_files
            .iter()
            .filter(|node| node.as_str() != Some("/dev/null"))
            .map(|node| {
                let path = join(&scope.directory, node.as_str().unwrap_or_default());
                (path, Some(node.span))
            })
            .collect()
    }
}

/// Where the relative paths of included files start. For Compose a relative
/// `project_directory` that is not there names a file, whose directory is meant.
fn base_of_paths(directory: PathBuf, given: Option<&str>, context: &Context<'_>) -> PathBuf {
    let relative = given.is_some_and(|given| FilePath::new(given).is_relative());
    if relative && !context.source.is_dir(&directory) {
        return parent(&directory);
    }
    directory
}

fn parent(path: &FilePath) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

fn malformed(node: &Node, what: &str, expected: &str) -> Problem {
    let found = node.value.describe();
    Problem::error(node.span, format!("{what} must be {expected}, not {found}"))
}

/// The items of a string or of a list of strings.
fn strings(node: &Node) -> Option<Vec<&Node>> {
    match &node.value {
        Value::String(_) => Some(vec![node]),
        Value::List(items) => items
            .iter()
            .map(|item| item.as_str().map(|_| item))
            .collect(),
        _ => None,
    }
}

/// Adds included resources to a document. One that the document has as well must be
/// the same: an included file is complete, and is not overridden from outside.
fn import(included: Map, document: &mut Map) -> Result<(), Problem> {
    for (kind, resources) in included {
        let span = resources.node.span;
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
                Node::new(Map::default(), span),
            );
        }
        let Some(into) = document.get_mut(&kind).and_then(Node::as_map_mut) else {
            continue;
        };
        for (name, entry) in from {
            match into.get(&name) {
                None => into.insert(name, entry.key, entry.node),
                Some(own) if *own == entry.node => {}
                Some(_) => return Err(conflict(&kind, &name, into, entry.key)),
            }
        }
    }
    Ok(())
}

fn conflict(kind: &str, name: &str, own: &Map, included: Span) -> Problem {
    let own = own.key_span(name).unwrap_or(Span::NONE);
    let message = format!("`{kind}.{name}` is in an included file as well");
    Problem::error(own, message).and(included, "included").help(
        "to change what is included, put the change in a file of its own and list both \
               under `path`",
    )
}

fn check_cycle(trail: &[PathBuf], path: &FilePath, span: Span) -> Result<(), Problem> {
    let Some(first) = trail.iter().position(|file| file == path) else {
        return Ok(());
    };
    let files = trail[first..].iter().map(PathBuf::as_path).chain([path]);
    let names: Vec<_> = files.map(|file| file.display().to_string()).collect();
    let message = format!(
        "files include each other in a cycle: {}",
        names.join(" -> ")
    );
    Err(Problem::error(span, message))
}
