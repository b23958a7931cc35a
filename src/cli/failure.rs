//! Puts errors into words: what failed, why, and what to do next.

use std::{fmt::Write as _, path::Path};

use crate::{
    compose::LoadError,
    engine::{ConnectError, EngineError, Refusal},
    error::sources,
    logs::LogLine,
    plan::{Action, PlanError},
    probe::NotReady,
    session::{Failures, StepError, StepFailure, Teardown, UpError},
    spec::{InvalidName, SessionName, observed::Owner},
    text,
};

use super::exit_code;

/// The end of a command that failed.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    message: String,
    /// Further errors, from the outermost to the innermost.
    causes: Vec<String>,
    /// Whole paragraphs, such as the last lines of a log.
    details: Vec<String>,
    hints: Vec<String>,
    /// The message is rendered already and starts with `error:`.
    is_rendered: bool,
}

/// How many services that could not start are named.
const NAMED_SERVICES: usize = 6;

impl Failure {
    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            causes: Vec::new(),
            details: Vec::new(),
            hints: Vec::new(),
            is_rendered: false,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    fn caused_by(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        self.causes = sources(error).skip(1).map(ToString::to_string).collect();
        self.causes.dedup();
        self
    }

    pub(super) fn exit_code(&self) -> u8 {
        self.code
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(exit_code::USAGE, message)
    }

    pub(super) fn working_directory(error: &std::io::Error) -> Self {
        Self::new(
            exit_code::FAILED,
            format!("the working directory cannot be read: {error}"),
        )
    }

    pub(super) fn name(error: &InvalidName) -> Self {
        Self::usage(error.to_string())
    }

    pub(super) fn no_session(directory: &Path) -> Self {
        Self::new(
            exit_code::INVALID_PROJECT,
            format!(
                "no Compose file in `{}` or any directory above it",
                directory.display()
            ),
        )
        .hint("name the file with `-f`, or the session with `-p` (`stackrun ls` lists them)")
    }

    /// `-p` names a project that is up in several places.
    pub(super) fn ambiguous(name: &str, sessions: &[(SessionName, Owner)]) -> Self {
        let lines = sessions
            .iter()
            .map(|(session, owner)| format!("\n  {session}  {}", owner.directory.display()));
        let mut failure = Self::usage(format!("project `{name}` is up in several places"));
        failure
            .details
            .push(format!("its sessions:{}", lines.collect::<String>()));
        failure.hint("name one of these sessions with `-p`")
    }

    pub(super) fn load(error: LoadError, color: bool) -> Self {
        let code = exit_code::INVALID_PROJECT;
        match error {
            LoadError::Invalid(diagnostics) => {
                let color = if color {
                    crate::compose::Color::Always
                } else {
                    crate::compose::Color::Never
                };
                let texts: Vec<_> = diagnostics.iter().map(|d| d.render(color)).collect();
                Self {
                    is_rendered: true,
                    ..Self::new(code, texts.join("\n\n"))
                }
            }
            LoadError::NotFound { .. } => Self::new(code, error.to_string())
                .hint("name the file with `-f`, or change to its directory"),
            LoadError::Read { .. } => Self::new(code, error.to_string()).caused_by(&error),
        }
    }

    pub(super) fn connect(error: &ConnectError) -> Self {
        let tried = error
            .attempts
            .iter()
            .fold(String::from("tried:"), |mut text, attempt| {
                let _ = write!(text, "\n  {}: {}", attempt.place(), attempt.why);
                text
            });
        let failure = Self {
            details: vec![tried],
            ..Self::new(exit_code::NO_ENGINE, error.to_string())
        };
        failure.hint(
            "start Docker or Podman, or name its socket with `--engine URL` or DOCKER_HOST; \
             `stackrun doctor` says more",
        )
    }

    pub(super) fn engine(error: &EngineError) -> Self {
        let code = match error {
            EngineError::Refused { .. }
            | EngineError::Step { .. }
            | EngineError::Unsupported { .. }
            | EngineError::File { .. } => exit_code::FAILED,
            EngineError::Connection { .. } | EngineError::TimedOut { .. } => exit_code::NO_ENGINE,
        };
        Self::new(code, error.to_string()).caused_by(error)
    }

    pub(super) fn plan(error: &PlanError) -> Self {
        let failure = Self::new(exit_code::INVALID_PROJECT, error.to_string());
        match error {
            PlanError::NothingToWaitFor { service, .. } => failure.hint(format!(
                "give `{service}` a `healthcheck` or an `x-stackrun.ready`, or wait for `service_started`"
            )),
            PlanError::ProbeWithoutPort { .. } => {
                failure.hint("name it: `ready: { http: { path: /, port: 8080 } }`")
            }
            PlanError::PoolExhausted(_) => failure.hint(
                "take down sessions that are not needed (`stackrun ls`), or set another pool with \
                 `x-stackrun.subnets`",
            ),
            PlanError::ImageMissing { image, .. } => Self {
                code: exit_code::FAILED,
                ..failure
            }
            .hint(format!(
                "pull, build or load it (`docker image ls` lists what is there), or name an archive \
                 that has it: `x-stackrun: {{ images: {{ \"{image}\": image.tar }} }}`"
            )),
            PlanError::AddressWithoutSubnet { network, .. } => failure.hint(format!(
                "say under `ipam.config` of `networks.{network}` which `subnet` it is from; IPv6 \
                 takes `enable_ipv6: true` as well"
            )),
            PlanError::AddressOfMany { .. } => {
                failure.hint("leave the address to the engine, or start one worker")
            }
            PlanError::Cycle(_) | PlanError::BuildCycle { .. } | PlanError::File { .. } => failure,
        }
    }

    /// A failed `up`. `signal` is the signal that came, if one did.
    pub(super) fn up(error: UpError, signal: Option<u8>) -> Self {
        match error {
            UpError::Plan(error) => Self::plan(&error),
            UpError::Engine(error) => Self::engine(&error),
            UpError::Steps(failures) => Self::steps(&failures),
            UpError::TimedOut {
                ref waiting_for, ..
            } => {
                let mut failure = Self::new(exit_code::NOT_READY, error.to_string());
                if !waiting_for.is_empty() {
                    failure
                        .details
                        .push(format!("still waiting for {}", some(waiting_for)));
                }
                failure.hint("raise `--wait-timeout`, or watch the logs with `--logs`")
            }
            UpError::Interrupted => {
                let code = signal.map_or(exit_code::FAILED, |signal| exit_code::SIGNAL + signal);
                Self::new(
                    code,
                    "interrupted; everything that was started is taken down",
                )
            }
            UpError::NoOwnAddress { .. } => Self::usage(error.to_string()).hint(
                "`--own-address` takes Linux, and an engine on this very machine: without it, every \
                 worker's ports are on 127.0.0.1 (`stackrun ps` and `stackrun env` tell them)",
            ),
            UpError::State { .. } => {
                Self::new(exit_code::FAILED, error.to_string()).caused_by(&error)
            }
        }
    }

    fn steps(failures: &Failures) -> Self {
        let first = &failures.first;
        let mut failure = Self::new(code_of(&first.why), first.to_string());
        // The headline of a service that is not ready says why already.
        let skip = usize::from(matches!(first.why, StepError::NotReady(_)));
        failure.causes = sources(&first.why)
            .skip(skip)
            .map(ToString::to_string)
            .collect();
        failure.causes.dedup();
        failure.details.extend(details_of(first));
        if !first.dependents.is_empty() {
            failure.details.push(format!(
                "not started because of it: {}",
                some(&first.dependents)
            ));
        }
        if !failures.others.is_empty() {
            let others = failures.others.iter().map(|other| format!("\n  {other}"));
            failure
                .details
                .push(format!("also failed:{}", others.collect::<String>()));
        }
        failure.hints.extend(hint_for(first));
        failure
    }

    /// A teardown that left something behind.
    pub(super) fn teardown(teardown: &Teardown) -> Self {
        let left = teardown
            .left
            .iter()
            .map(|name| format!("\n  {name}"))
            .collect::<String>();
        let why = teardown.failures.iter().map(|failure| {
            let why = crate::error::chain(&failure.why);
            format!("\n  {}: {why}", failure.action)
        });
        let mut why: String = why.collect();
        if let Some(error) = &teardown.unreachable {
            let _ = write!(why, "\n  {}", crate::error::chain(error));
        }
        let mut failure = Self::new(exit_code::FAILED, "not everything could be removed");
        failure.details.push(format!("left:{left}"));
        if !why.is_empty() {
            failure.details.push(format!("because:{why}"));
        }
        failure.hint("`stackrun ls` lists the sessions, and `stackrun -p SESSION down` tries again")
    }

    /// The text for standard error.
    pub(super) fn render(&self, color: bool) -> String {
        let (red, bold, cyan, reset) = if color {
            ("\x1b[1;31m", "\x1b[1m", "\x1b[36m", "\x1b[0m")
        } else {
            ("", "", "", "")
        };
        let mut text = if self.is_rendered {
            format!("{}\n", self.message)
        } else {
            format!("{red}error{reset}{bold}: {}{reset}\n", self.message)
        };
        for cause in &self.causes {
            let _ = writeln!(text, "  caused by: {cause}");
        }
        for detail in &self.details {
            let _ = writeln!(text, "{detail}");
        }
        for hint in &self.hints {
            let _ = writeln!(text, "{cyan}hint{reset}: {hint}");
        }
        text
    }
}

fn code_of(why: &StepError) -> u8 {
    match why {
        StepError::NotReady(NotReady::TimedOut { .. }) => exit_code::NOT_READY,
        _ => exit_code::FAILED,
    }
}

fn details_of(failure: &StepFailure) -> Vec<String> {
    let mut details = Vec::new();
    match &failure.why {
        StepError::NotReady(NotReady::TimedOut {
            last: Some(last), ..
        }) => {
            details.push(format!("last status: {}", harmless(last)));
        }
        StepError::NotReady(NotReady::Unhealthy {
            output: Some(output),
        }) if !output.is_empty() => {
            details.push(format!("the check printed: {}", harmless(output)));
        }
        _ => {}
    }
    if let (Some(replica), false) = (failure.action.replica(), failure.last_lines.is_empty()) {
        let lines = failure.last_lines.iter().map(last_line).collect::<String>();
        details.push(format!("last lines of {replica}:{lines}"));
    }
    details
}

/// Words out of a container, line by line, without anything that could control a
/// terminal.
fn harmless(text: &str) -> String {
    let lines = text
        .trim()
        .lines()
        .map(|line| crate::report::plain_text(line.as_bytes()));
    lines.collect::<Vec<_>>().join("\n  ")
}

fn last_line(line: &LogLine) -> String {
    format!(
        "\n  [{}] {}",
        line.source,
        crate::report::plain_text(&line.text)
    )
}

fn hint_for(failure: &StepFailure) -> Option<String> {
    match &failure.action {
        Action::PullImage { .. } => {
            return Some(
                "check its name and its registry, or load it into the engine, or name an archive \
                 that has it in `x-stackrun.images`"
                    .to_owned(),
            );
        }
        Action::BuildImage { .. } => {
            return Some("`stackrun -v build` shows every line of the build".to_owned());
        }
        _ => {}
    }
    let replica = failure.action.replica()?;
    match &failure.why {
        StepError::Engine(error) if error.refusal() == Some(Refusal::PortTaken) => Some(
            "something else listens on this port, on this address or on all; `ss -ltnp` shows what"
                .to_owned(),
        ),
        StepError::NotReady(NotReady::Exited { .. } | NotReady::Unhealthy { .. }) => {
            Some("`--keep-failed` keeps the containers for a look".to_owned())
        }
        StepError::NotReady(NotReady::TimedOut { .. }) => Some(format!(
            "give `{}` more time with `x-stackrun: {{ ready: {{ timeout: 2m }} }}`, or watch its log \
             with `--logs`",
            replica.service
        )),
        _ => None,
    }
}

fn some<T: std::fmt::Display>(things: &[T]) -> String {
    let named = text::list(things.iter().take(NAMED_SERVICES));
    match things.len().saturating_sub(NAMED_SERVICES) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
