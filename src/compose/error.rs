//! Why a project could not be loaded.

use std::{io, path::PathBuf};

use super::diagnostic::Diagnostic;

/// Why a project could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The files say something wrong: one diagnostic or several, each an error.
    #[error("{}", render(.0))]
    Invalid(Vec<Diagnostic>),
    /// A file could not be read.
    #[error("cannot read {what} `{}`", path.display())]
    Read {
        /// What the file is for: `Compose file`, `env file`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Neither `-f` nor `COMPOSE_FILE` was given and no directory has a file.
    #[error("no Compose file in `{}` or any directory above it", .directory.display())]
    NotFound {
        /// Where the search started.
        directory: PathBuf,
    },
}

impl LoadError {
    /// What is wrong with the files; empty for a file that could not be read.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Invalid(diagnostics) => diagnostics,
            Self::Read { .. } | Self::NotFound { .. } => &[],
        }
    }
}

fn render(diagnostics: &[Diagnostic]) -> String {
    let texts: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
    texts.join("\n\n")
}
