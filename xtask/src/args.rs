//! The command line.

pub const HELP: &str = "\
Usage: cargo xtask <COMMAND> [--podman] [-- ARGS]

Commands:
  demo    Run four copies of the sample stack; ARGS go to `stackrun up`
  test    Run all tests; ARGS go to `cargo nextest run` or `cargo test`
  images  Build the images of the sample stack
  engine  Make sure that a container engine runs

Every command sees to an engine first: it uses one that runs, or starts one
that is installed, or (on Debian and Ubuntu, as root) installs one. `demo` and
`test` build the images whose sources have changed.

The engine is Docker, or whatever answers at DOCKER_HOST. With --podman, or where
STACKRUN_ENGINE is `podman`, it is Podman, and `test` runs those tests only that
need an engine.
";

/// A command, and the engine to do it with.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub command: Command,
    /// Podman was asked for by a flag.
    pub podman: bool,
}

impl Request {
    /// Reads the arguments that follow the program's name.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let (own, extra) = match arguments.iter().position(|argument| argument == "--") {
            Some(dashes) => arguments.split_at(dashes),
            None => (arguments, &[][..]),
        };
        let mut own = own.to_vec();
        let before = own.len();
        own.retain(|argument| argument != "--podman");
        let podman = own.len() < before;
        own.extend_from_slice(extra);
        let command = Command::parse(&own)?;
        Ok(Self { command, podman })
    }
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Demo(Vec<String>),
    Test(Vec<String>),
    Images,
    Engine,
    Help,
}

impl Command {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let Some((name, rest)) = arguments.split_first() else {
            return Err("no command given".to_owned());
        };
        if matches!(name.as_str(), "help" | "--help" | "-h") {
            return Ok(Self::Help);
        }
        let extra = match rest.split_first() {
            None => Vec::new(),
            Some((first, extra)) if first == "--" => extra.to_vec(),
            Some((first, _)) => {
                return Err(format!("`{first}` is not expected; put ARGS after `--`"));
            }
        };
        match name.as_str() {
            "demo" => Ok(Self::Demo(extra)),
            "test" => Ok(Self::Test(extra)),
            "images" | "engine" if !extra.is_empty() => Err(format!("`{name}` takes no ARGS")),
            "images" => Ok(Self::Images),
            "engine" => Ok(Self::Engine),
            _ => Err(format!("no command `{name}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, Request};

    fn parse(line: &str) -> Result<Command, String> {
        let arguments: Vec<String> = line.split_whitespace().map(Into::into).collect();
        Command::parse(&arguments)
    }

    #[test]
    fn what_follows_the_dashes_is_passed_on() {
        let expected = Command::Demo(vec!["--workers".into(), "2".into()]);
        assert_eq!(parse("demo -- --workers 2"), Ok(expected));
        assert_eq!(parse("test"), Ok(Command::Test(vec![])));
    }

    #[test]
    fn podman_is_asked_for_before_the_dashes() {
        for (line, podman) in [("test --podman -- x", true), ("test -- --podman", false)] {
            let arguments: Vec<String> = line.split_whitespace().map(Into::into).collect();
            let request = Request::parse(&arguments).expect("a command");
            assert_eq!(request.podman, podman, "{line}");
        }
    }

    #[test]
    fn what_nobody_would_read_is_refused() {
        for line in ["", "demos", "demo --workers 2", "images -- x", "engine now"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
