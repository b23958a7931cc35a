//! What every command needs: the environment, the project, the engine, the session.

use std::{collections::BTreeMap, io::IsTerminal as _, path::PathBuf, sync::Arc};

use crate::{
    compose::{self, LoadError, LoadOptions, Loaded},
    engine::{self, ConnectRequest, Engine, EngineChoice},
    report::Mode,
    spec::{Project, SessionName, observed::Owner},
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
    /// Where its project is, and its files are.
    pub(super) directory: PathBuf,
    /// What its Compose file says, if it is here.
    pub(super) project: Option<Project>,
}

impl Target {
    fn of(project: Project) -> Self {
        Self {
            session: session_of(&project),
            directory: project.directory.clone(),
            project: Some(project),
        }
    }
}

/// The session of a project: its name, and where it lives.
pub(super) fn session_of(project: &Project) -> SessionName {
    SessionName::of(&project.name, &project.directory)
}

/// Whichever links lead to a project, it lives in one place.
fn load(options: &LoadOptions) -> Result<Loaded, LoadError> {
    let mut loaded = compose::load(options)?;
    if let Ok(real) = loaded.project.directory.canonicalize() {
        loaded.project.directory = real;
    }
    Ok(loaded)
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
            text_only: false,
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
        self.load_with(&LoadOptions {
            services: services.to_vec(),
            ..self.load.clone()
        })
    }

    /// Loads the project to print it, without the files that only its containers need.
    pub(super) fn load_text(&self, services: &[String]) -> Result<Loaded, Failure> {
        self.load_with(&LoadOptions {
            services: services.to_vec(),
            text_only: true,
            ..self.load.clone()
        })
    }

    fn load_with(&self, options: &LoadOptions) -> Result<Loaded, Failure> {
        let loaded = load(options).map_err(|error| Failure::load(error, self.color_stderr()))?;
        for warning in &loaded.warnings {
            self.say(&warning.render(self.diagnostic_color()));
        }
        Ok(loaded)
    }

    /// Finds out which session is meant: that of the Compose file, or the one that `-p`
    /// names, by its own name or its project's. Commands on a session that is there work
    /// without its file.
    pub(super) async fn target(&self, engine: &dyn Engine) -> Result<Target, Failure> {
        let loaded = load(&self.load).map(|loaded| loaded.project);
        match (loaded, self.load.project_name.as_deref()) {
            (Ok(project), None) => Ok(Target::of(project)),
            (loaded, Some(name)) => self.named_target(engine, loaded.ok(), name).await,
            (Err(LoadError::NotFound { directory }), None) => Err(Failure::no_session(&directory)),
            (Err(error), None) => Err(Failure::load(error, self.color_stderr())),
        }
    }

    async fn named_target(
        &self,
        engine: &dyn Engine,
        project: Option<Project>,
        name: &str,
    ) -> Result<Target, Failure> {
        let session: SessionName = name.parse().map_err(|error| Failure::name(&error))?;
        let observed = engine.observe(None).await;
        let sessions = observed
            .map_err(|error| Failure::engine(&error))?
            .sessions();
        if let Some(owner) = sessions.get(&session) {
            return Ok(Target {
                session,
                project: project.filter(|project| project.directory == owner.directory),
                directory: owner.directory.clone(),
            });
        }
        if let Some(project) = project {
            return Ok(Target::of(project));
        }
        let mut of_project: Vec<(SessionName, Owner)> = sessions
            .into_iter()
            .filter(|(_, owner)| owner.project == name)
            .collect();
        match of_project.pop() {
            None => Ok(Target {
                session,
                directory: self.load.working_dir.clone(),
                project: None,
            }),
            Some((session, owner)) if of_project.is_empty() => Ok(Target {
                session,
                directory: owner.directory,
                project: None,
            }),
            Some(last) => {
                of_project.push(last);
                Err(Failure::ambiguous(name, &of_project))
            }
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

    /// How progress is shown.
    pub(super) fn report_mode(&self) -> Mode {
        if self.quiet {
            Mode::Quiet
        } else if std::io::stderr().is_terminal() && !self.is_dumb() {
            Mode::Tree
        } else {
            Mode::Plain
        }
    }

    /// Whether the terminal can do nothing but write lines.
    fn is_dumb(&self) -> bool {
        let terminal = self.environment.get("TERM");
        terminal.is_some_and(|terminal| terminal == "dumb")
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
                is_terminal && !unwanted && !self.is_dumb()
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
