//! `config --hash`: the hashes that Docker Compose prints, and what is no part of them.
//!
//! `hash/compose-2.40.3.txt` is what Docker Compose v2.40.3 has printed for
//! `config --hash '*'` in a copy of `hash/` at `/project`, with `HOME` and `TOKEN` set as
//! in [`options`].

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use stackrun::compose::{LoadOptions, Memory, load_from};

use super::{DIRECTORY, folder, memory, options};

#[test]
fn hashes_are_those_of_docker_compose() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose/hash");
    let memory = folder(&path, DIRECTORY, Memory::new());
    let loaded = load_from(&memory, &options(&["compose.yaml"])).unwrap();
    let lines = loaded
        .hashes
        .iter()
        .map(|(name, hash)| format!("{name} {hash}"));
    let lines: Vec<_> = lines.collect();
    let theirs = include_str!("hash/compose-2.40.3.txt");
    assert_eq!(lines, theirs.lines().collect::<Vec<_>>());
}

#[test]
fn an_env_file_need_not_be_read_for_a_hash() {
    let text = "services: { a: { image: x, env_file: variables.env } }";
    let hash = |variables: &str| {
        let memory = memory(&[("compose.yaml", text), ("variables.env", variables)]);
        load_from(&memory, &options(&[])).unwrap().hashes["a"].clone()
    };
    assert_eq!(hash("A=1"), hash("A=2"));
}

#[test]
fn what_is_built_has_the_platform_of_the_environment() {
    let text = "services: { a: { build: . }, b: { image: x } }";
    let hashes = |platform: &str| {
        let mut options = options(&[]);
        let variable = "DOCKER_DEFAULT_PLATFORM".to_owned();
        options.environment.insert(variable, platform.to_owned());
        let loaded = load_from(&memory(&[("compose.yaml", text)]), &options).unwrap();
        ["a", "b"].map(|name| loaded.hashes[name].clone())
    };
    let ([a, b], [other_a, other_b]) = (hashes("linux/amd64"), hashes("linux/arm64"));
    assert!(a != other_a && b == other_b);
}

/// The hash of the service `a`, which is `service` and has `b` beside it.
fn hash(service: &Value) -> String {
    let other = json!({ "image": "y" });
    let document = json!({ "name": "p", "services": { "a": service, "b": other } });
    let options = LoadOptions {
        profiles: vec!["active".to_owned()],
        ..options(&[])
    };
    let memory = memory(&[("compose.yaml", &document.to_string())]);
    load_from(&memory, &options).unwrap().hashes["a"].clone()
}

fn service() -> impl Strategy<Value = Value> {
    let texts = prop::collection::btree_map("[a-z]{1,4}", "\\PC{0,8}", 0..3);
    let ports = prop::collection::btree_set(1_u16.., 0..3);
    (texts, ports, any::<bool>()).prop_map(|(labels, ports, tty)| {
        let labels: Value = labels
            .into_iter()
            .map(|(name, value)| (name, value.replace('$', "$$")))
            .collect();
        let ports: Vec<_> = ports.into_iter().map(|port| port.to_string()).collect();
        json!({ "image": "x", "labels": labels, "ports": ports, "tty": tty, "deploy": {} })
    })
}

proptest! {
    #[test]
    fn what_changes_no_container_changes_no_hash(
        service in service(),
        count in 0..9_u32,
        context in "[a-z]{1,8}",
        key in prop::sample::select(vec![
            "build", "depends_on", "deploy", "profiles", "pull_policy", "scale", "x-stackrun",
        ]),
    ) {
        let mut other = service.clone();
        other[key] = match key {
            "build" => json!({ "context": context, "args": { "A": context } }),
            "depends_on" => json!(["b"]),
            "deploy" => json!({ "replicas": count }),
            "profiles" => json!(["active"]),
            "pull_policy" => json!("always"),
            "scale" => json!(count),
            _ => json!({ "ready": { "tcp": 1 } }),
        };
        prop_assert_eq!(hash(&service), hash(&other));
    }

    #[test]
    fn what_changes_a_container_changes_its_hash(one in service(), other in service()) {
        prop_assert_eq!(one == other, hash(&one) == hash(&other));
    }
}
