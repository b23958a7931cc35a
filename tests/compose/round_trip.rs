//! What `config` prints is the same project, when it is loaded again.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use stackrun::compose::{Loaded, Memory, load_from};

use super::{DIRECTORY, folder, load_text, options};

/// Keys of a service with some of the values that each may have, short and long. The
/// values of any two keys go together.
#[expect(clippy::too_many_lines, reason = "a table")]
fn keys() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        (
            "annotations",
            vec![json!({ "a": 1 }), json!(["a=b=c", "d"])],
        ),
        (
            "build",
            vec![
                json!("./dir"),
                json!({ "args": { "A": "$$x" }, "tags": ["t:1"], "target": "" }),
            ],
        ),
        ("cap_add", vec![json!([]), json!(["ALL"])]),
        (
            "command",
            vec![
                json!(null),
                json!([]),
                json!("a 'b c' $$D"),
                json!(["x", ""]),
            ],
        ),
        (
            "configs",
            vec![
                json!(["c"]),
                json!([{ "source": "c", "target": "/c", "mode": 256 }]),
            ],
        ),
        ("cpus", vec![json!(0), json!("0.5"), json!(1e-7)]),
        (
            "depends_on",
            vec![
                json!(["other"]),
                json!({ "other": { "condition": "service_healthy", "required": false } }),
            ],
        ),
        (
            "deploy",
            vec![
                json!({}),
                json!({ "replicas": 0 }),
                json!({ "labels": ["a"], "resources": { "reservations": { "devices": [{ "capabilities": ["gpu"] }] } } }),
            ],
        ),
        (
            "devices",
            vec![json!(["/dev/null"]), json!(["/dev/a:/dev/b:r"])],
        ),
        ("dns", vec![json!("1.1.1.1"), json!(["::1"])]),
        (
            "entrypoint",
            vec![json!(""), json!("run --it"), json!(["a b"])],
        ),
        (
            "environment",
            vec![
                json!(["TOKEN", "NOT_SET", "A="]),
                json!({ "A": null, "B": true, "C": 1.5, "D": "x: $$y\n#" }),
            ],
        ),
        ("expose", vec![json!([80, "81-82/udp"])]),
        (
            "extra_hosts",
            vec![
                json!(["a:[::1]", "b=1.1.1.1"]),
                json!({ "a": ["1.1.1.1", "2.2.2.2"] }),
            ],
        ),
        (
            "healthcheck",
            vec![
                json!({}),
                json!({ "disable": true }),
                json!({ "test": "a && b", "interval": "1h", "retries": 0 }),
                json!({ "test": ["CMD", "a"], "timeout": "1500ms" }),
            ],
        ),
        ("init", vec![json!(false), json!("yes")]),
        (
            "labels",
            vec![
                json!(["a", "b=c"]),
                json!({ "a": null, "yes": "no", "1": 1e9, "k ": "|" }),
            ],
        ),
        (
            "logging",
            vec![json!({ "driver": "local", "options": { "max-size": 1, "x": null } })],
        ),
        ("memswap_limit", vec![json!("1.5g"), json!(0)]),
        (
            "ports",
            vec![
                json!(["80", "8080-8081:80-81", "127.0.0.1::82/udp"]),
                json!([{ "target": 80, "published": "90-91", "name": "web" }]),
            ],
        ),
        (
            "post_start",
            vec![json!([{ "command": "a", "environment": ["A"] }])],
        ),
        (
            "pull_policy",
            vec![json!("if_not_present"), json!("every_12h")],
        ),
        ("restart", vec![json!("no"), json!("on-failure:3")]),
        (
            "secrets",
            vec![
                json!(["s"]),
                json!([{ "source": "s", "target": "t", "mode": "0400" }]),
            ],
        ),
        ("security_opt", vec![json!(["label=disable"])]),
        ("stop_grace_period", vec![json!("0s"), json!("1m30s")]),
        ("sysctls", vec![json!({ "net.core.somaxconn": 1024 })]),
        ("tmpfs", vec![json!("/run"), json!(["/scratch:size=1m"])]),
        (
            "ulimits",
            vec![json!({ "a": 1, "b": { "soft": 1, "hard": -1 } })],
        ),
        (
            "volumes",
            vec![
                json!(["v:/v:nocopy", "./a:/a:ro,z", "/anonymous", "~/h:/h"]),
                json!([{ "type": "bind", "source": ".", "target": "/b", "bind": { "create_host_path": false } }, { "type": "tmpfs", "target": "/t", "tmpfs": { "size": "1m", "mode": 448 } }]),
            ],
        ),
        ("x-other", vec![json!({ "a": null, "b": [], "c": "$$" })]),
        (
            "x-stackrun",
            vec![
                json!({}),
                json!({ "ready": { "http": "/$$", "timeout": "90s" } }),
                json!({ "ready": { "tcp": null } }),
            ],
        ),
    ]
}

fn service() -> impl Strategy<Value = Value> {
    let choices = keys().into_iter().map(|(key, values)| {
        let value = prop::option::weighted(0.3, prop::sample::select(values));
        value.prop_map(move |value| Some((key.to_owned(), value?)))
    });
    choices.collect::<Vec<_>>().prop_map(|chosen| {
        let mut service: Map<_, _> = chosen.into_iter().flatten().collect();
        service.insert("image".to_owned(), "x".into());
        service.into()
    })
}

fn network() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!({ "external": true, "name": "$$n" }),
        json!({ "internal": true, "ipam": { "config": [{ "subnet": "10.0.0.0/24" }] } }),
        json!({ "enable_ipv4": false, "driver_opts": { "a": 1 }, "labels": ["a"] }),
    ])
}

fn document() -> impl Strategy<Value = Value> {
    let attachment = prop::sample::select(vec![
        json!(["n"]),
        json!({ "n": { "aliases": ["a"], "priority": 3 }, "default": null }),
    ]);
    let parts = (service(), network(), prop::option::of(attachment));
    parts.prop_map(|(mut service, network, attachment)| {
        if let Some(attachment) = attachment {
            service["networks"] = attachment;
        }
        json!({
            "name": "p",
            "services": { "web": service, "other": { "image": "y", "healthcheck": { "test": "a" } } },
            "networks": { "n": network },
            "volumes": { "v": { "name": "mine" } },
            "configs": { "c": { "content": "a\n  $$b\n" } },
            "secrets": { "s": { "environment": "TOKEN" } },
            "x-stackrun": { "workers": 2, "env": { "URL": "web:80" }, "images": { "x": "./x.tar" } },
        })
    })
}

/// Loads both forms of what is printed, and returns the first difference.
fn difference(loaded: &Loaded, files: &Memory) -> Result<(), String> {
    let yaml = loaded.canonical.to_yaml();
    for text in [yaml.clone(), loaded.canonical.to_json()] {
        let memory = files
            .clone()
            .with(format!("{DIRECTORY}/again.yaml"), text.clone());
        let again = load_from(&memory, &options(&["again.yaml"]));
        let mut again = again.map_err(|error| format!("{error}\n{text}"))?;
        again.project.files.clone_from(&loaded.project.files);
        if again.project != loaded.project {
            return Err(format!(
                "{:#?}\nis not\n{:#?}\n{text}",
                again.project, loaded.project
            ));
        }
        if again.canonical.to_yaml() != yaml {
            return Err(format!("{}\nis not\n{yaml}", again.canonical.to_yaml()));
        }
    }
    Ok(())
}

#[test]
fn every_key_comes_back() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose/hash");
    // Limits of 0 are printed, as Compose prints them, in a way that it does not read.
    let text = std::fs::read_to_string(path.join("compose.yaml")).unwrap();
    let zeros = "a: 0, b: { soft: 0, hard: 4 }";
    assert!(text.contains(zeros));
    let memory = folder(&path, DIRECTORY, Memory::new()).with(
        format!("{DIRECTORY}/compose.yaml"),
        text.replace(zeros, "a: 1"),
    );
    let loaded = load_from(&memory, &options(&["compose.yaml"])).unwrap();
    assert_eq!(difference(&loaded, &memory), Ok(()));
}

#[test]
fn every_value_comes_back() {
    for (key, values) in keys() {
        for value in values {
            let document = json!({
                "services": { "web": { "image": "x", key: value }, "other": { "image": "y" } },
                "volumes": { "v": null },
                "configs": { "c": { "content": "x" } },
                "secrets": { "s": { "file": "./s" } },
            });
            let loaded = load_text(&document.to_string());
            let loaded = loaded.unwrap_or_else(|error| panic!("{document}: {error}"));
            assert_eq!(difference(&loaded, &Memory::new()), Ok(()), "{document}");
        }
    }
}

proptest! {
    #[test]
    fn a_project_comes_back(document in document()) {
        let loaded = load_text(&document.to_string());
        let loaded = loaded.map_err(|error| TestCaseError::fail(error.to_string()))?;
        difference(&loaded, &Memory::new()).map_err(TestCaseError::fail)?;
    }
}
