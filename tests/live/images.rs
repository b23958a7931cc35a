//! Images that are pulled, built and loaded.

use std::{fs, path::PathBuf};

use crate::{
    registry::{Manners, Registry},
    run::signal,
    support::{FIXTURE, Stack, client, docker, eventually},
};

/// A stack of one service that runs from `image`.
fn running(image: &str) -> Stack {
    Stack::file(&format!(
        "services:\n  a: {{ image: '{image}', command: sleep, stop_signal: SIGKILL }}\n"
    ))
}

/// A service that is built from a Dockerfile and a file next to it. Its images are named
/// first, so that they go last.
fn built(dockerfile: &str, words: &str) -> (BuiltHere, Stack) {
    let stack = Stack::file(
        "
services:
  a:
    build: { context: ., args: { WHERE: /words } }
    command: read /words then sleep
    stop_signal: SIGKILL
    x-stackrun: { ready: { log: . } }
",
    );
    let text = dockerfile.replace("$IMAGE", FIXTURE);
    fs::write(stack.path("Dockerfile"), text).unwrap();
    fs::write(stack.path("words.txt"), words).unwrap();
    (BuiltHere(stack.path("").canonicalize().unwrap()), stack)
}

const COPY: &str = "FROM $IMAGE\nARG WHERE\nCOPY words.txt $WHERE\n";

/// All images that were built for a project in a directory, those that have lost their
/// name as well.
struct BuiltHere(PathBuf);

impl Drop for BuiltHere {
    fn drop(&mut self) {
        let label = format!("label=dev.stackrun.directory={}", self.0.display());
        let ids = docker(&["image", "ls", "--quiet", "--filter", &label]);
        let _ = client()
            .args(["image", "rm", "-f"])
            .args(ids.lines())
            .output();
    }
}

/// An image that goes with its test.
struct Image(String);

impl Drop for Image {
    fn drop(&mut self) {
        let _ = client().args(["image", "rm", "-f", &self.0]).output();
    }
}

#[test]
fn an_image_is_pulled_once_for_all_workers() {
    let registry = Registry::serve("once", Manners::Open);
    let stack = running(&registry.image);
    let output = stack.ok(&["up", "-d", "-n", "3"]);
    assert!(
        output
            .stderr
            .contains(&format!("pull image {} took", registry.image))
    );
    let layers = registry.count("GET /v2/once/blobs/");
    assert!(
        layers > 0 && layers == registry.count("/blobs/"),
        "{layers}"
    );
    let manifests = registry.count("/manifests/");
    // What is there is not asked for again, unless that is wanted.
    stack.ok(&["up", "-d", "-n", "3"]);
    assert_eq!(registry.count("/manifests/"), manifests);
    stack.ok(&["up", "-d", "-n", "3", "--pull", "always"]);
    let again = registry.count("/manifests/");
    assert!(again > manifests);
    stack.ok(&["pull"]);
    assert!(registry.count("/manifests/") > again);
    assert_eq!(registry.count("/blobs/"), layers);
}

#[test]
fn logins_are_those_of_the_docker_command() {
    // `kim:secret`
    let registry = Registry::serve("login", Manners::Login("a2ltOnNlY3JldA=="));
    let stack = running(&registry.image);
    let output = stack.stackrun(&["up", "-d"]);
    assert_eq!(output.code, 1, "{output:#?}");
    let headline = format!(
        "error: image `{}` of `a` could not be pulled",
        registry.image
    );
    assert!(output.stderr.contains(&headline), "{output:#?}");
    let (host, _) = registry.image.split_once('/').unwrap();
    let config = format!("{{\"auths\":{{\"{host}\":{{\"auth\":\"a2ltOnNlY3JldA==\"}}}}}}");
    fs::create_dir(stack.path(".docker")).unwrap();
    fs::write(stack.path(".docker/config.json"), config).unwrap();
    stack.ok(&["up", "-d"]);
}

#[test]
fn a_pull_ends_with_a_signal_and_with_the_time_limit() {
    let registry = Registry::serve("silent", Manners::Silent);
    let stack = running(&registry.image);
    let output = stack.stackrun(&["up", "-d", "--wait-timeout", "2"]);
    assert_eq!(output.code, 5, "{output:#?}");
    let waiting = format!("still waiting for `image {}`", registry.image);
    assert!(output.stderr.contains(&waiting), "{output:#?}");
    let asked = registry.count("/manifests/");
    let mut child = stack.spawn(&["up", "-d"]);
    eventually(|| registry.count("/manifests/") > asked);
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    stack.assert_nothing_left();
}

#[test]
fn an_image_is_built_once_and_again_when_that_is_asked_for() {
    let (_images, stack) = built(COPY, "first");
    let output = stack.ok(&["up", "-d", "-n", "2"]);
    assert_eq!(
        output.stderr.matches("build image").count(),
        1,
        "{output:#?}"
    );
    assert!(stack.log(1, "a.log").contains("[stdout] first"));
    assert_eq!(
        stack.inspect(0, "a")["Image"],
        stack.inspect(1, "a")["Image"]
    );
    let container = stack.inspect(0, "a")["Id"].clone();
    fs::write(stack.path("words.txt"), "second").unwrap();
    stack.ok(&["up", "-d", "-n", "2"]);
    assert_eq!(stack.inspect(0, "a")["Id"], container);
    stack.ok(&["up", "-d", "-n", "2", "--build"]);
    assert_ne!(stack.inspect(0, "a")["Id"], container);
    assert!(stack.log(0, "a.log").contains("[stdout] second"));
}

#[test]
fn a_run_takes_what_was_built_before_and_leaves_no_image_of_its_own() {
    let (_images, stack) = built(COPY, "here");
    let run = ["run", "--", "true"];
    let images = || docker(&["image", "ls", "--quiet", &format!("{}-*", stack.project)]);
    let first = stack.ok(&run);
    assert_eq!(first.stderr.matches("build image").count(), 1, "{first:#?}");
    assert_eq!(images().lines().count(), 1);
    for arguments in [&run[..], &["up", "-d"]] {
        let output = stack.ok(arguments);
        assert!(!output.stderr.contains("build image"), "{output:#?}");
    }
    assert_eq!(images().lines().count(), 1);
}

#[test]
fn two_checkouts_run_what_each_has_built() {
    let (_images_here, here) = built(COPY, "here");
    let (_images_there, mut there) = built(COPY, "there");
    there.project.clone_from(&here.project);
    here.ok(&["build"]);
    there.ok(&["build"]);
    here.ok(&["up", "-d", "--no-build"]);
    assert!(here.log(0, "a.log").contains("[stdout] here"));
}

#[test]
fn a_build_that_fails_says_in_which_step_and_why() {
    let (_images, stack) = built(
        "FROM $IMAGE\nRUN [\"/fixture\", \"complain\", \"no\", \"luck\", \"then\", \"exit\", \"7\"]\n",
        "",
    );
    let output = stack.stackrun(&["up", "-d"]);
    assert_eq!(output.code, 1, "{output:#?}");
    for words in [
        "of `a` could not be built",
        "/fixture complain no luck",
        "7",
    ] {
        assert!(output.stderr.contains(words), "{words}: {output:#?}");
    }
    stack.assert_nothing_left();
    let output = stack.stackrun(&["up", "-d", "--no-build"]);
    assert!(
        output.stderr.contains("and `--no-build` is given"),
        "{output:#?}"
    );
}

#[test]
fn an_image_that_is_missing_is_loaded_from_its_archive() {
    let name = format!("stackrun-test/archived-{}:1", std::process::id());
    let stack = Stack::file(&format!(
        "
services:
  a: {{ image: '{name}', command: sleep, stop_signal: SIGKILL, pull_policy: never }}
x-stackrun: {{ images: {{ '{name}': images/a.tar }} }}
"
    ));
    let image = Image(name.clone());
    fs::create_dir(stack.path("images")).unwrap();
    let archive = stack.path("images/a.tar").display().to_string();
    docker(&["tag", FIXTURE, &name]);
    docker(&["save", "-o", &archive, &name]);
    drop(image);
    let _image = Image(name.clone());
    let output = stack.ok(&["up", "-d", "-n", "2"]);
    assert_eq!(
        output.stderr.matches("load image").count(),
        1,
        "{output:#?}"
    );
    // An archive that has other images says which.
    stack.ok(&["down"]);
    drop(Image(name.clone()));
    docker(&["save", "-o", &archive, FIXTURE]);
    let output = stack.stackrun(&["up", "-d"]);
    assert_eq!(output.code, 1, "{output:#?}");
    let why = format!("has no image `{name}`; it has `{FIXTURE}`");
    assert!(output.stderr.contains(&why), "{output:#?}");
}
