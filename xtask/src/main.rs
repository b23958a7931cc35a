//! Set-up, demo and test commands of this repository, where cargo alone does
//! not reach. Nothing but the standard library: it is compiled before anything
//! else can start.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "telling what is done is half of what this program does"
)]

mod args;
mod engine;
mod images;
mod install;
mod podman;
mod process;
mod start;
mod tasks;
mod workspace;

use std::process::ExitCode;

use args::{Command, Request};
use engine::Engine;
use workspace::Workspace;

/// Errors here are read by a person and handled by nobody.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let request = match Request::parse(&arguments) {
        Ok(request) if request.command == Command::Help => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(request) => request,
        Err(reason) => {
            eprint!("error: {reason}\n\n{}", args::HELP);
            return ExitCode::from(2);
        }
    };
    match run(request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(request: Request) -> Result<()> {
    let workspace = Workspace::find()?;
    let engine = if request.podman || engine::podman_is_named() {
        Engine::ensure_podman(&workspace)?
    } else {
        Engine::ensure(&workspace)?
    };
    match request.command {
        Command::Help => Ok(()),
        Command::Engine => {
            engine.advise();
            Ok(())
        }
        Command::Images => images::ensure(&engine, &workspace),
        Command::Demo(extra) => tasks::demo(&engine, &workspace, &extra),
        Command::Test(extra) => tasks::test(&engine, &workspace, &extra),
    }
}
