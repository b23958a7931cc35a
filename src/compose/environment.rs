//! `env_file` and `label_file`: variables and labels that services take from files.

use super::{
    diagnostic::Problem,
    dotenv::{self, Known, Variables},
    load::{Context, Environment, Failure, env_problem},
    node::{Map, Node, Span, Value},
};

/// Reads the label files of every service and removes the key that names them. What a
/// service says itself wins; of several files, the last one.
pub(super) fn read_label_files(
    project: &mut Map,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    for service in services(project) {
        let Some(files) = service.remove("label_file") else {
            continue;
        };
        let mut labels = Variables::new();
        for file in files.as_list().unwrap_or_default() {
            let path = file.as_str().unwrap_or_default().as_ref();
            // The labels of earlier files come first, and the environment not at all.
            let known = Known {
                first: &|name| labels.get(name).cloned(),
                last: &|_| None,
            };
            let said = context.parse_env_file(path, "label file", Some(file.span), known)?;
            labels.extend(said);
        }
        lay_under(service, "labels", labels, files.span);
    }
    Ok(())
}

/// The same for env files.
pub(super) fn read_env_files(
    project: &mut Map,
    environment: &Environment,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    for service in services(project) {
        let Some(files) = service.remove("env_file") else {
            continue;
        };
        let mut variables = Variables::new();
        for file in files.as_list().unwrap_or_default() {
            let own = service.get("environment").and_then(Node::as_map);
            let said = read_env_file(file, environment, own, &variables, context)?;
            variables.extend(said);
        }
        lay_under(service, "environment", variables, files.span);
    }
    Ok(())
}

fn services(project: &mut Map) -> impl Iterator<Item = &mut Map> {
    let services = project.get_mut("services").and_then(Node::as_map_mut);
    let entries = services.into_iter().flat_map(Map::iter_mut);
    entries.filter_map(|(_, entry)| entry.node.as_map_mut())
}

fn read_env_file(
    file: &Node,
    environment: &Environment,
    own: Option<&Map>,
    earlier: &Variables,
    context: &mut Context<'_>,
) -> Result<Variables, Failure> {
    let place = file.get("path").map_or(file.span, |path| path.span);
    let path = file.get_str("path").unwrap_or_default().as_ref();
    let required = file.get("required").and_then(Node::as_bool) != Some(false);
    if !required && !context.source.is_file(path) {
        return Ok(Variables::new());
    }
    let lookup = |name: &str| {
        let own = || own?.get(name)?.as_str().map(str::to_owned);
        environment.get(name).cloned().or_else(own)
    };
    match file.get("format").filter(|it| it.as_str() != Some("")) {
        None => {
            let known = Known {
                first: &lookup,
                last: &|name| earlier.get(name).cloned(),
            };
            context.parse_env_file(path, "env file", Some(place), known)
        }
        Some(format) if format.as_str() == Some("raw") => {
            let (number, text) = context.read_text(path, path, "env file", Some(place))?;
            Ok(dotenv::parse_raw(&text, &lookup).map_err(|error| env_problem(error, number))?)
        }
        Some(format) => {
            let name = format.as_str().unwrap_or_default();
            let message = format!("unknown format `{name}` of an env file");
            Err(Problem::error(format.span, message)
                .help("leave it out, or write `raw`")
                .into())
        }
    }
}

/// Adds variables to a mapping of a service, which wins where both say something.
fn lay_under(service: &mut Map, key: &str, variables: Variables, span: Span) {
    let own = service.remove(key);
    if variables.is_empty() && own.is_none() {
        return;
    }
    let mut map = Map::default();
    for (name, value) in variables {
        map.insert(name, span, Node::new(value, span));
    }
    let own_span = own.as_ref().map_or(span, |node| node.span);
    if let Some(Value::Map(own)) = own.map(|node| node.value) {
        for (name, entry) in own {
            map.insert(name, entry.key, entry.node);
        }
    }
    service.insert(key, own_span, Node::new(map, own_span));
}
