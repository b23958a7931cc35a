//! `up` again: nothing for nothing, and what has changed with what depends on it.

use crate::support::Stack;

const CHAIN: &str = "
services:
  a: { image: $IMAGE, command: sleep, stop_signal: SIGKILL }
  b: { image: $IMAGE, command: sleep, stop_signal: SIGKILL, depends_on: [a] }
  c: { image: $IMAGE, command: sleep, stop_signal: SIGKILL, depends_on: [b] }
  d: { image: $IMAGE, command: sleep, stop_signal: SIGKILL }
";

fn ids(stack: &Stack, worker: u32) -> Vec<String> {
    let id = |service| {
        stack.inspect(worker, service)["Id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    ["a", "b", "c", "d"].map(id).to_vec()
}

#[test]
fn a_second_up_restarts_nothing() {
    let stack = Stack::file(CHAIN);
    stack.ok(&["up", "-d", "-n", "2"]);
    let before = (ids(&stack, 0), ids(&stack, 1));
    let plan = stack.ok(&["plan", "-n", "2"]);
    assert!(
        plan.stderr.contains("everything is as it should be"),
        "{plan:?}"
    );
    stack.ok(&["up", "-d", "-n", "2"]);
    assert_eq!((ids(&stack, 0), ids(&stack, 1)), before);
}

#[test]
fn a_changed_service_is_recreated_with_what_depends_on_it() {
    let stack = Stack::file(CHAIN);
    stack.ok(&["up", "-d"]);
    let before = ids(&stack, 0);
    stack.write(&CHAIN.replace("  b: { image", "  b: { environment: { NEW: '1' }, image"));
    stack.ok(&["up", "-d"]);
    let after = ids(&stack, 0);
    let same: Vec<bool> = before
        .iter()
        .zip(&after)
        .map(|(before, after)| before == after)
        .collect();
    assert_eq!(same, [true, false, false, true]);
}

#[test]
fn workers_grow_and_shrink() {
    let stack = Stack::file(CHAIN);
    stack.ok(&["up", "-d", "-n", "1"]);
    let first = ids(&stack, 0);
    stack.ok(&["up", "-d", "-n", "3"]);
    assert_eq!(ids(&stack, 0), first);
    assert_eq!(stack.left().len(), 3 * 4 + 3);
    stack.ok(&["up", "-d", "-n", "1"]);
    assert_eq!(ids(&stack, 0), first);
    assert_eq!(stack.left().len(), 4 + 1);
}

#[test]
fn up_of_one_service_brings_what_it_depends_on_and_nothing_else() {
    let stack = Stack::file(CHAIN);
    stack.ok(&["up", "-d", "b"]);
    let containers = stack
        .left()
        .iter()
        .filter(|name| name.starts_with("container"))
        .count();
    assert_eq!(containers, 2);
    // The others are not orphans.
    assert!(!stack.ok(&["up", "-d", "b"]).stderr.contains("orphan"));
}

#[test]
fn down_needs_no_file() {
    let stack = Stack::file(CHAIN);
    stack.ok(&["up", "-d"]);
    std::fs::remove_file(stack.path("compose.yaml")).unwrap();
    std::fs::remove_dir_all(stack.path(".stackrun")).unwrap();
    stack.ok(&["down", "-v"]);
    stack.assert_nothing_left();
}

#[test]
fn plan_and_config_create_nothing() {
    let stack = Stack::file(CHAIN);
    let plan = stack.ok(&["plan", "-n", "3"]);
    assert_eq!(plan.stdout.matches("create container").count(), 12);
    stack.ok(&["config"]);
    stack.assert_nothing_left();
}
