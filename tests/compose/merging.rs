//! Several files, laid over each other.

use stackrun::compose::{Loaded, load_from};

use super::{memory, options};

/// Lays the service `web` of one text over that of another.
fn merge(base: &str, over: &str) -> Loaded {
    let file = |keys: &str, tail: &str| format!("services:\n  web:\n    {keys}\n{tail}");
    let tail = "    image: nginx\n  db: { image: db }\n  mq: { image: mq }\nvolumes: { data: }\nnetworks: { n: , m: }\n";
    let files = [("1.yaml", file(base, tail)), ("2.yaml", file(over, ""))];
    let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
    load_from(&memory(&files), &options(&["1.yaml", "2.yaml"]))
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn variables_are_merged_by_name_whatever_the_syntax() {
    let loaded = merge("environment: { A: 1, B: 2 }", "environment: [A=3, TOKEN]");
    let environment = &loaded.project.services["web"].environment;
    let pairs: Vec<_> = environment
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(pairs, ["A=3", "B=2", "TOKEN=secret"]);
}

#[test]
fn ports_are_added_unless_they_are_the_same() {
    let loaded = merge(
        "ports: ['80:80', '90-91:90-91']",
        "ports: ['80:80', '91:91', '81:80']",
    );
    let ports = &loaded.project.services["web"].ports;
    let ports: Vec<_> = ports
        .iter()
        .map(|port| (port.published.as_deref(), port.target))
        .collect();
    assert_eq!(
        ports,
        [
            (Some("80"), 80),
            (Some("90"), 90),
            (Some("91"), 91),
            (Some("81"), 80)
        ]
    );
}

#[test]
fn mounts_are_replaced_by_target() {
    let loaded = merge("volumes: ['./a:/x', 'data:/y']", "volumes: ['./b:/x:ro']");
    let mounts = &loaded.project.services["web"].mounts;
    assert_eq!(mounts.len(), 2);
    assert!(mounts[0].target == "/x" && mounts[0].read_only);
}

#[test]
fn commands_are_replaced() {
    let loaded = merge("command: a b", "command: [c]");
    assert_eq!(
        loaded.project.services["web"].command.as_deref(),
        Some(&["c".to_owned()][..])
    );
}

#[test]
fn dependencies_and_networks_are_merged_whatever_the_syntax() {
    let loaded = merge(
        "depends_on: { db: { condition: service_healthy } }\n    networks: [n]",
        "depends_on: [mq]\n    networks: { n: { aliases: [w] }, m: }",
    );
    let web = &loaded.project.services["web"];
    let conditions: Vec<_> = web
        .depends_on
        .iter()
        .map(|(k, v)| format!("{k}: {}", v.condition))
        .collect();
    assert_eq!(conditions, ["db: service_healthy", "mq: service_started"]);
    assert_eq!(web.networks["n"].aliases, ["w"]);
    assert!(web.networks.contains_key("m"));
}

#[test]
fn logging_options_are_merged_for_the_same_driver_only() {
    let driver = |over| {
        let loaded = merge("logging: { driver: a, options: { x: 1 } }", over);
        loaded.project.services["web"].logging.clone().unwrap()
    };
    assert_eq!(driver("logging: { options: { y: 2 } }").options.len(), 2);
    assert_eq!(
        driver("logging: { driver: b, options: { y: 2 } }")
            .options
            .len(),
        1
    );
}

#[test]
fn reset_and_override_undo_what_is_below() {
    let loaded = merge(
        "user: me\n    ports: ['80:80']\n    environment: { A: 1, B: 2 }",
        "user: !reset null\n    ports: !override ['81:81']\n    environment: { A: !reset null }",
    );
    let web = &loaded.project.services["web"];
    assert_eq!(web.user, None);
    assert_eq!(web.ports.len(), 1);
    assert_eq!(web.ports[0].target, 81);
    assert!(!web.environment.contains_key("A") && web.environment.contains_key("B"));
}

#[test]
fn a_whole_service_can_be_reset() {
    let files = [
        (
            "1.yaml",
            "services: { web: { image: a }, old: { image: b } }",
        ),
        ("2.yaml", "services: { old: !reset null }"),
    ];
    let loaded = load_from(&memory(&files), &options(&["1.yaml", "2.yaml"])).unwrap();
    assert_eq!(loaded.canonical.services(), ["web"]);
}

#[test]
fn different_syntaxes_that_cannot_be_merged_are_shown_side_by_side() {
    let files = [
        (
            "1.yaml",
            "services:\n  web:\n    image: a\n    cap_add: [NET_ADMIN]\n",
        ),
        ("2.yaml", "services:\n  web:\n    cap_add: NET_RAW\n"),
    ];
    let error = load_from(&memory(&files), &options(&["1.yaml", "2.yaml"])).unwrap_err();
    insta::assert_snapshot!(error, @r"
    error: `services.web.cap_add` is a string here, but a list in an earlier file
     --> 2.yaml:3:14
      |
    3 |     cap_add: NET_RAW
      |              ^^^^^^^
      |
     ::: 1.yaml:4:14
      |
    4 |     cap_add: [NET_ADMIN]
      |              - earlier
      |
      = help: both files must use the same syntax for it, or tag the later value `!override`
    ");
}

#[test]
fn documents_of_one_file_are_laid_over_each_other() {
    let text = "services: { web: { image: a } }\n---\nservices: { web: { image: b } }\n";
    let loaded = super::load_text(text).unwrap();
    assert_eq!(loaded.project.services["web"].image, "b");
}

#[test]
fn what_is_extended_brings_its_own_directory() {
    let files = [
        (
            "compose.yaml",
            "services: { web: { extends: { file: base/base.yaml, service: web } } }",
        ),
        (
            "base/base.yaml",
            "services: { web: { extends: { file: ../far/far.yaml, service: web }, build: ./web } }",
        ),
        (
            "far/far.yaml",
            "services: { web: { image: far, env_file: far.env } }",
        ),
        ("far/far.env", "FAR=1\n"),
    ];
    let loaded = load_from(&memory(&files), &options(&[])).unwrap();
    let web = &loaded.project.services["web"];
    assert_eq!(web.build.as_ref().unwrap().context, "/project/base/web");
    assert_eq!(
        (web.image.as_str(), web.environment["FAR"].as_str()),
        ("far", "1")
    );
}

#[test]
fn an_included_file_has_variables_of_its_own_and_is_not_overridden() {
    let db = "services: { db: { image: 'db:$V' } }";
    let include = "include: [{ path: db/db.yaml, env_file: V.env }]\nservices: { web: { image: 'web:${V:-none}' } }";
    let files = [
        ("compose.yaml", include),
        ("db/db.yaml", db),
        ("V.env", "V=1\n"),
    ];
    let loaded = load_from(&memory(&files), &options(&[])).unwrap();
    assert_eq!(loaded.project.services["db"].image, "db:1");
    assert_eq!(loaded.project.services["web"].image, "web:none");

    let conflict = "include: [db/db.yaml]\nservices: { db: { user: me } }";
    let files = [("compose.yaml", conflict), ("db/db.yaml", db)];
    insta::assert_snapshot!(load_from(&memory(&files), &options(&[])).unwrap_err(), @r"
    error: `services.db` is in an included file as well
     --> compose.yaml:2:13
      |
    2 | services: { db: { user: me } }
      |             ^^
      |
     ::: db/db.yaml:1:13
      |
    1 | services: { db: { image: 'db:$V' } }
      |             -- included
      |
      = help: to change what is included, put the change in a file of its own and list both under `path`
    ");
}
