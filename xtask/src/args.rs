//! The command line.

pub const HELP: &str = "\
Usage: cargo xtask <COMMAND> [-- ARGS]

Commands:
  demo    Run four copies of the sample stack; ARGS go to `stackrun up`
  test    Run all tests; ARGS go to `cargo nextest run` or `cargo test`
  images  Build the images of the sample stack
  engine  Make sure that a container engine runs

Every command sees to an engine first: it uses one that runs, or starts one
that is installed, or (on Debian and Ubuntu, as root) installs one. `demo` and
`test` build the images whose sources have changed.
";

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
    /// Reads the arguments that follow the program's name.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
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
    use super::Command;

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
    fn what_nobody_would_read_is_refused() {
        for line in ["", "demos", "demo --workers 2", "images -- x", "engine now"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
