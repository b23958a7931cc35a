//! What starts when, by the engine's own time stamps.

use crate::support::Stack;

fn started(stack: &Stack, worker: u32, service: &str) -> jiff::Timestamp {
    let state = stack.inspect(worker, service);
    state["State"]["StartedAt"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

fn finished(stack: &Stack, worker: u32, service: &str) -> jiff::Timestamp {
    let state = stack.inspect(worker, service);
    state["State"]["FinishedAt"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

const CHAIN: &str = "
  db:
    image: $IMAGE
    command: pause 300 then http 80 200
    stop_signal: SIGKILL
    x-stackrun: { ready: { http: { path: /, port: 80 } } }
  migrate:
    image: $IMAGE
    command: pause 200 then print migrated
    depends_on: { db: { condition: service_healthy } }
  web:
    image: $IMAGE
    command: sleep
    stop_signal: SIGKILL
    depends_on: { migrate: { condition: service_completed_successfully } }
";

#[test]
fn a_service_starts_when_those_before_it_are_ready() {
    let stack = Stack::new(CHAIN);
    stack.ok(&["up", "-d", "--workers", "2"]);
    for worker in 0..2 {
        let db = started(&stack, worker, "db");
        let migrate = started(&stack, worker, "migrate");
        // The database listens 300 ms after it has started, and not before.
        assert!(migrate.duration_since(db).as_millis() >= 300);
        assert!(started(&stack, worker, "web") >= finished(&stack, worker, "migrate"));
    }
    stack.ok(&["down", "-v"]);
    stack.assert_nothing_left();
}

#[test]
fn down_stops_dependents_before_what_they_depend_on() {
    let stack = Stack::new(CHAIN);
    let events = stack.path("events.jsonl");
    let mut child = stack.spawn(&["up", "--events", events.to_str().unwrap()]);
    crate::support::eventually(|| {
        std::fs::read_to_string(&events).is_ok_and(|text| text.contains("session_ready"))
    });
    crate::run::signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let text = std::fs::read_to_string(&events).unwrap();
    let stopped = |service: &str| {
        let is_it = |line: &&str| line.contains("\"stopped\"") && line.contains(service);
        text.lines().position(|line| is_it(&line)).unwrap()
    };
    assert!(stopped("\"web\"") < stopped("\"db\""), "{text}");
    stack.assert_nothing_left();
}

#[test]
fn a_one_shot_that_exits_with_0_is_done_and_not_failed() {
    let stack = Stack::new(
        "
  init: { image: $IMAGE, command: print done }
  web: { image: $IMAGE, command: sleep, stop_signal: SIGKILL, depends_on: [init] }
",
    );
    stack.ok(&["up", "-d"]);
    assert_eq!(stack.inspect(0, "init")["State"]["Status"], "exited");
    // And stays done.
    let before = started(&stack, 0, "init");
    stack.ok(&["up", "-d"]);
    assert_eq!(started(&stack, 0, "init"), before);
}

#[test]
fn an_optional_dependency_may_fail() {
    let stack = Stack::new(
        "
  cache:
    image: $IMAGE
    command: exit 7
    healthcheck: { test: [CMD, /fixture, print, ok] }
  web:
    image: $IMAGE
    command: sleep
    stop_signal: SIGKILL
    depends_on: { cache: { condition: service_healthy, required: false } }
",
    );
    let output = stack.ok(&["up", "-d"]);
    assert!(
        output.stderr.contains("going on without it"),
        "{}",
        output.stderr
    );
    assert_eq!(stack.inspect(0, "web")["State"]["Running"], true);
}

/// Every way to see readiness: the service becomes ready 300 ms after its start, by
/// that probe alone, and its dependent starts no sooner.
#[test]
fn every_probe_sees_when_a_service_is_ready() {
    let probes = [
        (
            "tcp",
            "pause 300 then http 80 500",
            "x-stackrun: { ready: { tcp: { port: 80 } } }",
        ),
        (
            "http",
            "pause 300 then http 80 418",
            "x-stackrun: { ready: { http: { path: /, port: 80, status: 418 } } }",
        ),
        (
            "log",
            "pause 300 then print now ready then sleep",
            "x-stackrun: { ready: { log: 'now \\w+' } }",
        ),
        (
            "exec",
            "pause 300 then write /ready yes then sleep",
            "x-stackrun: { ready: { exec: [/fixture, exists, /ready] } }",
        ),
        (
            "health",
            "pause 300 then write /ready yes then sleep",
            "healthcheck: { test: [CMD, /fixture, exists, /ready], interval: 1h }",
        ),
    ];
    let mut services = String::new();
    for (name, command, probe) in probes {
        services += &format!(
            "  {name}: {{ image: $IMAGE, stop_signal: SIGKILL, command: {command}, {probe} }}\n"
        );
        services += &format!(
            "  after-{name}: {{ image: $IMAGE, command: print, depends_on: {{ {name}: {{ condition: service_healthy }} }} }}\n"
        );
    }
    let stack = Stack::new(&services);
    stack.ok(&["up", "-d"]);
    for (name, _, _) in probes {
        let waited =
            started(&stack, 0, &format!("after-{name}")).duration_since(started(&stack, 0, name));
        assert!(waited.as_millis() >= 300, "{name}: {waited:?}");
    }
}

#[test]
fn a_line_that_was_written_before_counts_on_a_second_up() {
    let stack = Stack::new(
        "
  a:
    image: $IMAGE
    command: print ready then sleep
    stop_signal: SIGKILL
    x-stackrun: { ready: { log: ready } }
  b:
    image: $IMAGE
    command: sleep
    stop_signal: SIGKILL
    depends_on: { a: { condition: service_healthy } }
",
    );
    stack.ok(&["up", "-d", "a"]);
    let container = stack.inspect(0, "a")["Id"].clone();
    stack.ok(&["up", "-d"]);
    assert_eq!(stack.inspect(0, "a")["Id"], container);
    assert_eq!(stack.inspect(0, "b")["State"]["Running"], true);
}
