//! `run`: the command's addresses, exit code and signals, and nothing left afterwards.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command},
};

use crate::support::{Output, Stack};

const WEB: &str = "
services:
  web:
    image: $IMAGE
    command: http 80 200
    stop_signal: SIGKILL
    ports: ['80']
    x-stackrun: { ready: { http: / } }
x-stackrun: { env: { WEB: web } }
";

pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn the_exit_code_is_the_commands() {
    let stack = Stack::file(WEB);
    for (command, code) in [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137)] {
        assert_eq!(
            stack.stackrun(&["run", "--", "sh", "-c", command]).code,
            code
        );
    }
    assert_eq!(stack.stackrun(&["run", "--", "/no/such/command"]).code, 127);
    stack.assert_nothing_left();
}

#[test]
fn the_command_gets_every_workers_addresses() {
    let stack = Stack::file(WEB);
    let script = "echo $STACKRUN_WORKERS $WEB $WEB_0 $STACKRUN_WEB_URL_1; cat $STACKRUN_STATE";
    let output = stack.ok(&["run", "-n", "2", "--", "sh", "-c", script]);
    let (line, state) = output.stdout.split_once('\n').unwrap();
    let state: serde_json::Value = serde_json::from_str(state).unwrap();
    let url = |worker: usize| {
        state["workers"][worker]["services"]["web"]["url"]
            .as_str()
            .unwrap()
    };
    assert_eq!(line, format!("2 {0} {0} {1}", url(0), url(1)));
    assert_ne!(url(0), url(1));
    let log = state["workers"][0]["services"]["web"]["log"]
        .as_str()
        .unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.contains("[worker-0 web][stdout] listening on 80"),
        "{log}"
    );
    stack.assert_nothing_left();
}

#[test]
fn each_worker_gets_a_command_with_its_own_addresses() {
    let stack = Stack::file(WEB);
    let script = "echo worker $STACKRUN_WORKER at $WEB; exit $STACKRUN_WORKER";
    let output = stack.stackrun(&["run", "-n", "2", "--each", "--", "sh", "-c", script]);
    // The first code that is not 0, by worker.
    assert_eq!(output.code, 1, "{output:#?}");
    let mut lines: Vec<&str> = output.stdout.lines().collect();
    lines.sort_unstable();
    assert!(
        lines[0].starts_with("w0 | worker 0 at http://127.0.0.1:"),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("w1 | worker 1 at http://127.0.0.1:"),
        "{lines:?}"
    );
    assert_ne!(lines[0][15..], lines[1][15..]);
}

/// Starts a run whose command says so, and goes on for long.
fn long_run(stack: &Stack) -> Child {
    let mut child = stack.spawn(&[
        "run",
        "-n",
        "2",
        "--",
        "sh",
        "-c",
        "echo begun; exec sleep 600",
    ]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "begun\n");
    child
}

#[test]
fn a_signal_ends_the_command_and_everything_else() {
    // The command ends by the signal, so that its code says so.
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let stack = Stack::file(WEB);
        let mut child = long_run(&stack);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        stack.assert_nothing_left();
    }
}

#[test]
fn a_signal_while_services_start_leaves_nothing() {
    let stack = Stack::new(
        "
  slow:
    image: $IMAGE
    command: sleep
    stop_signal: SIGKILL
    x-stackrun: { ready: { log: never } }
",
    );
    let mut child = stack.spawn(&["run", "-n", "2", "--", "true"]);
    crate::support::eventually(|| {
        stack
            .left()
            .iter()
            .any(|thing| thing.starts_with("container"))
    });
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    stack.assert_nothing_left();
}

#[test]
fn a_second_signal_does_not_wait_for_the_grace_period() {
    let stack = Stack::new(
        "
  stubborn: { image: $IMAGE, command: sleep, stop_grace_period: 1h }
",
    );
    let mut child = long_run(&stack);
    signal(&child, "TERM");
    // The command is gone; the container ignores SIGTERM for an hour.
    let stderr = child.stderr.take().unwrap();
    let mut lines = BufReader::new(stderr).lines();
    assert!(lines.any(|line| line.unwrap().contains("taking everything down")));
    signal(&child, "TERM");
    std::thread::spawn(move || lines.count());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    stack.assert_nothing_left();
}

#[test]
fn two_runs_side_by_side_never_meet() {
    let stack = Stack::file(WEB);
    let one = long_run(&stack);
    let output = stack.ok(&["run", "--", "sh", "-c", "echo $STACKRUN_SESSION"]);
    assert!(
        output.stdout.starts_with(&format!("{}-", stack.project)),
        "{}",
        output.stdout
    );
    // The first one is still there.
    assert_eq!(stack.left().len(), 4, "{:?}", stack.left());
    let mut one = one;
    signal(&one, "TERM");
    one.wait().unwrap();
    stack.assert_nothing_left();
}

#[test]
fn unmanaged_services_are_refused() {
    let stack = Stack::file(WEB);
    let mut command = stack.command(&["run", "--", "true"]);
    command.env("PLAYWRIGHT_MANAGED_SERVICES", "false");
    let output = Output::of(command);
    assert_eq!(output.code, 2);
    assert!(
        output.stderr.contains("remove PLAYWRIGHT_MANAGED_SERVICES"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_services_lines_can_be_streamed() {
    let stack = Stack::file(WEB);
    let output = stack.ok(&["run", "--stream", "web", "--", "true"]);
    assert!(
        output.stdout.contains("w0 web | listening on 80"),
        "{}",
        output.stdout
    );
    let mut command = stack.command(&["run", "--", "true"]);
    command.env("PLAYWRIGHT_WEB_LOG_STREAM", "true");
    assert!(Output::of(command).stdout.contains("listening on 80"));
    assert!(
        !stack
            .ok(&["run", "--", "true"])
            .stdout
            .contains("listening")
    );
}
