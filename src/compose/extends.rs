//! `extends`: a service that is laid over another one, of the same file or of
//! another.

use std::{path::PathBuf, rc::Rc};

use super::{
    diagnostic::Problem,
    load::{Context, Failure, Scope, load_raw},
    merge::merge_at,
    node::{Map, Node, Path, Span, Tag, Value},
    paths,
    source::join,
};

/// Applies `extends` to every service of a document.
pub(super) fn apply(
    document: &mut Map,
    file: &std::path::Path,
    scope: &Scope,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let key = document.key_span("services").unwrap_or(Span::NONE);
    let Some(services) = document.get_mut("services") else {
        return Ok(());
    };
    if services.tag == Tag::Reset {
        return Ok(());
    }
    let Value::Map(map) = &services.value else {
        let found = services.value.describe();
        let message = format!("`services` must be a mapping, not {found}");
        return Err(Problem::error(key, message).into());
    };
    let family = Rc::new(Family {
        file: file.to_owned(),
        services: map.clone(),
    });
    let names: Vec<_> = map.keys().map(str::to_owned).collect();
    for name in names {
        let resolved = resolve(&name, &family, &mut Vec::new(), scope, context)?;
        if let (Some(slot), Some(resolved)) = (services.get_mut(&name), resolved) {
            *slot = resolved;
        }
    }
    Ok(())
}

/// The services of one file, which refer to each other.
struct Family {
    file: PathBuf,
    services: Map,
}

/// A service on the way from one that extends to the one that is extended.
struct Step {
    file: PathBuf,
    service: String,
    span: Span,
}

/// What `extends` of a service says.
struct Reference {
    service: String,
    file: Option<String>,
    span: Span,
    file_span: Span,
}

impl Reference {
    /// `None` where there is none, or where it is malformed, which validation
    /// reports.
    fn of(service: &Node) -> Option<Self> {
        let extends = service.get("extends")?;
        let target = match &extends.value {
            Value::String(_) => extends,
            _ => extends.get("service")?,
        };
        let file = extends.get("file");
        Some(Self {
            service: target.as_str()?.to_owned(),
            file: file.and_then(Node::as_str).map(str::to_owned),
            span: target.span,
            file_span: file.map_or(extends.span, |file| file.span),
        })
    }
}

/// A service with all that it extends, or `None` where it extends nothing.
fn resolve(
    name: &str,
    family: &Rc<Family>,
    trail: &mut Vec<Step>,
    scope: &Scope,
    context: &mut Context<'_>,
) -> Result<Option<Node>, Failure> {
    let Some(service) = family.services.get(name) else {
        return Ok(None);
    };
    let Some(reference) = Reference::of(service) else {
        return Ok(None);
    };
    trail.push(Step {
        file: family.file.clone(),
        service: name.to_owned(),
        span: reference.span,
    });
    let base_family = match &reference.file {
        Some(file) => other_file(file, reference.file_span, scope, context)?,
        None => Rc::clone(family),
    };
    let Some(base) = base_family.services.get(&reference.service) else {
        return Err(unknown_base(name, &reference, &base_family).into());
    };
    check_cycle(trail, &base_family.file, &reference)?;
    let base = match resolve(&reference.service, &base_family, trail, scope, context)? {
        Some(resolved) => resolved,
        None => base.clone(),
    };
    trail.pop();
    let mut service = service.clone();
    if let Some(map) = service.as_map_mut() {
        map.remove("extends");
    }
    if base.is_null() {
        return Ok(Some(service));
    }
    let path = Path::ROOT.key("services").key(name);
    Ok(Some(merge_at(base, service, path)?))
}

/// The services of another file, in long syntax, with absolute paths.
fn other_file(
    file: &str,
    span: Span,
    scope: &Scope,
    context: &mut Context<'_>,
) -> Result<Rc<Family>, Failure> {
    let path = join(&scope.directory, file);
    let mut document = load_raw(&path, file, span, scope, context)?;
    let directory = path.parent().unwrap_or(&scope.directory);
    paths::resolve(&mut document, directory, scope);
    let services = match document.remove("services").map(|node| node.value) {
        Some(Value::Map(services)) => services,
        _ => Map::default(),
    };
    Ok(Rc::new(Family {
        file: path,
        services,
    }))
}

fn unknown_base(name: &str, reference: &Reference, family: &Family) -> Problem {
    let base = &reference.service;
    let place = match &reference.file {
        Some(file) => format!(" in `{file}`"),
        None => String::new(),
    };
    let message = format!("service `{name}` extends service `{base}`, which is not there{place}");
    Problem::error(reference.span, message).suggest(base, family.services.keys())
}

fn check_cycle(
    trail: &[Step],
    file: &std::path::Path,
    reference: &Reference,
) -> Result<(), Problem> {
    let next = &reference.service;
    let Some(first) = trail
        .iter()
        .position(|step| step.file == file && step.service == *next)
    else {
        return Ok(());
    };
    let names = trail[first..].iter().map(|step| step.service.as_str());
    let cycle: Vec<_> = names.chain([next.as_str()]).collect();
    let message = format!(
        "services extend each other in a cycle: {}",
        cycle.join(" -> ")
    );
    Err(Problem::error(trail[first].span, message))
}
