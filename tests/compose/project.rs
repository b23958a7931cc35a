//! The typed project, profiles and the selection of services.

use std::time::Duration;

use stackrun::{
    compose::{LoadOptions, Memory, load_from},
    spec::{
        BuildContext, Expect, HealthTest, MountKind, NetworkMode, Probe, RestartPolicy, Secret,
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
            ("token", &SecretSource::Value(Secret::new("secret"))),
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
fn whose_volumes_are_mounted_starts_first() {
    let text = "
services:
  app: { image: app, volumes_from: ['files:ro', 'container:outside'] }
  files: { image: files, volumes: ['data:/data'] }
volumes: { data: }
";
    let project = load_text(text).unwrap().project;
    let app = &project.services["app"];
    assert_eq!(app.volumes_from, ["files:ro", "container:outside"]);
    assert!(app.mounts.is_empty() && app.depends_on.contains_key("files"));
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

#[test]
fn a_seccomp_profile_is_read_and_the_printed_project_keeps_its_path() {
    let text = "
services:
  a: { image: a, security_opt: ['seccomp=./profile.json', 'no-new-privileges:true'] }
  b: { image: b, security_opt: ['seccomp:profile.json', 'seccomp=unconfined'] }
";
    let profile = "{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}\n";
    let source = memory(&[("compose.yaml", text), ("profile.json", profile)]);
    let loaded = load_from(&source, &options(&[])).unwrap();
    let profile = r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#;
    let of = |name: &str| loaded.project.services[name].security_opt.clone();
    assert_eq!(of("a"), [profile, "no-new-privileges:true"]);
    assert_eq!(of("b"), [profile, "seccomp=unconfined"]);
    assert!(
        loaded
            .canonical
            .to_yaml()
            .contains("seccomp=./profile.json")
    );
}

#[test]
fn a_seccomp_profile_must_be_there_and_be_json() {
    let text = "services: { a: { image: a, security_opt: ['seccomp=profile.json'] } }";
    let source = memory(&[("compose.yaml", text)]);
    let error = load_from(&source, &options(&[])).unwrap_err().to_string();
    assert!(error.contains("cannot read seccomp profile"), "{error}");
    // Printing the project needs no profile.
    let mut text_only = options(&[]);
    text_only.text_only = true;
    assert!(load_from(&source, &text_only).is_ok());
    let source = source.with("/project/profile.json", "{");
    let error = load_from(&source, &options(&[])).unwrap_err().to_string();
    assert!(error.contains("is not JSON"), "{error}");
}

#[test]
fn devices_are_asked_for_in_three_ways() {
    let text = "
services:
  a:
    image: a
    gpus: [{ driver: nvidia, device_ids: ['0'], capabilities: [compute] }]
    devices: ['vendor.example/card=one', '/dev/null:/dev/nil']
    deploy: { resources: { reservations: { devices: [{ capabilities: [tpu], count: 2 }] } } }
  b: { image: b, gpus: all }
";
    let project = load_text(text).unwrap().project;
    let a = &project.services["a"];
    assert_eq!(a.devices.len(), 1);
    let told: Vec<_> = a
        .device_requests
        .iter()
        .map(|it| {
            (
                it.driver.as_deref(),
                it.count,
                it.ids.join(","),
                it.capabilities.join(","),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                Some("cdi"),
                None,
                "vendor.example/card=one".to_owned(),
                String::new()
            ),
            (
                Some("nvidia"),
                None,
                "0".to_owned(),
                "compute,gpu".to_owned()
            ),
            (None, Some(2), String::new(), "tpu".to_owned()),
        ]
    );
    let b = &project.services["b"].device_requests;
    assert_eq!(
        (b.len(), b[0].count, b[0].capabilities.join(",")),
        (1, Some(-1), "gpu".to_owned())
    );
}

#[test]
fn limits_on_devices_and_real_time_are_read() {
    let text = "
services:
  a:
    image: a
    blkio_config:
      weight: 300
      device_read_bps: [{ path: /dev/sda, rate: 12mb }]
      weight_device: [{ path: /dev/sda, weight: 400 }]
    cpuset: 0-1
    cpu_rt_runtime: 95000
    cpu_percent: 50
    storage_opt: { size: 1G }
    isolation: default
    annotations: { a: b }
    device_cgroup_rules: ['c 1:3 mr']
";
    let project = load_text(text).unwrap().project;
    let a = &project.services["a"];
    assert_eq!(a.blkio.weight, Some(300));
    assert_eq!(a.blkio.device_read_bps[0].value, 12 << 20);
    assert_eq!(a.blkio.weight_device[0].value, 400);
    assert_eq!(a.resources.cpuset.as_deref(), Some("0-1"));
    assert_eq!(
        (a.resources.cpu_rt_runtime, a.resources.cpu_percent),
        (Some(95_000), Some(50))
    );
    assert_eq!(
        (a.storage_opt["size"].as_str(), a.annotations["a"].as_str()),
        ("1G", "b")
    );
    assert_eq!(a.isolation.as_deref(), Some("default"));
    assert_eq!(a.device_cgroup_rules, ["c 1:3 mr"]);
}

#[test]
fn credentials_and_the_engine_s_socket_are_what_the_engine_takes_them_for() {
    let text = "
services:
  a: { image: a, use_api_socket: true, credential_spec: { file: spec.json } }
";
    let project = load_text(text).unwrap().project;
    let a = &project.services["a"];
    assert_eq!(a.security_opt, ["credentialspec=file://spec.json"]);
    assert_eq!(a.mounts[0].target, "/var/run/docker.sock");
    assert!(matches!(&a.mounts[0].kind, MountKind::Bind { .. }));
}

#[test]
fn what_a_network_is_told_of_a_service_is_read() {
    let text = "
services:
  a:
    image: a
    networks:
      n:
        ipv4_address: 10.9.0.5
        ipv6_address: fd00::5
        link_local_ips: [169.254.1.2]
        gw_priority: 7
        interface_name: lan0
        driver_opts: { x: y }
networks:
  n: { ipam: { config: [{ subnet: 10.9.0.0/16, gateway: 10.9.0.1, ip_range: 10.9.1.0/24 }] } }
";
    let loaded = load_text(text).unwrap();
    let it = &loaded.project.services["a"].networks["n"];
    assert_eq!(it.ipv4_address, Some([10, 9, 0, 5].into()));
    assert_eq!(it.ipv6_address, "fd00::5".parse().ok());
    assert_eq!(
        it.link_local_ips,
        ["169.254.1.2".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(
        (it.gateway_priority, it.interface_name.as_deref()),
        (Some(7), Some("lan0"))
    );
    assert_eq!(it.driver_opts["x"], "y");
    assert_eq!(
        loaded.project.networks["n"].gateway,
        Some([10, 9, 0, 1].into())
    );
    let [warning] = &loaded.warnings[..] else {
        panic!("{:?}", loaded.warnings);
    };
    assert!(
        warning.message.contains("`ip_range`"),
        "{}",
        warning.message
    );
}

#[test]
fn what_compose_leaves_out_of_its_text_is_left_out() {
    let text = "services: { a: { image: a, shm_size: 0, oom_score_adj: 0, cpus: 0.333333333,
        ulimits: { core: 0, nofile: { soft: 0, hard: 5 } },
        extra_hosts: ['b=[::1]', 'c:1.1.1.1,2.2.2.2', 'd='], build: { context: ~other } } }";
    let mut options = options(&[]);
    let home = ("HOME".to_owned(), "/home".to_owned());
    options.environment.extend([home]);
    let loaded = load_from(&memory(&[("compose.yaml", text)]), &options).unwrap();
    let json: serde_json::Value = serde_json::from_str(&loaded.canonical.to_json()).unwrap();
    let service = &json["services"]["a"];
    assert!(
        service
            .get("shm_size")
            .or(service.get("oom_score_adj"))
            .is_none()
    );
    assert_eq!(service["cpus"].as_f64(), Some(0.333_333_34));
    assert_eq!(
        service["ulimits"],
        serde_json::json!({ "core": {}, "nofile": { "hard": 5 } })
    );
    let hosts = ["b=::1", "c=1.1.1.1", "c=2.2.2.2", "d="];
    assert_eq!(service["extra_hosts"], serde_json::json!(hosts));
    assert_eq!(service["build"]["context"], "/home/other");
    let limits = &loaded.project.services["a"].ulimits;
    assert_eq!((limits["core"].hard, limits["nofile"].soft), (0, 0));
}

#[test]
fn a_mode_in_quotes_is_octal_and_none_for_a_tmpfs() {
    let secret = |mode: &str| {
        let text = format!(
            "services: {{ a: {{ image: a, secrets: [{{ source: s, mode: {mode} }}] }} }}
secrets: {{ s: {{ file: s }} }}"
        );
        load_text(&text).map(|loaded| loaded.project.services.len())
    };
    assert!(secret("'0440'").is_ok() && secret("0o440").is_ok());
    assert!(secret("'0o440'").is_err());
    let tmpfs = |mode: &str| {
        let mount = format!("{{ type: tmpfs, target: /t, tmpfs: {{ mode: {mode} }} }}");
        load_text(&format!(
            "services: {{ a: {{ image: a, volumes: [{mount}] }} }}"
        ))
    };
    assert!(tmpfs("0755").is_ok());
    let error = tmpfs("'0755'").unwrap_err().to_string();
    assert!(error.contains("must be a number"), "{error}");
}

#[test]
fn a_directory_of_an_include_that_is_not_there_stands_for_the_one_above() {
    let text = "
include: [{ path: part.yaml, project_directory: given }]
services: { a: { image: a } }
";
    let part = "services: { b: { build: ./b } }";
    let files = [("compose.yaml", text), ("part.yaml", part)];
    let context = |source: &Memory| {
        let loaded = load_from(source, &options(&[])).unwrap();
        loaded.canonical.to_yaml()
    };
    let missing = memory(&files);
    let there = memory(&files).with("/project/given/file", "");
    assert!(context(&missing).contains("context: /project/b\n"));
    assert!(context(&there).contains("context: /project/given/b\n"));
}

#[test]
fn an_extension_of_an_address_pool_is_not_printed() {
    let text = "
services: { a: { image: a, networks: [n] } }
networks:
  n:
    x-kept: 1
    ipam: { x-kept-too: 1, config: [{ subnet: 10.0.0.0/24, x-dropped: 1 }] }
";
    let printed = load_text(text).unwrap().canonical.to_yaml();
    assert!(printed.contains("x-kept: 1") && printed.contains("x-kept-too: 1"));
    assert!(!printed.contains("x-dropped"), "{printed}");
}

#[test]
fn a_host_may_have_no_address_but_needs_a_name() {
    let load = |host: &str| {
        load_text(&format!(
            "services: {{ a: {{ image: a, extra_hosts: ['{host}'] }} }}"
        ))
    };
    let loaded = load("db:${UNSET}").unwrap();
    assert_eq!(loaded.project.services["a"].extra_hosts, ["db="]);
    assert!(load(":10.0.0.1").is_err() && load("db").is_err());
}

#[test]
fn a_link_with_two_colons_is_a_name() {
    let load = |link: &str| {
        load_text(&format!(
            "services: {{ a: {{ image: a, links: ['{link}'] }}, b: {{ image: b }} }}"
        ))
    };
    assert!(load("b:c").is_ok());
    let error = load("b:c:d").unwrap_err().to_string();
    assert!(error.contains("undefined service `b:c:d`"), "{error}");
}
