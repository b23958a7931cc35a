//! The command line: the only place that knows clap, terminals, colours and exit
//! codes. Nothing depends on it.

mod args;
mod attended;
mod command;
mod completions;
mod config;
mod context;
mod doctor;
mod down;
mod env;
mod exec;
pub mod exit_code;
mod failure;
mod images;
mod logs;
mod ls;
mod plan;
mod ps;
mod run;
mod signals;
mod start;
mod table;
mod up;
mod version;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use context::Context;
use failure::Failure;

/// What a command ends with, if it does not fail.
type Outcome = Result<u8, Failure>;

/// Runs the command line and returns its exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    init_tracing(cli.global.verbose);
    let context = match Context::new(&cli.global) {
        Ok(context) => context,
        Err(failure) => return report(&failure, false),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads and epoll are there");
    let result = runtime.block_on(dispatch(&context, cli.command));
    // Reading standard input blocks a thread for ever; there is nothing to wait for.
    runtime.shutdown_background();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => report(&failure, context.color_stderr()),
    }
}

async fn dispatch(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Up(args) => up::up(context, args).await,
        Command::Down(args) => down::down(context, args).await,
        Command::Run(args) => run::run(context, args).await,
        Command::Build(args) => images::build(context, args).await,
        Command::Pull(args) => images::pull(context, args).await,
        Command::Ps(args) => ps::ps(context, args).await,
        Command::Logs(args) => logs::logs(context, args).await,
        Command::Exec(args) => exec::exec(context, args).await,
        Command::Env(args) => env::env(context, args).await,
        Command::Ls(args) => ls::ls(context, args).await,
        Command::Plan(args) => plan::plan(context, args).await,
        Command::Config(args) => config::config(context, &args),
        Command::Doctor(args) => doctor::doctor(context, args).await,
        Command::Completions(args) => Ok(completions::completions(&args)),
        Command::Version(args) => version::version(context, args).await,
    }
}

fn report(failure: &Failure, color: bool) -> ExitCode {
    use std::io::Write as _;
    let text = failure.render(color);
    // Nothing is left to be done when not even the error can be written.
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(failure.exit_code())
}

/// `-v` shows what stackrun does inside, `-vv` more; `STACKRUN_LOG` says it exactly.
fn init_tracing(verbose: u8) {
    let default = match verbose {
        0 => "off",
        1 => "stackrun=debug",
        _ => "stackrun=trace,bollard=debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("STACKRUN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

/// Writes to standard output. A reader that has gone away is no error: `| head` has
/// seen enough.
fn print(text: &str) {
    let _ = try_print(text);
}

/// Writes to standard output; fails when nobody reads any more.
fn try_print(text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    std::io::stdout().write_all(text.as_bytes())
}

fn print_json(value: &impl serde::Serialize) {
    let json = serde_json::to_string_pretty(value).expect("plain data becomes JSON");
    print(&format!("{json}\n"));
}
