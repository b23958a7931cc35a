//! Which files make up the project, where it is, what it is called, and which
//! variables it sees: the rules of the `docker compose` command line.

use std::path::{Path as FilePath, PathBuf};

use super::{
    LoadOptions,
    diagnostic::Problem,
    error::LoadError,
    load::{Context, Environment, Failure, Input},
    node::{Node, Span, Value},
    source::join,
    template::Expander,
};
use crate::spec::{InvalidName, SessionName};

const FILE_NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];
const OVERRIDE_NAMES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What is known before a Compose file is interpreted.
pub(super) struct Setting {
    pub files: Vec<Input>,
    pub directory: PathBuf,
    pub name: SessionName,
    pub environment: Environment,
    pub profiles: Vec<String>,
}

/// Finds everything out. Relative paths are those of the command line.
pub(super) fn discover(
    options: &LoadOptions,
    context: &mut Context<'_>,
) -> Result<Setting, Failure> {
    let mut environment = options.environment.clone();
    environment
        .entry("PWD".to_owned())
        .or_insert_with(|| options.working_dir.to_string_lossy().into_owned());

    // An env file may name the Compose files, and these may lie in a directory with
    // another env file: hence two rounds.
    let given = given_files(&options.files, options);
    let first = directory_of(&given, options);
    read_env_files(options, &first, &mut environment, context)?;
    let mut files = given;
    if files.is_empty() {
        files = listed_files(&environment, options);
    }
    if files.is_empty() {
        files = default_files(&first, context)?;
    }
    let directory = directory_of(&files, options);
    if directory != first {
        read_env_files(options, &directory, &mut environment, context)?;
    }

    let name = name(options, &files, &directory, &environment, context)?;
    environment.insert("COMPOSE_PROJECT_NAME".to_owned(), name.as_str().to_owned());
    let profiles = profiles(options, &environment);
    Ok(Setting {
        files,
        directory,
        name,
        environment,
        profiles,
    })
}

fn input(path: &FilePath, options: &LoadOptions) -> Input {
    let stdin = path == FilePath::new("-");
    let absolute = if stdin {
        path.to_owned()
    } else {
        from_working_dir(path, options)
    };
    Input {
        path: absolute,
        shown: path.to_owned(),
        reference: None,
    }
}

fn from_working_dir(path: &FilePath, options: &LoadOptions) -> PathBuf {
    join(&options.working_dir, &path.to_string_lossy())
}

fn given_files(files: &[PathBuf], options: &LoadOptions) -> Vec<Input> {
    files.iter().map(|path| input(path, options)).collect()
}

/// The files that `COMPOSE_FILE` lists.
fn listed_files(environment: &Environment, options: &LoadOptions) -> Vec<Input> {
    let separator = environment
        .get("COMPOSE_PATH_SEPARATOR")
        .filter(|it| !it.is_empty());
    let separator = separator.map_or(":", String::as_str);
    let list = environment.get("COMPOSE_FILE").map_or("", String::as_str);
    let paths = list.split(separator).filter(|path| !path.is_empty());
    paths
        .map(|path| input(FilePath::new(path), options))
        .collect()
}

/// The Compose file of the nearest directory that has one, and its override file.
fn default_files(start: &FilePath, context: &mut Context<'_>) -> Result<Vec<Input>, Failure> {
    for directory in start.ancestors() {
        let Some(file) = first_of(&FILE_NAMES, directory, context) else {
            continue;
        };
        let over = first_of(&OVERRIDE_NAMES, directory, context);
        let show = |path: PathBuf| {
            let shown = path.strip_prefix(start).unwrap_or(&path).to_owned();
            Input {
                path,
                shown,
                reference: None,
            }
        };
        return Ok([Some(file), over].into_iter().flatten().map(show).collect());
    }
    Err(LoadError::NotFound {
        directory: start.to_owned(),
    }
    .into())
}

/// The first of several names that is there. More than one is worth a warning.
fn first_of(names: &[&str], directory: &FilePath, context: &mut Context<'_>) -> Option<PathBuf> {
    let there: Vec<_> = names
        .iter()
        .filter(|name| context.source.is_file(&directory.join(name)))
        .collect();
    if let [used, ignored, ..] = there[..] {
        let message = format!("both `{used}` and `{ignored}` are there; `{used}` is used");
        context.warn(Problem::warning(Span::NONE, message));
    }
    there.first().map(|name| directory.join(name))
}

fn directory_of(files: &[Input], options: &LoadOptions) -> PathBuf {
    if let Some(directory) = &options.project_directory {
        return from_working_dir(directory, options);
    }
    let first = files.iter().find(|file| file.path != FilePath::new("-"));
    let parent = first.and_then(|file| file.path.parent());
    parent.map_or_else(|| options.working_dir.clone(), FilePath::to_owned)
}

/// Adds the given env files to the environment, or else the `.env` of a directory.
fn read_env_files(
    options: &LoadOptions,
    directory: &FilePath,
    environment: &mut Environment,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let mut files = options.env_files.clone();
    if files.is_empty() {
        let list = environment
            .get("COMPOSE_ENV_FILES")
            .map_or("", String::as_str);
        files.extend(
            list.split(',')
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
        );
    }
    if files.is_empty() {
        let disabled = environment.get("COMPOSE_DISABLE_ENV_FILE");
        let disabled = disabled.is_some_and(|value| matches!(value.as_str(), "1" | "true"));
        let default = directory.join(".env");
        if !disabled && context.source.is_file(&default) {
            files.push(default);
        }
    }
    let paths = files
        .iter()
        .map(|file| (from_working_dir(file, options), None));
    context.read_env_files(paths, environment)
}

fn profiles(options: &LoadOptions, environment: &Environment) -> Vec<String> {
    if !options.profiles.is_empty() {
        return options.profiles.clone();
    }
    let list = environment
        .get("COMPOSE_PROFILES")
        .map_or("", String::as_str);
    // Compose has the empty profile active where no other is.
    list.split(',').map(|name| name.trim().to_owned()).collect()
}

/// `-p`, `COMPOSE_PROJECT_NAME`, the last `name` in a file, the directory. The first
/// two must be legal as they are; the others are made so.
fn name(
    options: &LoadOptions,
    files: &[Input],
    directory: &FilePath,
    environment: &Environment,
    context: &mut Context<'_>,
) -> Result<SessionName, Failure> {
    let given = options
        .project_name
        .as_ref()
        .or_else(|| environment.get("COMPOSE_PROJECT_NAME"));
    if let Some(name) = given.filter(|name| !name.is_empty()) {
        return Ok(name.parse().map_err(|error| illegal_name(&error))?);
    }
    let mut named: Option<Node> = None;
    for file in files {
        for document in context.documents(file)?.iter() {
            let name = document
                .get("name")
                .filter(|name| name.as_str().is_some_and(|it| !it.is_empty()));
            named = name.cloned().or(named);
        }
    }
    if let Some(node) = named {
        return name_from_file(&node, environment, context);
    }
    let base = directory.file_name().unwrap_or_default().to_string_lossy();
    legal_name(&base).parse().map_err(|_| {
        let message = format!("no project name can be made of `{}`", directory.display());
        Problem::error(Span::NONE, message)
            .help("give one with `-p`, or with `name:` in the file")
            .into()
    })
}

fn illegal_name(error: &InvalidName) -> Problem {
    let problem = Problem::error(Span::NONE, error.to_string());
    let legal = legal_name(&error.name);
    if legal.is_empty() {
        return problem;
    }
    problem.help(format!("`{legal}` would be legal"))
}

fn name_from_file(
    node: &Node,
    environment: &Environment,
    context: &mut Context<'_>,
) -> Result<SessionName, Failure> {
    let Value::String(template) = &node.value else {
        return Err(Problem::error(node.span, "`name` must be a string").into());
    };
    let lookup = |name: &str| environment.get(name).cloned();
    // A mistake in the template is reported when the file is interpolated.
    let text = Expander::new(&lookup).expand(template).unwrap_or_default();
    let legal = legal_name(&text);
    if legal != text && !legal.is_empty() {
        let message = format!("the project name `{text}` is not legal; `{legal}` is used");
        context.warn(Problem::warning(node.span, message));
    }
    legal.parse().map_err(|_| {
        Problem::error(node.span, format!("`{text}` is not a project name"))
            .help("use lower-case letters, digits, `_` and `-`, and start with a letter or digit")
            .into()
    })
}

/// The nearest legal name, as Compose makes it; empty where there is none.
fn legal_name(text: &str) -> String {
    let lower = text.to_lowercase();
    let legal = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let legal: String = lower.chars().filter(legal).collect();
    legal.trim_start_matches(['_', '-']).to_owned()
}
