//! What every command needs: the environment, the project, the engine, the session.

use std::{collections::BTreeMap, io::IsTerminal as _, path::PathBuf, sync::Arc};

use crate::{
    compose::{self, LoadError, LoadOptions, Loaded},
    engine::{self, ConnectRequest, Engine, EngineChoice},
    spec::{Project, SessionName},
};

use super::{
    args::{ColorChoice, Global},
    failure::Failure,
};

/// The settings of one invocation: flags before variables before defaults.
pub(super) struct Context {
    pub(super) environment: BTreeMap<String, String>,
    pub(super) quiet: bool,
    pub(super) verbose: u8,
    color: ColorChoice,
    engine: EngineChoice,
    load: LoadOptions,
}

/// A session that a command works on. Its Compose file may be gone.
pub(super) struct Target {
    pub(super) session: SessionName,
    pub(super) project: Option<Project>,
}

impl Context {
    pub(super) fn new(global: &Global) -> Result<Self, Failure> {
        let working_dir =
            std::env::current_dir().map_err(|error| Failure::working_directory(&error))?;
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let load = LoadOptions {
            files: global.files.clone(),
            project_name: global.project_name.clone(),
            project_directory: global.project_directory.clone(),
            env_files: global.env_files.clone(),
            profiles: global.profiles.clone(),
            services: Vec::new(),
            environment: environment.clone(),
            working_dir,
        };
        Ok(Self {
            environment,
            quiet: global.quiet,
            verbose: global.verbose,
            color: global.color,
            engine: global.engine.clone(),
            load,
        })
    }

    /// Loads the project, narrowed to `services` and what they depend on.
    pub(super) fn load(&self, services: &[String]) -> Result<Loaded, Failure> {
        let options = LoadOptions {
            services: services.to_vec(),
            ..self.load.clone()
        };
        let loaded =
            compose::load(&options).map_err(|error| Failure::load(error, self.color_stderr()))?;
        for warning in &loaded.warnings {
            self.say(&warning.render(self.diagnostic_color()));
        }
        Ok(loaded)
    }

    /// Finds out which session is meant: by `-p`, else by the Compose file. Commands on
    /// a session that is there work without its file.
    pub(super) fn target(&self) -> Result<Target, Failure> {
        match (compose::load(&self.load), &self.load.project_name) {
            (Ok(Loaded { project, .. }), _) => Ok(Target {
                session: project.name.clone(),
                project: Some(project),
            }),
            (Err(_), Some(name)) => {
                let session = name.parse().map_err(|error| Failure::name(&error))?;
                Ok(Target {
                    session,
                    project: None,
                })
            }
            (Err(LoadError::NotFound { directory }), None) => Err(Failure::no_session(&directory)),
            (Err(error), None) => Err(Failure::load(error, self.color_stderr())),
        }
    }

    /// Connects to the engine.
    pub(super) async fn connect(&self) -> Result<Arc<dyn Engine>, Failure> {
        let request = ConnectRequest {
            engine: self.engine.clone(),
            environment: self.environment.clone(),
        };
        engine::connect(&request)
            .await
            .map_err(|error| Failure::connect(&error))
    }

    pub(super) fn engine_choice(&self) -> EngineChoice {
        self.engine.clone()
    }

    /// The project's directory, or else the working directory.
    pub(super) fn directory(&self, project: Option<&Project>) -> PathBuf {
        project.map_or_else(
            || self.load.working_dir.clone(),
            |project| project.directory.clone(),
        )
    }

    pub(super) fn color_stdout(&self) -> bool {
        self.colors(std::io::stdout().is_terminal())
    }

    pub(super) fn color_stderr(&self) -> bool {
        self.colors(std::io::stderr().is_terminal())
    }

    /// <https://no-color.org>: set and not empty means no colour.
    fn colors(&self, is_terminal: bool) -> bool {
        match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let unwanted = self
                    .environment
                    .get("NO_COLOR")
                    .is_some_and(|v| !v.is_empty());
                let dumb = self
                    .environment
                    .get("TERM")
                    .is_some_and(|term| term == "dumb");
                is_terminal && !unwanted && !dumb
            }
        }
    }

    fn diagnostic_color(&self) -> compose::Color {
        if self.color_stderr() {
            compose::Color::Always
        } else {
            compose::Color::Never
        }
    }

    /// Talks on standard error, unless it is to be quiet.
    pub(super) fn say(&self, text: &str) {
        use std::io::Write as _;
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }
}
