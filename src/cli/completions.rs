//! `stackrun completions`

use clap::CommandFactory as _;

use super::{
    Outcome,
    args::{Cli, CompletionsArgs},
    exit_code, print,
};

pub(super) fn completions(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "stackrun", &mut script);
    print(&String::from_utf8_lossy(&script));
    Ok(exit_code::SUCCESS)
}
