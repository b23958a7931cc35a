//! Where an engine is looked for, with made-up homes.

use std::{collections::BTreeMap, fs, path::Path};

use sha2::{Digest, Sha256};

use super::{
    Attempt, ConnectRequest, EngineChoice, candidates, config, config::DockerConfig, connect,
};

type Environment = BTreeMap<String, String>;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The places that are looked at, and whether the first of them is a must.
fn places(choice: &EngineChoice, environment: &Environment) -> (Vec<String>, bool) {
    let config = DockerConfig::read(environment);
    let found = candidates(choice, environment, config.as_ref());
    let explicit = found.first().is_some_and(|first| first.explicit);
    let places = found.into_iter().map(|candidate| candidate.endpoint);
    (places.collect(), explicit)
}

/// Writes a context as the docker CLI does, and makes it the current one.
fn home_with_context(home: &Path, name: &str, host: &str) {
    let id = config::hex(&Sha256::digest(name));
    let meta = home.join(".docker/contexts/meta").join(id);
    fs::create_dir_all(&meta).expect("directories");
    let json = format!(
        r#"{{"Name": "{name}", "Metadata": {{}},
            "Endpoints": {{"docker": {{"Host": "{host}", "SkipTLSVerify": false}}}}}}"#
    );
    fs::write(meta.join("meta.json"), json).expect("written");
    let config = format!(r#"{{"currentContext": "{name}"}}"#);
    fs::write(home.join(".docker/config.json"), config).expect("written");
}

#[cfg(unix)]
#[test]
fn without_a_hint_the_usual_sockets_are_tried_dockers_first() {
    let environment = environment(&[("HOME", "/home/me"), ("XDG_RUNTIME_DIR", "/run/user/7")]);
    let (places, explicit) = places(&EngineChoice::Auto, &environment);
    assert_eq!(
        places,
        [
            "unix:///var/run/docker.sock",
            "unix:///run/user/7/docker.sock",
            "unix:///home/me/.docker/run/docker.sock",
            "unix:///home/me/.docker/desktop/docker.sock",
            "unix:///run/podman/podman.sock",
            "unix:///run/user/7/podman/podman.sock",
        ]
    );
    assert!(!explicit);
}

#[test]
fn docker_host_comes_before_the_context() {
    let home = tempfile::tempdir().expect("a directory");
    home_with_context(home.path(), "far", "tcp://far.example:2375");
    let mut environment = environment(&[("HOME", &home.path().display().to_string())]);
    assert_eq!(
        places(&EngineChoice::Docker, &environment),
        (vec!["tcp://far.example:2375".to_owned()], true)
    );
    environment.insert("DOCKER_HOST".into(), "tcp://near.example:2375".into());
    assert_eq!(
        places(&EngineChoice::Docker, &environment),
        (vec!["tcp://near.example:2375".to_owned()], true)
    );
}

#[cfg(unix)]
#[test]
fn the_default_context_is_none_at_all() {
    let home = tempfile::tempdir().expect("a directory");
    home_with_context(home.path(), "far", "tcp://far.example:2375");
    let environment = environment(&[
        ("HOME", &home.path().display().to_string()),
        ("DOCKER_CONTEXT", "default"),
    ]);
    let (places, _) = places(&EngineChoice::Docker, &environment);
    assert_eq!(places[0], "unix:///var/run/docker.sock");
}

#[test]
fn podman_is_looked_for_by_its_own_variable() {
    let environment = environment(&[
        ("DOCKER_HOST", "tcp://docker.example:2375"),
        ("CONTAINER_HOST", "tcp://podman.example:8888"),
    ]);
    assert_eq!(
        places(&EngineChoice::Podman, &environment),
        (vec!["tcp://podman.example:8888".to_owned()], true)
    );
}

#[test]
fn the_command_lines_word_becomes_a_choice() {
    let choices = ["auto", "docker", "podman", "tcp://h:1"].map(|word| {
        let Ok(choice) = word.parse::<EngineChoice>();
        choice
    });
    assert_eq!(
        choices,
        [
            EngineChoice::Auto,
            EngineChoice::Docker,
            EngineChoice::Podman,
            EngineChoice::Url("tcp://h:1".into()),
        ]
    );
}

/// The one place that `engine` and `environment` lead to, and why it did not work.
async fn failure(engine: EngineChoice, environment: Environment) -> Attempt {
    let request = ConnectRequest {
        engine,
        environment,
    };
    let Err(error) = connect(&request).await else {
        panic!("nothing answers there");
    };
    let [attempt] = error.attempts.try_into().expect("one attempt");
    attempt
}

async fn why(url: &str) -> String {
    failure(EngineChoice::Url(url.into()), Environment::new())
        .await
        .why
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_that_does_not_work_says_why() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("engine.sock");
    let url = format!("unix://{}", path.display());
    assert_eq!(why(&url).await, "there is no such file");

    // Closing leaves the file behind.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
    assert!(why(&url).await.starts_with("connection refused"));
}

#[tokio::test]
async fn what_cannot_be_spoken_names_the_way_around() {
    assert!(why("ssh://me@far.example").await.contains("ssh -nNT -L"));
    assert!(
        why("https://far.example:2376")
            .await
            .contains("ssh -nNT -L")
    );
    assert!(why("far.example").await.contains("`tcp://`"));
}

#[tokio::test]
async fn a_named_engine_that_does_not_answer_is_the_end() {
    let environment = environment(&[("DOCKER_HOST", "tcp://127.0.0.1:1")]);
    let attempt = failure(EngineChoice::Auto, environment).await;
    assert_eq!(attempt.what, "DOCKER_HOST");
    assert!(attempt.why.starts_with("connection refused"), "{attempt:?}");
}

#[tokio::test]
async fn a_context_that_is_not_there_is_the_end() {
    let home = tempfile::tempdir().expect("a directory");
    let environment = environment(&[
        ("HOME", &home.path().display().to_string()),
        ("DOCKER_CONTEXT", "lost"),
    ]);
    let attempt = failure(EngineChoice::Auto, environment).await;
    assert_eq!(attempt.what, "docker context `lost`");
    assert!(attempt.why.starts_with("there is no such context"));
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_is_not_passed_over() {
    let home = tempfile::tempdir().expect("a directory");
    fs::create_dir(home.path().join(".docker")).expect("a directory");
    fs::write(home.path().join(".docker/config.json"), "{").expect("written");
    let environment = environment(&[("HOME", &home.path().display().to_string())]);
    let attempt = failure(EngineChoice::Auto, environment).await;
    assert!(attempt.why.contains("config.json"), "{attempt:?}");
}
