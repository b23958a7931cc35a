//! The typed project, profiles and the selection of services.

use std::time::Duration;

use stackrun::{
    compose::{LoadOptions, load_from},
    spec::{
        BuildContext, Expect, HealthTest, MountKind, NetworkMode, Probe, RestartPolicy,
        SecretSource,
    },
};

use super::{load_text, memory, options};

const PROFILES: &str = "
services:
  web: { image: web, depends_on: [db] }
  db: { image: db }
  debug: { image: debug, profiles: [debug], depends_on: [web] }
  trace: { image: trace, profiles: [debug, trace] }
";

fn enabled(profiles: &[&str], services: &[&str]) -> Vec<String> {
    let owned = |items: &[&str]| items.iter().map(ToString::to_string).collect();
    let options = LoadOptions {
        profiles: owned(profiles),
        services: owned(services),
        ..options(&[])
    };
    let loaded = load_from(&memory(&[("compose.yaml", PROFILES)]), &options).unwrap();
    loaded
        .project
        .services
        .keys()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn profiles_enable_services() {
    assert_eq!(enabled(&[], &[]), ["web", "db"]);
    assert_eq!(enabled(&["trace"], &[]), ["web", "db", "trace"]);
    assert_eq!(enabled(&["*"], &[]), ["web", "db", "debug", "trace"]);
}

#[test]
fn named_services_come_with_what_they_depend_on() {
    assert_eq!(enabled(&[], &["db"]), ["db"]);
    assert_eq!(enabled(&[], &["web"]), ["web", "db"]);
    // Naming it activates its profile, but does not start the others of the profile.
    assert_eq!(enabled(&[], &["debug"]), ["web", "db", "debug"]);
}

#[test]
fn a_service_that_is_not_there_is_suggested() {
    let options = LoadOptions {
        services: vec!["wbe".to_owned()],
        ..options(&[])
    };
    let error = load_from(&memory(&[("compose.yaml", PROFILES)]), &options).unwrap_err();
    insta::assert_snapshot!(error, @r"
    error: there is no service `wbe`
     |
     = help: did you mean `web`?
    ");
    assert_eq!(
        error.diagnostics()[0].help.as_deref(),
        Some("did you mean `web`?")
    );
}

#[test]
fn the_canonical_text_lists_what_is_there() {
    let loaded = load_text(PROFILES).unwrap();
    assert_eq!(loaded.canonical.services(), ["web", "db"]);
    assert_eq!(loaded.canonical.images(), ["web", "db"]);
    assert_eq!(loaded.canonical.profiles(), ["debug", "trace"]);
    assert_eq!(loaded.canonical.networks(), ["default"]);
    assert!(loaded.canonical.volumes().is_empty());
}

#[test]
fn a_diagnostic_carries_its_place_for_machines() {
    let error = load_text("services:\n  web:\n    imäge: x\n").unwrap_err();
    let json = serde_json::to_value(error.diagnostics()).unwrap();
    let expected = serde_json::json!([{
        "severity": "error",
        "message": "unknown key `imäge` in service `web`",
        "labels": [{
            "file": "compose.yaml", "line": 3, "column": 5, "length": 5,
            "source": "    imäge: x", "text": null,
        }],
        "help": "did you mean `image`?",
    }]);
    assert_eq!(json, expected);
}

#[test]
fn a_built_service_has_the_image_that_compose_would_give_it() {
    let loaded = load_text("name: app\nservices: { web: { build: . } }").unwrap();
    assert_eq!(loaded.project.services["web"].image, "app-web");
}

#[test]
fn a_build_is_read_with_what_it_refers_to() {
    let text = "
name: app
services:
  base: { build: ./base }
  web:
    build:
      context: ./web
      dockerfile_inline: FROM base
      additional_contexts: { base: 'service:base', tools: ./tools, os: 'docker-image://os:1' }
      args: { A: one }
      target: last
      tags: ['app:1']
      cache_from: ['app:cache']
      cache_to: ['type=inline']
      no_cache: true
      pull: true
      network: none
      extra_hosts: ['a:10.0.0.1']
      shm_size: 1m
      ulimits: { nofile: 20 }
      platforms: [linux/amd64]
      secrets: [token, { source: file, target: key }]
      ssh: [default, 'mine=./agent.sock']
secrets:
  token: { environment: TOKEN }
  file: { file: ./key.pem }
";
    let project = load_text(text).unwrap().project;
    let build = project.services["web"].build.clone().unwrap();
    assert_eq!(build.dockerfile_inline.as_deref(), Some("FROM base"));
    let contexts: Vec<_> = build.additional_contexts.values().cloned().collect();
    assert_eq!(
        contexts,
        [
            BuildContext::Service("base".parse().unwrap()),
            BuildContext::Image("os:1".to_owned()),
            BuildContext::Directory("/project/tools".into()),
        ]
    );
    let secrets: Vec<_> = build
        .secrets
        .iter()
        .map(|it| (&*it.id, &it.source))
        .collect();
    assert_eq!(
        secrets,
        [
            ("token", &SecretSource::Value("secret".to_owned())),
            ("key", &SecretSource::File("/project/key.pem".into())),
        ]
    );
    assert_eq!(build.ssh[0].socket, None);
    assert_eq!(build.ssh[1].socket, Some("/project/agent.sock".into()));
    assert_eq!((build.no_cache, build.pull), (true, true));
    assert_eq!(build.shm_size, Some(1 << 20));
    assert_eq!(build.ulimits["nofile"].soft, 20);
    assert_eq!(build.extra_hosts, ["a=10.0.0.1"]);
    assert_eq!(build.network.as_deref(), Some("none"));
    assert_eq!(
        (&*build.tags[0], &*build.platforms[0]),
        ("app:1", "linux/amd64")
    );
    assert_eq!(
        (&*build.cache_from[0], &*build.cache_to[0]),
        ("app:cache", "type=inline")
    );
}

#[test]
fn a_build_goes_without_a_secret_that_is_not_set() {
    let text = "
name: app
services: { web: { build: { context: ., secrets: [token] } } }
secrets: { token: { environment: NOT_SET } }
";
    let loaded = load_text(text).unwrap();
    assert!(
        loaded.project.services["web"]
            .build
            .as_ref()
            .unwrap()
            .secrets
            .is_empty()
    );
    assert!(
        loaded.warnings[0]
            .to_string()
            .contains("`NOT_SET` is not set")
    );
}

#[test]
fn names_that_are_implied_are_not_given() {
    let text = "name: app\nservices: { web: { image: x, volumes: ['data:/d', 'own:/o'] } }\nvolumes: { data: , own: { name: mine } }";
    let project = load_text(text).unwrap().project;
    assert_eq!(project.volumes["data"].name, None);
    assert_eq!(project.volumes["own"].name.as_deref(), Some("mine"));
    assert_eq!(project.networks["default"].name, None);
}

#[test]
fn health_checks_are_told_apart() {
    let test = |check: &str| {
        let text = format!("services: {{ web: {{ image: x, healthcheck: {check} }} }}");
        load_text(&text).unwrap().project.services["web"]
            .healthcheck
            .clone()
    };
    let of = |check| test(check).unwrap().test;
    assert_eq!(
        of("{ test: curl x }"),
        Some(HealthTest::Shell("curl x".to_owned()))
    );
    let command = vec!["curl".to_owned(), "x".to_owned()];
    assert_eq!(
        of("{ test: [CMD, curl, x] }"),
        Some(HealthTest::Command(command))
    );
    assert_eq!(of("{ test: [NONE] }"), Some(HealthTest::Disabled));
    assert_eq!(of("{ disable: true }"), Some(HealthTest::Disabled));
    assert_eq!(of("{ interval: 1m30s }"), None);
    assert_eq!(test("{}"), None);
}

#[test]
fn restart_policies_come_from_either_place() {
    let policy = |keys: &str| {
        let text = format!("services: {{ web: {{ image: x, {keys} }} }}");
        load_text(&text).unwrap().project.services["web"].restart
    };
    assert_eq!(
        policy("restart: unless-stopped"),
        Some(RestartPolicy::UnlessStopped)
    );
    assert_eq!(
        policy("restart: on-failure:3"),
        Some(RestartPolicy::OnFailure(Some(3)))
    );
    assert_eq!(
        policy("restart: always, deploy: { restart_policy: { condition: on-failure } }"),
        Some(RestartPolicy::OnFailure(None))
    );
    assert_eq!(policy("restart: sometimes"), None);
}

#[test]
fn volumes_of_another_service_become_mounts() {
    let text = "
services:
  app: { image: app, volumes_from: ['files:ro'], volumes: ['./own:/own'] }
  files: { image: files, volumes: ['data:/data', './other:/own'] }
volumes: { data: }
";
    let project = load_text(text).unwrap().project;
    let mounts = &project.services["app"].mounts;
    let targets: Vec<_> = mounts
        .iter()
        .map(|it| (it.target.as_str(), it.read_only))
        .collect();
    assert_eq!(targets, [("/own", false), ("/data", true)]);
    assert!(matches!(&mounts[1].kind, MountKind::Volume { key: Some(key), .. } if key == "data"));
}

#[test]
fn network_modes_name_services() {
    let text = "services: { a: { image: a, network_mode: 'service:b' }, b: { image: b } }";
    let project = load_text(text).unwrap().project;
    let a = &project.services["a"];
    assert_eq!(
        a.network_mode,
        Some(NetworkMode::Service("b".parse().unwrap()))
    );
    assert!(a.networks.is_empty() && a.depends_on.contains_key("b"));
}

#[test]
fn files_are_mounted_where_compose_mounts_them() {
    let text = "
services:
  web:
    image: x
    secrets: [s, { source: s, target: other, mode: 0400 }]
    configs: [c, { source: c, target: /etc/c }]
secrets: { s: { file: ./s } }
configs: { c: { content: text } }
";
    let project = load_text(text).unwrap().project;
    let web = &project.services["web"];
    let targets = |files: &[stackrun::spec::FileMount]| {
        files
            .iter()
            .map(|file| file.target.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        targets(&web.secrets),
        ["/run/secrets/s", "/run/secrets/other"]
    );
    assert_eq!(targets(&web.configs), ["/c", "/etc/c"]);
    assert_eq!(web.secrets[1].mode, Some(0o400));
}

#[test]
fn the_extension_is_read() {
    let text = "
x-stackrun: { workers: '${N:-3}', env: { URL: 'web:80' }, subnets: 10.9.0.0/16 }
services:
  web:
    image: x
    x-stackrun: { ready: { http: { path: /up, port: 80, status: 204 }, timeout: 5s } }
";
    let project = load_text(text).unwrap().project;
    assert_eq!(project.stackrun.workers, Some(3));
    assert_eq!(project.stackrun.env["URL"].port, Some(80));
    assert_eq!(
        project.stackrun.subnets.unwrap().range.to_string(),
        "10.9.0.0/16"
    );
    let ready = project.services["web"].ready.as_ref().unwrap();
    let probe = Probe::Http {
        path: "/up".to_owned(),
        port: Some(80),
        expect: Expect::Status(204),
    };
    assert_eq!(ready.probe, Some(probe));
    assert_eq!(ready.timeout, Some(Duration::from_secs(5)));
}

#[test]
fn an_address_of_a_disabled_service_is_left_out_with_a_warning() {
    let text = "
x-stackrun: { env: { URL: debug } }
services: { web: { image: x }, debug: { image: y, profiles: [debug] } }
";
    let loaded = load_text(text).unwrap();
    assert!(loaded.project.stackrun.env.is_empty());
    assert_eq!(loaded.warnings.len(), 1);
}
