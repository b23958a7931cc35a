//! Takes files through the phases, one after the other, and keeps what they share:
//! the texts that were read, and the warnings so far.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::{Path as FilePath, PathBuf},
    rc::Rc,
    sync::Arc,
};

use super::{
    defaults,
    diagnostic::{Diagnostic, Problem, Severity},
    dotenv::{self, Known},
    error::LoadError,
    extends, include, interpolate, long, merge,
    node::{Map, Node, Path, Span, Value},
    parse, paths,
    source::{Source, Texts},
    unique, validate,
};

/// Variables by name.
pub(super) type Environment = BTreeMap<String, String>;

/// How many nodes and bytes of text `include` and `extends` may copy. Large projects
/// copy a tenth of it; files that include each other in ever new ways come to an end.
const MAX_COPIED_NODES: usize = 2_000_000;
const MAX_COPIED_BYTES: usize = 64 << 20;

/// What loading even the smallest file costs, in nodes.
const NODES_PER_FILE: usize = 1000;

/// Where relative paths start and which variables are known; `include` has its own.
#[derive(Clone)]
pub(super) struct Scope {
    pub directory: PathBuf,
    pub environment: Environment,
}

/// A Compose file to load.
#[derive(Clone)]
pub(super) struct Input {
    /// Absolute, or `-` for standard input.
    pub path: PathBuf,
    /// As it was named.
    pub shown: PathBuf,
    /// Where another file refers to it.
    pub reference: Option<Span>,
}

/// What goes wrong inside of the loader.
#[derive(Debug)]
pub(super) enum Failure {
    Problems(Vec<Problem>),
    Error(LoadError),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problems(vec![problem])
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::Error(error)
    }
}

/// What the phases share.
pub(super) struct Context<'a> {
    pub source: &'a dyn Source,
    texts: Texts,
    parsed: HashMap<PathBuf, Rc<Vec<Node>>>,
    warnings: Vec<Problem>,
    warned: BTreeSet<String>,
    copied: (usize, usize),
}

impl<'a> Context<'a> {
    pub fn new(source: &'a dyn Source) -> Self {
        Self {
            source,
            texts: Texts::default(),
            parsed: HashMap::new(),
            warnings: Vec::new(),
            warned: BTreeSet::new(),
            copied: (0, 0),
        }
    }

    /// Adds a warning, unless the same was said before.
    pub fn warn(&mut self, warning: Problem) {
        if self.warned.insert(warning.message.clone()) {
            self.warnings.push(warning);
        }
    }

    /// Warns that a variable is not set; once, however often it is used.
    pub fn warn_unset(&mut self, name: &str, span: Span) {
        let message = format!("the variable `{name}` is not set; it is taken to be empty");
        self.warn(Problem::warning(span, message));
    }

    /// The first occurrence of a text within a span.
    pub fn find(&self, span: Span, needle: &str) -> Option<Span> {
        let text = self.texts.of(span)?;
        let (start, end) = (span.start as usize, span.end as usize);
        let at = text.content.get(start..end)?.find(needle)?;
        let start = span.start + u32::try_from(at).ok()?;
        Some(Span {
            start,
            end: start + u32::try_from(needle.len()).ok()?,
            ..span
        })
    }

    /// The warnings, ready to be shown.
    pub fn into_warnings(self) -> Vec<Diagnostic> {
        let texts = self.texts;
        self.warnings
            .into_iter()
            .map(|warning| warning.locate(&texts))
            .collect()
    }

    /// Turns a failure into the error that the caller of the library sees.
    pub fn into_error(self, failure: Failure) -> LoadError {
        match failure {
            Failure::Error(error) => error,
            Failure::Problems(mut problems) => {
                problems.sort_by_key(|problem| problem.spans.first().map(|(span, _)| *span));
                let diagnostics = problems
                    .into_iter()
                    .map(|it| it.locate(&self.texts))
                    .collect();
                LoadError::Invalid(diagnostics)
            }
        }
    }

    /// Reads a text file and keeps its text for messages.
    pub fn read_text(
        &mut self,
        path: &FilePath,
        shown: &FilePath,
        what: &'static str,
        reference: Option<Span>,
    ) -> Result<(u32, Arc<str>), Failure> {
        let stdin = path == FilePath::new("-");
        let bytes = if stdin {
            self.source.read_stdin()
        } else {
            self.source.read(path)
        };
        let bytes = bytes.map_err(|error| unreadable(error, shown, what, reference))?;
        match String::from_utf8(bytes) {
            Ok(text) => {
                let text: Arc<str> = text.into();
                Ok((self.texts.add(shown.to_owned(), Arc::clone(&text)), text))
            }
            Err(error) => {
                let at = u32::try_from(error.utf8_error().valid_up_to()).unwrap_or(0);
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let file = self.texts.add(shown.to_owned(), text.into());
                let span = Span {
                    file,
                    start: at,
                    end: at,
                };
                Err(Problem::error(span, format!("the {what} is not UTF-8 text")).into())
            }
        }
    }

    /// A copy of a node that is used more than once.
    pub fn copy(&mut self, node: &Node, reference: Option<Span>) -> Result<Node, Problem> {
        let (nodes, bytes) = node.weigh();
        self.spend(nodes, bytes, reference.unwrap_or(node.span))?;
        Ok(node.clone())
    }

    fn spend(&mut self, nodes: usize, bytes: usize, place: Span) -> Result<(), Problem> {
        self.copied = (self.copied.0 + nodes, self.copied.1 + bytes);
        if self.copied.0 > MAX_COPIED_NODES || self.copied.1 > MAX_COPIED_BYTES {
            return Err(Problem::error(place, "the project is too large")
                .help("services are extended, or files included, too many times"));
        }
        Ok(())
    }

    /// The documents of a Compose file. A file is read and parsed once.
    pub fn documents(&mut self, input: &Input) -> Result<Rc<Vec<Node>>, Failure> {
        if let Some(documents) = self.parsed.get(&input.path) {
            return Ok(Rc::clone(documents));
        }
        let (file, text) =
            self.read_text(&input.path, &input.shown, "Compose file", input.reference)?;
        let documents = Rc::new(parse::parse(file, &text)?);
        self.parsed
            .insert(input.path.clone(), Rc::clone(&documents));
        Ok(documents)
    }

    /// Adds what env files say to an environment, which wins over them. A later file
    /// wins over an earlier one. Each comes with the place that names it.
    pub fn read_env_files(
        &mut self,
        files: impl IntoIterator<Item = (PathBuf, Option<Span>)>,
        environment: &mut Environment,
    ) -> Result<(), Failure> {
        let mut variables = Environment::new();
        for (path, reference) in files {
            let known = Known {
                first: &|name| environment.get(name).cloned(),
                last: &|name| variables.get(name).cloned(),
            };
            let said = self.parse_env_file(&path, "env file", reference, known)?;
            variables.extend(said);
        }
        for (name, value) in variables {
            environment.entry(name).or_insert(value);
        }
        Ok(())
    }

    /// Reads the variables of an env file.
    pub fn parse_env_file(
        &mut self,
        path: &FilePath,
        what: &'static str,
        reference: Option<Span>,
        known: Known<'_>,
    ) -> Result<dotenv::Variables, Failure> {
        let (file, text) = self.read_text(path, path, what, reference)?;
        let (variables, unset) =
            dotenv::parse(&text, known).map_err(|error| env_problem(error, file))?;
        for name in unset {
            let whole = Span {
                file,
                start: 0,
                end: u32::try_from(text.len()).unwrap_or(0),
            };
            let place = self.find(whole, &name).unwrap_or(whole);
            self.warn_unset(&name, place);
        }
        Ok(variables)
    }
}

/// The problem that an env file has.
pub(super) fn env_problem(error: dotenv::EnvError, file: u32) -> Problem {
    let offset = |at| u32::try_from(at).unwrap_or(0);
    let span = Span {
        file,
        start: offset(error.range.start),
        end: offset(error.range.end),
    };
    Problem::error(span, error.message)
}

/// A file that another one refers to is a mistake in the other one.
fn unreadable(
    error: io::Error,
    shown: &FilePath,
    what: &'static str,
    reference: Option<Span>,
) -> Failure {
    match reference {
        None => LoadError::Read {
            what,
            path: shown.to_owned(),
            source: error,
        }
        .into(),
        Some(span) => {
            let message = format!("cannot read {what} `{}`: {error}", shown.display());
            Problem::error(span, message).into()
        }
    }
}

/// Loads files, each laid over the ones before it. `trail` are the files that led
/// here by `include`.
pub(super) fn load_files(
    files: &[Input],
    trail: &[PathBuf],
    scope: &Scope,
    context: &mut Context<'_>,
) -> Result<Map, Failure> {
    let mut model = Map::default();
    for file in files {
        let mut trail = trail.to_owned();
        trail.push(file.path.clone());
        context.spend(NODES_PER_FILE, 0, file.reference.unwrap_or(Span::NONE))?;
        for document in context.documents(file)?.iter() {
            let document = context.copy(document, file.reference)?;
            let mut document = interpolated(document, scope, context)?;
            extends::apply(&mut document, &file.path, scope, context)?;
            include::apply(&mut document, &trail, scope, context)?;
            model = lay_over(model, document)?;
            warn_of_version(&mut model, context);
        }
    }
    defaults::apply(&mut model);
    defaults::check(&model)?;
    paths::resolve(&mut model, &scope.directory, scope);
    Ok(model)
}

/// Loads a file for `extends`: as a document in long syntax that has not been
/// checked, because only its sum with the extending service has to make sense.
pub(super) fn load_raw(
    path: &FilePath,
    shown: &str,
    reference: Span,
    scope: &Scope,
    context: &mut Context<'_>,
) -> Result<Map, Failure> {
    let input = Input {
        path: path.to_owned(),
        shown: shown.into(),
        reference: Some(reference),
    };
    let mut model = Map::default();
    for document in context.documents(&input)?.iter() {
        let document = context.copy(document, input.reference)?;
        let document = interpolated(document, scope, context)?;
        model = merge::merge(model, document)?;
        long::expand(&mut model)?;
    }
    Ok(model)
}

fn interpolated(
    mut document: Node,
    scope: &Scope,
    context: &mut Context<'_>,
) -> Result<Map, Failure> {
    let lookup = |name: &str| scope.environment.get(name).cloned();
    interpolate::interpolate(&mut document, &lookup, context)?;
    match document.value {
        Value::Map(map) => Ok(map),
        other => {
            let message = format!("a Compose file must be a mapping, not {}", other.describe());
            Err(Problem::error(document.span, message).into())
        }
    }
}

/// Merges a document into the model and brings the sum into long syntax.
fn lay_over(model: Map, document: Map) -> Result<Map, Failure> {
    let mut model = Node::new(merge::merge(model, document)?, Span::NONE);
    unique::enforce(&mut model, Path::ROOT)?;
    let problems = validate::validate(&model);
    if problems
        .iter()
        .any(|problem| problem.severity == Severity::Error)
    {
        return Err(Failure::Problems(problems));
    }
    if let Value::Map(map) = &mut model.value {
        long::expand(map)?;
    }
    // What two short forms stand for may turn out to be the same thing.
    unique::enforce(&mut model, Path::ROOT)?;
    match model.value {
        Value::Map(map) => Ok(map),
        _ => Ok(Map::default()),
    }
}

fn warn_of_version(model: &mut Map, context: &mut Context<'_>) {
    if let Some(span) = model.key_span("version") {
        model.remove("version");
        context.warn(
            Problem::warning(span, "the key `version` is obsolete and means nothing")
                .help("remove it"),
        );
    }
}
