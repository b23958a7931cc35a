//! `extends`: a service that is laid over another one, of the same file or of
//! another.

use std::{collections::HashMap, path::PathBuf, rc::Rc};

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
    let mut resolver = Resolver {
        scope,
        context,
        files: HashMap::new(),
        done: HashMap::new(),
        trail: Vec::new(),
    };
    for name in names {
        let service = resolver.resolve(&name, &family)?;
        if let (Some(slot), Some(service)) = (services.get_mut(&name), service) {
            *slot = service;
        }
    }
    Ok(())
}

/// How many services may extend one another.
const MAX_DEPTH: usize = 100;

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

/// Resolves the services of one document.
struct Resolver<'a, 'c> {
    scope: &'a Scope,
    context: &'a mut Context<'c>,
    files: HashMap<PathBuf, Rc<Family>>,
    /// What services came to, by file and name; many may extend the same one.
    done: HashMap<(PathBuf, String), Node>,
    trail: Vec<Step>,
}

impl Resolver<'_, '_> {
    /// A service with all that it extends, or `None` where it extends nothing.
    fn resolve(&mut self, name: &str, family: &Rc<Family>) -> Result<Option<Node>, Failure> {
        let Some(service) = family.services.get(name) else {
            return Ok(None);
        };
        let Some(reference) = Reference::of(service) else {
            return Ok(None);
        };
        let key = (family.file.clone(), name.to_owned());
        if let Some(done) = self.done.get(&key) {
            return Ok(Some(self.context.copy(done, Some(reference.span))?));
        }
        let (file, service_name) = key.clone();
        self.trail.push(Step {
            file,
            service: service_name,
            span: reference.span,
        });
        let base = self.base(name, family, &reference)?;
        self.trail.pop();

        let mut service = service.clone();
        if let Some(map) = service.as_map_mut() {
            map.remove("extends");
        }
        if !base.is_null() {
            service = merge_at(base, service, Path::ROOT.key("services").key(name))?;
        }
        self.done
            .insert(key, self.context.copy(&service, Some(reference.span))?);
        Ok(Some(service))
    }

    /// The service that is extended, with all that it extends itself.
    fn base(
        &mut self,
        name: &str,
        family: &Rc<Family>,
        reference: &Reference,
    ) -> Result<Node, Failure> {
        let family = match &reference.file {
            Some(file) => self.other_file(file, reference.file_span)?,
            None => Rc::clone(family),
        };
        let Some(base) = family.services.get(&reference.service) else {
            return Err(unknown_base(name, reference, &family).into());
        };
        check_cycle(&self.trail, &family.file, reference)?;
        if self.trail.len() > MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} services extend one another");
            return Err(Problem::error(reference.span, message).into());
        }
        match self.resolve(&reference.service, &family)? {
            Some(resolved) => Ok(resolved),
            None => Ok(self.context.copy(base, Some(reference.span))?),
        }
    }

    /// The services of another file, in long syntax, with absolute paths.
    fn other_file(&mut self, file: &str, span: Span) -> Result<Rc<Family>, Failure> {
        let path = join(&self.scope.directory, file);
        if let Some(family) = self.files.get(&path) {
            return Ok(Rc::clone(family));
        }
        let mut document = load_raw(&path, file, span, self.scope, self.context)?;
        let directory = path.parent().unwrap_or(&self.scope.directory);
        paths::resolve(&mut document, directory, self.scope);
        let services = document
            .remove("services")
            .map(Node::into_map)
            .unwrap_or_default();
        let family = Rc::new(Family {
            file: path.clone(),
            services,
        });
        self.files.insert(path, Rc::clone(&family));
        Ok(family)
    }
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
