//! `stackrun env`

use std::collections::BTreeMap;

use super::{
    Outcome,
    args::{EnvArgs, EnvFormat},
    context::Context,
    exit_code,
    failure::Failure,
    print, print_json, ps,
};

pub(super) async fn env(context: &Context, args: EnvArgs) -> Outcome {
    let stack = ps::find(context).await?;
    let Some(worker) = stack
        .workers
        .iter()
        .find(|worker| worker.worker == args.worker)
    else {
        let session = &stack.session;
        let failure = match stack.workers.len() {
            0 => Failure::new(exit_code::FAILED, format!("session `{session}` is not up"))
                .hint("`stackrun up -d` brings it up, `stackrun ls` lists what is up"),
            count => Failure::usage(format!(
                "session `{session}` has no worker {}; it has {count}, from 0",
                args.worker.0
            )),
        };
        return Err(failure);
    };
    let mut variables = worker.variables();
    variables.insert("STACKRUN_SESSION".to_owned(), stack.session.to_string());
    variables.insert("STACKRUN_WORKER".to_owned(), worker.worker.0.to_string());
    match args.format {
        EnvFormat::Json => print_json(&variables),
        EnvFormat::Dotenv => print(&lines(&variables, dotenv)),
        EnvFormat::Shell => print(&lines(&variables, shell)),
    }
    Ok(exit_code::SUCCESS)
}

fn lines(variables: &BTreeMap<String, String>, line: fn(&str, &str) -> String) -> String {
    variables
        .iter()
        .map(|(name, value)| line(name, value))
        .collect()
}

fn dotenv(name: &str, value: &str) -> String {
    let escaped = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('$', "\\$");
    format!("{name}=\"{escaped}\"\n")
}

fn shell(name: &str, value: &str) -> String {
    format!("export {name}='{}'\n", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_shell_and_dotenv() {
        assert_eq!(shell("X", "it's $5"), "export X='it'\\''s $5'\n");
        assert_eq!(
            dotenv("X", r#"a "b" $c \"#),
            "X=\"a \\\"b\\\" \\$c \\\\\"\n"
        );
    }
}
