//! What can be typed.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, builder::Styles};
use clap_complete::Shell;

use crate::{
    engine::EngineChoice,
    spec::{PullPolicy, WorkerId},
};

/// Run N hermetic copies of a Compose stack
///
/// Each worker is a copy of its own: own network, own containers, own volumes, own
/// ports on 127.0.0.1. Services start in the order of their dependencies, each when
/// those before it are ready.
#[derive(Debug, Parser)]
#[command(name = "stackrun", version, styles = Styles::styled(), after_help = EXAMPLES)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  stackrun up --workers 4              four copies of the stack in this directory
  stackrun run --workers 4 -- npm test bring them up, run the tests, take them down
  stackrun -f compose.yaml plan        what would be created";

#[derive(Debug, Args)]
#[command(next_help_heading = "Options for all commands")]
pub(super) struct Global {
    /// Compose file; several are merged in order, `-` is standard input
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Name of the project, and so of the session
    #[arg(short, long, value_name = "NAME", global = true)]
    pub(super) project_name: Option<String>,
    /// Where relative paths in the Compose file start
    #[arg(long, value_name = "DIR")]
    pub(super) project_directory: Option<PathBuf>,
    /// File of variables for the Compose file, instead of `.env`
    #[arg(long = "env-file", value_name = "FILE")]
    pub(super) env_files: Vec<PathBuf>,
    /// Profile to enable
    #[arg(long = "profile", value_name = "NAME")]
    pub(super) profiles: Vec<String>,
    /// Container engine: auto, docker, podman, or the URL of its socket
    #[arg(
        long,
        value_name = "ENGINE",
        env = "STACKRUN_ENGINE",
        default_value = "auto",
        global = true
    )]
    pub(super) engine: EngineChoice,
    /// When to colour the output
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub(super) color: ColorChoice,
    /// Show nothing but results and errors
    #[arg(long, global = true)]
    pub(super) quiet: bool,
    /// Show more; twice for still more
    #[arg(short, long, action = ArgAction::Count)]
    pub(super) verbose: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Bring workers up, and wait until all of them are ready
    Up(UpArgs),
    /// Take a session down
    Down(DownArgs),
    /// Bring workers up, run a command, take everything down
    Run(RunArgs),
    /// Build the images of services, once for all workers
    Build(BuildArgs),
    /// Pull the images of services
    Pull(PullArgs),
    /// List the containers of a session
    Ps(PsArgs),
    /// Show what services have written
    Logs(LogsArgs),
    /// Run a command in a container
    Exec(ExecArgs),
    /// Print the addresses of a worker as variables
    Env(EnvArgs),
    /// List the sessions on the engine
    Ls(FormatArgs),
    /// Show what `up` would do, and do nothing
    Plan(PlanArgs),
    /// Print the Compose file, resolved
    Config(ConfigArgs),
    /// Check what stackrun needs, and say how to get what is missing
    Doctor(FormatArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the versions of stackrun and of the engine
    Version(FormatArgs),
}

/// What a command prints its result as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Args)]
pub(super) struct FormatArgs {
    /// Output format
    #[arg(long, default_value = "text")]
    pub(super) format: Format,
}

/// What `up` and `run` have in common.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct StartArgs {
    /// How many copies; default: `x-stackrun.workers`, else 1
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) workers: Option<u32>,
    /// How long everything together may take to become ready: `90`, `90s`, `2m`
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) wait_timeout: Option<Duration>,
    /// Give each worker a loopback address of its own, with the ports that the file names
    #[arg(long)]
    pub(super) own_address: bool,
    #[command(flatten)]
    pub(super) images: ImageArgs,
    /// Show the services' logs while waiting for them
    #[arg(long)]
    pub(super) logs: bool,
    /// Show the lines of this service as they come
    #[arg(long = "stream", value_name = "SERVICE")]
    pub(super) stream: Vec<String>,
    /// Leave what failed as it is, for a look
    #[arg(long)]
    pub(super) keep_failed: bool,
    /// Show where the time went
    #[arg(long)]
    pub(super) timings: bool,
    /// Write every event to FILE, a JSON object a line
    #[arg(long = "events", value_name = "FILE")]
    pub(super) events: Option<PathBuf>,
}

/// How images are come by.
#[derive(Debug, Default, Args)]
pub(super) struct ImageArgs {
    /// When to pull images, whatever `pull_policy` says
    #[arg(long, value_name = "WHEN")]
    pub(super) pull: Option<PullChoice>,
    /// Build images, even if they are there
    #[arg(long, overrides_with = "no_build")]
    build: bool,
    /// Build no image
    #[arg(long)]
    no_build: bool,
}

impl ImageArgs {
    pub(super) fn build(&self) -> Option<bool> {
        (self.build || self.no_build).then_some(self.build)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PullChoice {
    Always,
    /// When the engine does not have it
    Missing,
    Never,
}

impl From<PullChoice> for PullPolicy {
    fn from(choice: PullChoice) -> Self {
        match choice {
            PullChoice::Always => Self::Always,
            PullChoice::Missing => Self::Missing,
            PullChoice::Never => Self::Never,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stackrun up                     in the foreground; Ctrl-C takes everything down
  stackrun up -d --workers 4      return when all four are ready
  stackrun up -d backend          only `backend` and what it depends on")]
pub(super) struct UpArgs {
    /// Return when everything is ready, and leave it running
    #[arg(short, long)]
    pub(super) detach: bool,
    #[command(flatten)]
    pub(super) start: StartArgs,
    /// Let the other workers go on when one fails
    #[arg(long)]
    pub(super) keep_going: bool,
    /// Remove containers of services that the Compose file does not have
    #[arg(long)]
    pub(super) remove_orphans: bool,
    /// Output format of the address table
    #[arg(long, default_value = "text")]
    pub(super) format: Format,
    /// Services to start, with those they depend on; default: all
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct DownArgs {
    /// Remove volumes as well
    #[arg(short, long)]
    pub(super) volumes: bool,
    /// Take down every session on the engine
    #[arg(long)]
    pub(super) all: bool,
    /// Output format
    #[arg(long, default_value = "text")]
    pub(super) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stackrun run --workers 4 -- npx playwright test --workers 4
  stackrun run --workers 4 --each -- sh -c 'curl -f $FRONTEND_URL'

The command finds the addresses in its environment (BACKEND_URL, as `x-stackrun.env`
says, and STACKRUN_<SERVICE>_URL, _HOST, _PORT) and in the file STACKRUN_STATE.
The exit code is the command's.")]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) start: StartArgs,
    /// Run the command once for every worker, side by side
    #[arg(long)]
    pub(super) each: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stackrun build                            every service with a `build`
  stackrun build --build-arg VERSION=2 web  one of them

An image gets a name that belongs to this directory, so that another checkout of the
project does not run it.")]
pub(super) struct BuildArgs {
    /// Run every step, whether cached or not
    #[arg(long)]
    pub(super) no_cache: bool,
    /// Look for newer base images
    #[arg(long)]
    pub(super) pull: bool,
    /// Build argument for every image; without a value, that of the environment
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]", value_parser = argument)]
    pub(super) arguments: Vec<(String, String)>,
    /// Build what the services depend on as well
    #[arg(long)]
    pub(super) with_dependencies: bool,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct PullArgs {
    /// When to pull [default: always]
    #[arg(long, value_name = "WHEN")]
    pub(super) policy: Option<PullChoice>,
    /// Pull what the services depend on as well
    #[arg(long)]
    pub(super) include_deps: bool,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct PsArgs {
    /// Only this worker
    #[arg(short, long, value_name = "N", value_parser = worker)]
    pub(super) worker: Option<WorkerId>,
    /// Only the containers' ids
    #[arg(short, long)]
    pub(super) ids: bool,
    /// Output format
    #[arg(long, default_value = "text")]
    pub(super) format: Format,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Go on with what is still to come
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Only this worker
    #[arg(short, long, value_name = "N", value_parser = worker)]
    pub(super) worker: Option<WorkerId>,
    /// Nothing before this: `10m`, or a time stamp
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) since: Option<jiff::Timestamp>,
    /// Nothing after this: `10m`, or a time stamp
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) until: Option<jiff::Timestamp>,
    /// Only the last lines of each container
    #[arg(short = 'n', long, value_name = "LINES")]
    pub(super) tail: Option<u64>,
    /// Show when each line was written
    #[arg(short, long)]
    pub(super) timestamps: bool,
    /// Output format
    #[arg(long, default_value = "text")]
    pub(super) format: Format,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    /// The worker
    #[arg(short, long, value_name = "N", value_parser = worker, default_value = "0")]
    pub(super) worker: WorkerId,
    /// Do not give the command a terminal
    #[arg(short = 'T', long = "no-tty")]
    pub(super) no_tty: bool,
    /// Give the command all capabilities
    #[arg(long)]
    pub(super) privileged: bool,
    /// Run as this user
    #[arg(short, long, value_name = "USER")]
    pub(super) user: Option<String>,
    /// Run in this directory
    #[arg(long, value_name = "DIR")]
    pub(super) workdir: Option<String>,
    /// Further variables
    #[arg(short, long = "env", value_name = "NAME=VALUE")]
    pub(super) environment: Vec<String>,
    /// The service
    #[arg(value_name = "SERVICE")]
    pub(super) service: String,
    /// The command and its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "COMMAND"
    )]
    pub(super) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct EnvArgs {
    /// The worker
    #[arg(short, long, value_name = "N", value_parser = worker, default_value = "0")]
    pub(super) worker: WorkerId,
    /// Output format
    #[arg(long, default_value = "dotenv")]
    pub(super) format: EnvFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum EnvFormat {
    /// `NAME="value"`
    Dotenv,
    /// `export NAME='value'`, for `eval`
    Shell,
    Json,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// How many copies; default: `x-stackrun.workers`, else 1
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) workers: Option<u32>,
    /// Give each worker a loopback address of its own, with the ports that the file names
    #[arg(long)]
    pub(super) own_address: bool,
    #[command(flatten)]
    pub(super) images: ImageArgs,
    /// Remove containers of services that the Compose file does not have
    #[arg(long)]
    pub(super) remove_orphans: bool,
    /// Output format
    #[arg(long, default_value = "text")]
    pub(super) format: Format,
    /// Services to start, with those they depend on; default: all
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct ConfigArgs {
    /// Output format
    #[arg(long, default_value = "yaml")]
    pub(super) format: ConfigFormat,
    /// Only check the file
    #[arg(short = 'q', long = "check")]
    pub(super) check: bool,
    /// Print the services' names
    #[arg(long, group = "part")]
    pub(super) services: bool,
    /// Print the images
    #[arg(long, group = "part")]
    pub(super) images: bool,
    /// Print the volumes' names
    #[arg(long, group = "part")]
    pub(super) volumes: bool,
    /// Print the profiles
    #[arg(long, group = "part")]
    pub(super) profiles: bool,
    /// Print the hash of each of these services, as Docker Compose does; `*` is all
    #[arg(
        long,
        value_name = "SERVICES",
        value_delimiter = ',',
        group = "part",
        conflicts_with = "only"
    )]
    pub(super) hash: Vec<String>,
    /// Only these services, with those they depend on
    #[arg(value_name = "SERVICE")]
    pub(super) only: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ConfigFormat {
    Yaml,
    Json,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    pub(super) shell: Shell,
}

fn worker(text: &str) -> Result<WorkerId, String> {
    let digits = text.strip_prefix('w').unwrap_or(text);
    digits
        .parse()
        .map(WorkerId)
        .map_err(|_| "a worker is a number from 0".to_owned())
}

/// `NAME=VALUE`, or the name of a variable that has one.
fn argument(text: &str) -> Result<(String, String), String> {
    if let Some((name, value)) = text.split_once('=') {
        return Ok((name.to_owned(), value.to_owned()));
    }
    let value = std::env::var(text);
    value
        .map(|value| (text.to_owned(), value))
        .map_err(|_| format!("the variable `{text}` is not set"))
}

/// Seconds, or a number with a unit.
fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let span: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "expected a time such as `90`, `90s` or `2m`".to_owned())?;
    span.try_into()
        .map_err(|_| "a time cannot be negative".to_owned())
}

/// A time stamp, or how long ago.
fn moment(text: &str) -> Result<jiff::Timestamp, String> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let ago = duration(text)
        .map_err(|_| "expected a time stamp, or how long ago, such as `10m`".to_owned())?;
    let ago = jiff::SignedDuration::try_from(ago).map_err(|error| error.to_string())?;
    jiff::Timestamp::now()
        .checked_sub(ago)
        .map_err(|error| error.to_string())
}
