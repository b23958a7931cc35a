//! `stackrun completions`

use clap::CommandFactory as _;

use super::{
    args::{Cli, CompletionsArgs},
    exit_code, print,
};

pub(super) fn completions(args: &CompletionsArgs) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "stackrun", &mut script);
    print(&String::from_utf8_lossy(&script));
    exit_code::SUCCESS
}
