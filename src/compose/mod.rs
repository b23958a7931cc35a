//! Compose files to a [`spec::Project`](crate::spec::Project).
//!
//! [`load`] takes the files through these phases, in Compose's own order:
//!
//! | phase | module |
//! | --- | --- |
//! | find the files, the project's directory, name and variables | `discover`, `dotenv` |
//! | YAML to located nodes | `parse`, `tabs`, `scalar`, `node` |
//! | fill in variables | `interpolate`, `template` |
//! | add what is extended and included | `extends`, `include` |
//! | lay later files over earlier ones | `merge`, `unique` |
//! | check keys and types | `validate`, `schema` |
//! | short syntax to long | `long`, `port`, `volume` |
//! | defaults, absolute paths, implicit networks and dependencies | `defaults`, `paths`, `normalise`, `environment` |
//! | one spelling for each value | `values`, `quantity`, `shell` |
//! | check that the project hangs together | `check` |
//! | typed result and canonical text | `project`, `service`, `seccomp`, `extension`, `canonical`, `hash` |
//!
//! Every node knows where it was written, so that every error can show the line. The
//! loader reads files through a [`Source`] and variables from [`LoadOptions`]; it knows
//! nothing of engines, workers or terminals.

mod build;
mod canonical;
mod check;
mod defaults;
mod diagnostic;
mod discover;
mod dotenv;
mod environment;
mod error;
mod extends;
mod extension;
mod hash;
mod include;
mod interpolate;
mod load;
mod long;
mod merge;
mod node;
mod normalise;
mod parse;
mod paths;
mod port;
mod profile;
mod project;
mod quantity;
mod scalar;
mod schema;
mod seccomp;
mod service;
mod shell;
mod source;
mod tabs;
mod template;
mod unique;
mod validate;
mod values;
mod volume;

use std::{collections::BTreeMap, path::PathBuf};

pub use canonical::Canonical;
pub use diagnostic::{Color, Diagnostic, Label, Severity};
pub use error::LoadError;
pub use source::{Disk, MAX_FILE_BYTES, Memory, Source};

use self::{
    diagnostic::Problem,
    load::{Context, Failure, Scope},
    node::{Node, Span},
};
use crate::spec::{Project, ServiceName};

/// What to load, as the command line and the environment say it.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// `-f`: the files, in order; `-` is standard input. Empty: `COMPOSE_FILE`, or
    /// else the default names, from the working directory upwards.
    pub files: Vec<PathBuf>,
    /// `-p`: the project's name.
    pub project_name: Option<String>,
    /// Where relative paths in the files start. Absent: the first file's directory.
    pub project_directory: Option<PathBuf>,
    /// `--env-file`. Empty: `.env` in the project's directory, if there is one.
    pub env_files: Vec<PathBuf>,
    /// `--profile`. Empty: `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    /// The services that are asked for, with all that they depend on. A service that
    /// is named has its profiles activated. Empty: every enabled service.
    pub services: Vec<String>,
    /// Only the text of the project is wanted: files that a container needs but the
    /// text does not show, such as seccomp profiles, may be missing.
    pub text_only: bool,
    /// The environment. The loader reads no other.
    pub environment: BTreeMap<String, String>,
    /// The working directory, absolute.
    pub working_dir: PathBuf,
}

/// A project that has been loaded.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// The project as Compose text.
    pub canonical: Canonical,
    /// The hash that Docker Compose has for each service that the project has.
    pub hashes: BTreeMap<String, String>,
    /// Every service of the files, enabled and asked for or not.
    pub known_services: Vec<ServiceName>,
    /// What is odd but no error.
    pub warnings: Vec<Diagnostic>,
}

/// Loads a project from the host's file system.
pub fn load(options: &LoadOptions) -> Result<Loaded, LoadError> {
    load_from(&Disk, options)
}

/// Loads a project from any [`Source`] of files.
pub fn load_from(source: &dyn Source, options: &LoadOptions) -> Result<Loaded, LoadError> {
    let mut context = Context::new(source);
    match run(options, &mut context) {
        Ok(loaded) => Ok(Loaded {
            warnings: context.into_warnings(),
            ..loaded
        }),
        Err(failure) => Err(context.into_error(failure)),
    }
}

/// Everything but the warnings, which are still the context's.
fn run(options: &LoadOptions, context: &mut Context<'_>) -> Result<Loaded, Failure> {
    let setting = discover::discover(options, context)?;
    let scope = Scope {
        directory: setting.directory.clone(),
        environment: setting.environment.clone(),
    };
    let mut tree = load::load_files(&setting.files, &[], &scope, context)?;
    if tree.is_empty() {
        let files = setting
            .files
            .iter()
            .map(|file| file.shown.display().to_string());
        let files = files.collect::<Vec<_>>().join("`, `");
        return Err(Problem::error(Span::NONE, format!("there is nothing in `{files}`")).into());
    }
    normalise::normalise(&mut tree, setting.name.as_str(), &setting.environment);
    let mut root = Node::new(tree, Span::NONE);
    values::canonicalise(&mut root)?;
    let mut tree = root.into_map();

    let known = known_services(&tree);
    let profiles = profile::all(&tree);
    let disabled = profile::select(&mut tree, &setting.profiles, &options.services)?;
    let problems = check::check(&tree, &disabled);
    if !problems.is_empty() {
        return Err(Failure::Problems(problems));
    }
    profile::keep_only(&mut tree, &options.services);
    environment::read_label_files(&mut tree, context)?;
    let hashes = hash::of_services(&tree, &setting.environment);
    environment::read_env_files(&mut tree, &setting.environment, context)?;

    let canonical = Canonical::new(tree, profiles);
    let disabled: Vec<_> = disabled.keys().map(String::as_str).collect();
    let mut warnings = Vec::new();
    let mut project = project::project(canonical.tree(), &setting, &disabled, &mut warnings)?;
    if !options.text_only {
        seccomp::read_profiles(&mut project, canonical.tree(), &setting, context)?;
    }
    for warning in warnings {
        context.warn(warning);
    }
    Ok(Loaded {
        project,
        canonical,
        hashes,
        known_services: known,
        warnings: Vec::new(),
    })
}

fn known_services(tree: &node::Map) -> Vec<ServiceName> {
    let services = tree.get("services").and_then(Node::as_map);
    let names = services.into_iter().flat_map(node::Map::keys);
    names.filter_map(|name| name.parse().ok()).collect()
}
