//! Configs, secrets and hooks, seen from inside the container.

use std::fs;

use crate::support::Stack;

/// Everything that a service wrote on standard output.
fn printed(stack: &Stack, service: &str) -> String {
    let log = stack.log(0, &format!("{service}.log"));
    let lines = log.lines().filter_map(|line| line.split_once("[stdout] "));
    lines.map(|(_, text)| format!("{text}\n")).collect()
}

#[test]
fn configs_and_secrets_come_from_files_variables_and_text() {
    let stack = Stack::file(
        "
services:
  a:
    image: $IMAGE
    command: read /run/secrets/from_file then read /run/secrets/from_variable then read /etc/app.conf
    environment: { WORKER: 'x' }
    secrets: [from_file, from_variable]
    configs: [{ source: from_text, target: /etc/app.conf }]
    x-stackrun: { ready: { log: mode=test } }
secrets:
  from_file: { file: ./token.txt }
  from_variable: { environment: TOKEN }
configs:
  from_text: { content: \"mode=${MODE}\" }
",
    );
    fs::write(stack.path("token.txt"), "of the file").unwrap();
    let mut command = stack.command(&["up", "-d"]);
    command.env("TOKEN", "of the variable").env("MODE", "test");
    assert_eq!(command.status().unwrap().code(), Some(0));
    assert_eq!(
        printed(&stack, "a"),
        "of the file\nof the variable\nmode=test\n"
    );
    // What is secret is in no file of stackrun's and in no label.
    let inspected = stack.inspect(0, "a").to_string();
    let mut plan = stack.command(&["plan", "--format", "json"]);
    plan.env("TOKEN", "of the variable").env("MODE", "test");
    let plan = String::from_utf8(plan.output().unwrap().stdout).unwrap();
    for text in [inspected, plan] {
        assert!(!text.contains("of the variable"), "{text}");
    }
}

#[test]
fn a_file_in_a_container_has_its_owner_and_its_permissions() {
    let services = |mode: &str| {
        format!(
            "
services:
  a:
    image: $IMAGE
    command: read /etc/deep/down/app.conf
    user: '1000:1000'
    x-stackrun: {{ ready: {{ log: hello }} }}
    configs: [{{ source: text, target: /etc/deep/down/app.conf, uid: '1000', mode: {mode} }}]
configs:
  text: {{ content: hello }}
"
        )
    };
    let stack = Stack::file(&services("'0400'"));
    stack.ok(&["up", "-d"]);
    assert_eq!(printed(&stack, "a"), "hello\n");
    stack.ok(&["down"]);
    stack.write(&services("'0040'"));
    let output = stack.stackrun(&["up", "-d"]);
    assert_eq!(output.code, 1, "{output:#?}");
    assert!(output.stderr.contains("denied"), "{output:#?}");
}

#[test]
fn another_content_makes_another_container() {
    let stack = Stack::file(
        "
services:
  a: { image: $IMAGE, command: sleep, stop_signal: SIGKILL, secrets: [token] }
secrets: { token: { environment: TOKEN } }
",
    );
    let up = |token: &str| {
        let mut command = stack.command(&["up", "-d"]);
        assert_eq!(
            command.env("TOKEN", token).status().unwrap().code(),
            Some(0)
        );
        stack.inspect(0, "a")["Id"].clone()
    };
    let first = up("one");
    assert_eq!(up("one"), first);
    assert_ne!(up("two"), first);
}

#[test]
fn content_that_is_not_to_be_had_is_named_before_anything_happens() {
    let stack = Stack::file(
        "
services:
  a: { image: $IMAGE, secrets: [token] }
secrets: { token: { environment: NO_SUCH_VARIABLE } }
",
    );
    let output = stack.stackrun(&["up", "-d"]);
    assert_eq!(output.code, 3, "{output:#?}");
    assert_eq!(
        output.stderr.lines().last(),
        Some("error: secret `token` of `a`: the variable `NO_SUCH_VARIABLE` is not set")
    );
    stack.assert_nothing_left();
}

#[test]
fn hooks_run_after_the_start_and_before_the_stop() {
    let stack = Stack::file(
        "
services:
  a:
    image: $IMAGE
    command: sleep
    stop_signal: SIGKILL
    volumes: ['notes:/notes']
    post_start:
      - command: [/fixture, write, /notes/started, as-it-should]
      - command: [/fixture, read, /notes/started]
        user: '0'
    pre_stop:
      - command: [/fixture, write, /notes/stopped, in-time]
        environment: { WHY: because }
  b:
    image: $IMAGE
    command: read /notes/started
    volumes: ['notes:/notes']
    depends_on: [a]
    x-stackrun: { ready: { log: as-it } }
volumes: { notes: {} }
",
    );
    stack.ok(&["up", "-d"]);
    assert_eq!(printed(&stack, "b"), "as-it-should\n");
    // `down` needs no file to know what to run.
    fs::remove_file(stack.path("compose.yaml")).unwrap();
    stack.ok(&["down"]);
    stack.write(
        "
services:
  c:
    image: $IMAGE
    command: read /notes/stopped
    volumes: ['notes:/notes']
    x-stackrun: { ready: { log: in-time } }
volumes: { notes: {} }
",
    );
    stack.ok(&["up", "-d"]);
    assert_eq!(printed(&stack, "c"), "in-time\n");
}

#[test]
fn a_hook_that_fails_fails_the_service() {
    let stack = Stack::file(
        "
services:
  a:
    image: $IMAGE
    command: sleep
    stop_signal: SIGKILL
    post_start: [{ command: [/fixture, complain, no, luck, then, exit, '3'] }]
",
    );
    let output = stack.stackrun(&["up", "-d"]);
    assert_eq!(output.code, 1, "{output:#?}");
    assert!(
        output.stderr.contains(
            "its `post_start` hook failed: `/fixture complain no luck then exit 3` exited with code 3: no luck"
        ),
        "{output:#?}"
    );
    stack.assert_nothing_left();
}
