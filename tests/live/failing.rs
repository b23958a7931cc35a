//! A failure ends `up` at once, says which service of which worker failed and why, and
//! leaves nothing behind.

use std::path::Path;

use crate::support::{Output, Stack, is_podman};

#[track_caller]
fn fails(services: &str, code: i32, words: &[&str]) -> Output {
    let stack = Stack::new(services);
    let output = stack.stackrun(&["up", "-d", "--workers", "2"]);
    assert_eq!(output.code, code, "{output:#?}");
    for word in words {
        assert!(
            output.stderr.contains(word),
            "no `{word}` in: {}",
            output.stderr
        );
    }
    stack.assert_nothing_left();
    output
}

#[test]
fn a_container_that_exits_before_it_is_ready() {
    let output = fails(
        "
  db:
    image: $IMAGE
    command: print first words then complain last words then exit 3
    ports: ['80']
    x-stackrun: { ready: { http: / , timeout: 1h } }
  web: { image: $IMAGE, command: sleep, depends_on: { db: { condition: service_healthy } } }
",
        1,
        &[
            "service `db` exited with code 3",
            "first words",
            "last words",
            "not started because of it",
            "/web",
        ],
    );
    // The consequence is not reported as a failure of its own.
    assert!(
        !output.stderr.contains("service `web` "),
        "{}",
        output.stderr
    );
}

/// An engine that restarted it would hide how it has ended, and `up` would wait for ever.
#[test]
fn a_container_that_asks_to_be_restarted() {
    fails(
        "
  db:
    image: $IMAGE
    command: print last words then exit 3
    restart: unless-stopped
    x-stackrun: { ready: { log: never, timeout: 1h } }
",
        1,
        &[
            "service `db` exited with code 3",
            "last words",
            "`restart` is turned off",
        ],
    );
}

#[test]
fn a_container_that_runs_out_of_memory() {
    fails(
        "
  hungry:
    image: $IMAGE
    command: print hungry then eat 200 then sleep
    mem_limit: 20m
    memswap_limit: 20m
    x-stackrun: { ready: { log: full, timeout: 1h } }
",
        1,
        // Podman's conmon does not notice it with cgroup v1.
        if is_podman() {
            &["service `hungry`", "was killed by signal 9", "hungry"]
        } else {
            &["service `hungry`", "out of memory", "hungry"]
        },
    );
}

#[test]
fn a_service_that_is_not_ready_in_time() {
    fails(
        "
  slow:
    image: $IMAGE
    command: print still busy then http 80 503
    stop_signal: SIGKILL
    x-stackrun: { ready: { http: { path: /, port: 80 }, timeout: 1s } }
",
        5,
        &[
            "service `slow` was not ready within 1 s",
            "status 503",
            "still busy",
        ],
    );
}

#[test]
fn everything_together_takes_too_long() {
    let stack = Stack::new(
        "
  slow:
    image: $IMAGE
    command: sleep
    stop_signal: SIGKILL
    x-stackrun: { ready: { log: never } }
",
    );
    let output = stack.stackrun(&["up", "-d", "--wait-timeout", "1"]);
    assert_eq!(output.code, 5, "{output:#?}");
    assert!(
        output.stderr.contains("still waiting for `w0/slow`"),
        "{}",
        output.stderr
    );
    stack.assert_nothing_left();
}

/// Whether the engine does it by itself.
fn health_is_checked() -> bool {
    !is_podman() || Path::new("/run/systemd/system").exists()
}

#[test]
fn a_service_that_is_unhealthy() {
    fails(
        "
  ill:
    image: $IMAGE
    command: sleep
    stop_signal: SIGKILL
    healthcheck: { test: [CMD, /fixture, exists, /nowhere], interval: 200ms, retries: 2 }
    x-stackrun: { ready: { timeout: 20s } }
",
        // Podman has systemd check health; where there is none, nothing is ever
        // unhealthy, and stackrun's own checks succeed in time or do not.
        if health_is_checked() { 1 } else { 5 },
        if health_is_checked() {
            &["service `ill`", "unhealthy"]
        } else {
            &["service `ill`", "was not ready within 20 s"]
        },
    );
}

#[test]
fn a_one_shot_that_fails() {
    fails(
        "
  migrate: { image: $IMAGE, command: exit 4 }
  web:
    image: $IMAGE
    command: sleep
    depends_on: { migrate: { condition: service_completed_successfully } }
",
        1,
        &["service `migrate` exited with code 4"],
    );
}

#[test]
fn an_image_that_is_not_there() {
    fails(
        "  web: { image: 'stackrun-test/not-there:1', pull_policy: never }\n",
        1,
        &["image `stackrun-test/not-there:1` of `web` is not there"],
    );
}

#[test]
fn a_command_that_is_not_in_the_image() {
    fails(
        "  web: { image: $IMAGE, entrypoint: [/nowhere] }\n",
        1,
        &["service `web` could not be started", "/nowhere"],
    );
}

const ONE_OF_TWO: &str = "
  picky:
    image: $IMAGE
    command: pause 100 then connect nobody:1
    x-stackrun: { ready: { log: connected } }
";

#[test]
fn what_failed_can_be_kept_for_a_look() {
    let stack = Stack::new(ONE_OF_TWO);
    assert_eq!(stack.stackrun(&["up", "-d", "--keep-failed"]).code, 1);
    assert_eq!(stack.inspect(0, "picky")["State"]["ExitCode"], 1);
    stack.ok(&["down", "-v"]);
    stack.assert_nothing_left();
}

#[test]
fn other_workers_can_go_on() {
    let services = "
  moody:
    image: $IMAGE
    command: http 80 200
    stop_signal: SIGKILL
    ports: ['80']
    x-stackrun: { ready: { http: / } }
";
    let stack = Stack::new(services);
    // A foreign container has the name that worker 1 needs.
    let taken = stack.container(1, "moody");
    let label = format!("dev.stackrun.project={}", stack.project);
    crate::support::docker(&[
        "create",
        "--name",
        &taken,
        "--label",
        &label,
        crate::support::FIXTURE,
        "sleep",
    ]);
    let output = stack.stackrun(&["up", "-d", "--workers", "2", "--keep-going"]);
    assert_eq!(output.code, 1, "{output:#?}");
    assert_eq!(stack.inspect(0, "moody")["State"]["Running"], true);
    let left = stack.left();
    assert!(
        !left.contains(&format!("network {}-w1-default", stack.session())),
        "{left:?}"
    );
}

#[test]
fn a_failed_up_leaves_what_was_there_before() {
    let stack =
        Stack::file("services:\n  a: { image: $IMAGE, command: sleep, stop_signal: SIGKILL }\n");
    stack.ok(&["up", "-d"]);
    let before = stack.inspect(0, "a")["Id"].clone();
    stack.write(
        "services:\n  a: { image: $IMAGE, command: sleep, stop_signal: SIGKILL }\n  b:\n    image: $IMAGE\n    \
         command: exit 1\n    x-stackrun: { ready: { log: never } }\n",
    );
    assert_eq!(stack.stackrun(&["up", "-d", "-n", "2"]).code, 1);
    assert_eq!(stack.inspect(0, "a")["Id"], before);
    assert_eq!(stack.left().len(), 2, "{:?}", stack.left());
}
