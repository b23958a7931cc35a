//! The `stackrun` command.

fn main() -> std::process::ExitCode {
    stackrun::cli::main()
}
