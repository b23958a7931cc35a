//! Bad input: what is wrong, where, what to do, a documented exit code, and nothing
//! created.

use insta::assert_snapshot;

use crate::support::Stack;

/// What `up` says, with the test's own paths and names taken out.
fn refused(text: &str, code: i32) -> String {
    let stack = Stack::file(text);
    let output = stack.stackrun(&["up", "-d"]);
    assert_eq!(output.code, code, "{output:#?}");
    stack.assert_nothing_left();
    let directory = stack.path("").canonicalize().unwrap();
    let directory = format!("{}/", directory.display());
    output
        .stderr
        .replace(&directory, "")
        .replace(&stack.project, "PROJECT")
}

#[test]
fn an_unknown_key() {
    assert_snapshot!(refused("services:\n  web:\n    imagee: x\n", 3));
}

#[test]
fn a_wrong_type() {
    assert_snapshot!(refused(
        "services:\n  web:\n    image: x\n    ports: { a: b }\n",
        3
    ));
}

#[test]
fn an_undefined_variable() {
    assert_snapshot!(refused(
        "services:\n  web:\n    image: ${TAG:?name the tag to test}\n",
        3
    ));
}

#[test]
fn a_cycle() {
    assert_snapshot!(refused(
        "services:\n  a: { image: x, depends_on: [b] }\n  b: { image: x, depends_on: [c] }\n  \
         c: { image: x, depends_on: [a] }\n",
        3
    ));
}

#[test]
fn broken_yaml() {
    assert_snapshot!(refused("services:\n  web:\n   image: x\n  image: [\n", 3));
}

#[test]
fn an_alias_bomb() {
    let mut text = String::from("x-a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        let nine = vec![before; 9].join(", ");
        text += &format!("x-a{level}: &a{level} [{nine}]\n");
    }
    text += "services: { web: { image: x, command: *a11 } }\n";
    let shown = refused(&text, 3);
    assert!(shown.contains("alias"), "{shown}");
    assert!(shown.contains("compose.yaml:"), "{shown}");
}

#[test]
fn an_unknown_service_in_the_extension() {
    assert_snapshot!(refused(
        "services: { backend: { image: x } }\nx-stackrun: { env: { URL: bakcend } }\n",
        3
    ));
}

#[test]
fn workers_out_of_range() {
    let stack = Stack::new("  web: { image: $IMAGE }\n");
    for workers in ["0", "100000", "-1", "many"] {
        let output = stack.stackrun(&["up", &format!("--workers={workers}")]);
        assert_eq!(output.code, 2, "{output:#?}");
    }
    stack.assert_nothing_left();
}

#[test]
fn an_illegal_project_name() {
    let stack = Stack::new("  web: { image: $IMAGE }\n");
    let output = stack.stackrun(&["-p", "Not Legal", "up"]);
    assert_ne!(output.code, 0);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stackrun"));
    command
        .current_dir(stack.path(""))
        .args(["-p", "Not Legal", "up", "-d"]);
    let output = crate::support::Output::of(command);
    assert_eq!(output.code, 3, "{output:#?}");
    assert!(output.stderr.contains("Not Legal"), "{}", output.stderr);
}

#[test]
fn a_file_that_is_not_there() {
    let stack = Stack::new("  web: { image: $IMAGE }\n");
    let output = stack.stackrun(&["-f", "nowhere.yaml", "up"]);
    assert_eq!(output.code, 3, "{output:#?}");
    assert!(output.stderr.contains("nowhere.yaml"), "{}", output.stderr);
}

#[test]
fn an_engine_that_is_not_there() {
    let stack = Stack::new("  web: { image: $IMAGE }\n");
    let mut command = stack.command(&["up", "-d"]);
    command
        .env("STACKRUN_ENGINE", "docker")
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let output = crate::support::Output::of(command);
    assert_eq!(output.code, 4, "{output:#?}");
    assert!(
        output.stderr.contains("unix:///nowhere/docker.sock"),
        "{}",
        output.stderr
    );
}
