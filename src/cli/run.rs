//! `stackrun run`

use std::{
    hash::{BuildHasher as _, Hasher as _},
    path::Path,
    process::ExitStatus,
};

use tokio::task::JoinSet;

use crate::{
    event::EventKind,
    plan::Volumes,
    session::{Stack, address::Worker},
    spec::{SessionName, WorkerId},
};

use super::{
    Outcome,
    args::RunArgs,
    attended::Attended,
    command::{Command, Output},
    context::Context,
    exit_code,
    failure::Failure,
    start::{self, Shown, bring_up, refuse_unmanaged, start_options},
};

pub(super) async fn run(context: &Context, args: RunArgs) -> Outcome {
    refuse_unmanaged(&context.environment)?;
    let loaded = context.load(&[])?;
    let project = &loaded.project;
    let shown = Shown::new(context, project, &args.start)?;
    let options = start_options(&loaded, &args.start);
    let name = unique_name(&project.name);
    let attended = start::open(context, project, name, &args.start).await?;
    let up = bring_up(&attended, project, &options, &shown).await;
    let failed = up.is_err();
    let result = match up {
        Ok(stack) => commands(&attended, &stack, &args, &shown).await,
        Err(error) => Err(Failure::up(error, attended.signals.first())),
    };
    // A failed `up` has cleaned up after itself, or was told to leave things be.
    let result = if failed {
        result
    } else {
        take_down(context, &attended, result).await
    };
    attended.finish(args.start.timings).await;
    result
}

/// A session of its own for every run, so that two runs of one project never meet.
fn unique_name(project: &SessionName) -> SessionName {
    // The standard library's hasher is seeded by the system's random numbers.
    let random = std::hash::RandomState::new().build_hasher().finish();
    let name = format!("{project}-{:06x}", random & 0xff_ffff);
    name.parse()
        .expect("a legal name and hexadecimal digits make a legal name")
}

async fn take_down(context: &Context, attended: &Attended, result: Outcome) -> Outcome {
    let teardown = attended
        .session
        .down(Volumes::Remove, "the command has ended")
        .await;
    if teardown.left.is_empty() {
        return result;
    }
    let failure = Failure::teardown(&teardown);
    match result {
        // The command's failure is what the user has to know first.
        Ok(code) if code != exit_code::SUCCESS => {
            context.say(&failure.render(context.color_stderr()));
            Ok(code)
        }
        Ok(_) => Err(failure),
        Err(first) => {
            context.say(&failure.render(context.color_stderr()));
            Err(first)
        }
    }
}

/// Runs the command, once or once a worker. The first code that is not 0 counts, in
/// the order of the workers.
async fn commands(attended: &Attended, stack: &Stack, args: &RunArgs, shown: &Shown) -> Outcome {
    attended
        .session
        .logs()
        .show(|replica| shown.includes(replica))
        .await;
    let state = attended.session.state_file();
    if !args.each {
        let command = Command {
            words: args.command.clone(),
            variables: all_workers(stack, &state),
            output: Output::Inherited,
        };
        return one(attended, command).await;
    }
    let mut running = JoinSet::new();
    for worker in &stack.workers {
        let command = Command {
            words: args.command.clone(),
            variables: one_worker(stack, worker, &state),
            output: Output::Prefixed(worker.worker.to_string()),
        };
        attended.sink.emit(
            Some(worker.worker),
            None,
            EventKind::CommandStarted {
                command: command.words.clone(),
            },
        );
        let signals = attended.signals.clone();
        let id = worker.worker;
        running.spawn(async move { (id, command.run(signals).await) });
    }
    let mut codes: Vec<(WorkerId, u8)> = Vec::new();
    let mut failure = None;
    while let Some(joined) = running.join_next().await {
        let (worker, result) = joined.expect("commands do not panic");
        match result {
            Ok(status) => {
                let code = code_of(status);
                finished(attended, Some(worker), code);
                codes.push((worker, code));
            }
            Err(error) => failure = Some(not_started(&args.command, &error)),
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    codes.sort_unstable();
    let first = codes
        .into_iter()
        .map(|(_, code)| code)
        .find(|code| *code != exit_code::SUCCESS);
    Ok(first.unwrap_or(exit_code::SUCCESS))
}

async fn one(attended: &Attended, command: Command) -> Outcome {
    let words = command.words.clone();
    attended.sink.session(EventKind::CommandStarted {
        command: words.clone(),
    });
    let status = command
        .run(attended.signals.clone())
        .await
        .map_err(|error| not_started(&words, &error))?;
    let code = code_of(status);
    finished(attended, None, code);
    Ok(code)
}

fn finished(attended: &Attended, worker: Option<WorkerId>, code: u8) {
    let kind = EventKind::CommandFinished {
        exit_code: i32::from(code),
    };
    attended.sink.emit(worker, None, kind);
}

/// As a shell does it: 127 for a command that is not there, 126 for one that cannot
/// be run.
fn not_started(command: &[String], error: &std::io::Error) -> Failure {
    let code = if error.kind() == std::io::ErrorKind::NotFound {
        127
    } else {
        126
    };
    Failure::new(
        code,
        format!("`{}` could not be started: {error}", command[0]),
    )
}

fn code_of(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let by_signal = status
        .signal()
        .map(|signal| i32::from(exit_code::SIGNAL) + signal);
    let code = status
        .code()
        .or(by_signal)
        .unwrap_or(i32::from(exit_code::FAILED));
    u8::try_from(code).unwrap_or(exit_code::FAILED)
}

type Variables = Vec<(String, String)>;

fn all_workers(stack: &Stack, state: &Path) -> Variables {
    let mut variables = common(stack, state);
    variables.extend(stack.variables());
    variables
}

fn one_worker(stack: &Stack, worker: &Worker, state: &Path) -> Variables {
    let mut variables = common(stack, state);
    variables.push(("STACKRUN_WORKER".to_owned(), worker.worker.0.to_string()));
    variables.extend(worker.variables());
    variables
}

fn common(stack: &Stack, state: &Path) -> Variables {
    vec![
        ("STACKRUN_SESSION".to_owned(), stack.session.to_string()),
        (
            "STACKRUN_WORKERS".to_owned(),
            stack.workers.len().to_string(),
        ),
        ("STACKRUN_STATE".to_owned(), state.display().to_string()),
    ]
}
