//! `x-stackrun` as a JSON Schema, for editors: `docs/reference/x-stackrun.schema.json`.
//!
//! The types say what a file may hold, short and long forms alike. They are no part of
//! the program: the reader next door works on nodes, to show the line of a mistake, and
//! the tests below keep the two together. Wherever the reader takes a value, a variable
//! may stand for it, which only the reader sees filled in.
//!
//! `UPDATE_SCHEMA=1 cargo test --lib schema` writes the file.

#![expect(
    dead_code,
    reason = "what the types are made of is read by their derives only"
)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

use super::{HTTP, LONGEST_PREFIX, MAX_WORKERS, PROBES, READY, SERVICE, TCP, TOP};
use crate::compose::{LoadOptions, Memory, load_from};

/// A Compose file, and the keys in it that stackrun adds.
#[derive(JsonSchema)]
#[schemars(transform = without_null)]
struct ComposeFile {
    #[schemars(rename = "x-stackrun")]
    extension: Option<Extension>,
    services: Option<BTreeMap<String, Service>>,
}

/// A service of a Compose file.
#[derive(JsonSchema)]
#[schemars(transform = without_null)]
struct Service {
    #[schemars(rename = "x-stackrun")]
    extension: Option<ServiceExtension>,
}

/// What stackrun is to do with the project. `docker compose` ignores it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = without_null)]
struct Extension {
    /// How many workers `up` and `run` start when `--workers` is not given.
    workers: Option<Workers>,
    /// Variables for the command of `run` and for `env`: each the URL of a service of the
    /// worker.
    env: Option<BTreeMap<Variable, Address>>,
    /// The IPv4 range that the subnets of the workers' networks are taken from.
    subnets: Option<Subnets>,
    /// Archives of images, by the name of the image.
    images: Option<BTreeMap<String, Archive>>,
}

/// What stackrun is to do with the service. `docker compose` ignores it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = without_null)]
struct ServiceExtension {
    ready: Option<Ready>,
}

/// How stackrun sees that the service is ready: at most one of `http`, `tcp`, `exec` and
/// `log`. Without any, its health check says so.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = without_null, transform = one_probe)]
struct Ready {
    http: Option<Http>,
    tcp: Option<Tcp>,
    exec: Option<Exec>,
    log: Option<Log>,
    timeout: Option<Timeout>,
}

/// From 1 to 1000.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Workers {
    Number(#[schemars(range(min = 1, max = MAX_WORKERS))] u32),
    Text(Number),
}

/// The name of a variable: letters, digits and `_`, and no digit at the start.
#[derive(JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
struct Variable(#[schemars(regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))] String);

/// `service`, which is its first published port, or `service:port` with the port inside
/// the container.
#[derive(JsonSchema)]
struct Address(#[schemars(regex(pattern = r"^[A-Za-z0-9._-]+(:\+?[0-9]+)?$|\$"))] String);

/// A range of IPv4 addresses such as `10.213.0.0/16`, of at most 28 bits.
#[derive(JsonSchema)]
struct Subnets(#[schemars(regex(pattern = SUBNETS))] String);

const SUBNETS: &str = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/(0?[0-9]|1[0-9]|2[0-8])$|\$";

/// A path, relative to the project's directory.
#[derive(JsonSchema)]
struct Archive(#[schemars(length(min = 1))] String);

/// Ready when a GET from the host is answered with 200 to 299, or exactly with `status`.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Http {
    Short(HttpPath),
    Long(HttpOptions),
}

/// What to ask for, and what to expect.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = without_null)]
struct HttpOptions {
    path: HttpPath,
    port: Option<Port>,
    status: Option<Status>,
}

/// The path to ask for.
#[derive(JsonSchema)]
struct HttpPath(#[schemars(regex(pattern = r"^/|\$"))] String);

/// Ready when a connection from the host stays open.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Tcp {
    FirstPort(()),
    Short(Port),
    Long(TcpOptions),
}

/// Where to connect.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = without_null)]
struct TcpOptions {
    port: Option<Port>,
}

/// Ready when the program exits with code 0 in the container.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Exec {
    Words(#[schemars(length(min = 1))] Vec<Word>),
    CommandLine(#[schemars(regex(pattern = r"\S"))] String),
}

/// The program or an argument.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Word {
    Text(String),
    Number(f64),
    Flag(bool),
}

/// Ready when a line of the container's output matches this regular expression, of
/// Rust's `regex` crate.
#[derive(JsonSchema)]
struct Log(String);

/// How long it may take, from the container's start: a duration such as `30s`.
#[derive(JsonSchema)]
struct Timeout(#[schemars(regex(pattern = TIMEOUT))] String);

const TIMEOUT: &str = r"^\+?([0-9.]+(ns|us|µs|ms|s|m|h|d|w))+$|\$";

/// A port inside the container; without one, the first port that the service publishes.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Port {
    Number(#[schemars(range(min = 1))] u16),
    Text(Number),
}

/// A status code, from 100 to 599.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Status {
    Number(#[schemars(range(min = 100, max = 599))] u16),
    Text(Number),
}

/// A number as a text, or a variable that has one.
#[derive(JsonSchema)]
struct Number(#[schemars(regex(pattern = r"^\+?[0-9]+$|\$"))] String);

/// A key can be left out, but it cannot be nothing.
fn without_null(schema: &mut schemars::Schema) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(serde_json::Map::values_mut) {
        let options = property["anyOf"].as_array();
        let something = options.and_then(|options| options.iter().find(|it| it["type"] != "null"));
        if let Some(something) = something.cloned() {
            *property = something;
        } else if let Some(types) = property["type"].as_array() {
            property["type"] = types[0].clone();
        }
    }
}

fn one_probe(schema: &mut schemars::Schema) {
    let pairs = PROBES.iter().enumerate().flat_map(|(index, one)| {
        let others = PROBES.iter().skip(index + 1);
        others.map(move |other| json!({ "required": [one, other] }))
    });
    let pairs: Vec<_> = pairs.collect();
    schema.insert("not".to_owned(), json!({ "anyOf": pairs }));
}

/// The schema of a whole file: the Compose Specification's, and ours.
fn schema() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<ComposeFile>();
    schema.insert("allOf".to_owned(), json!([{ "$ref": COMPOSE }]));
    schema.to_value()
}

const COMPOSE: &str =
    "https://raw.githubusercontent.com/compose-spec/compose-spec/main/schema/compose-spec.json";

/// Our part of the schema, which needs no network.
fn validator() -> impl Fn(&Value) -> bool {
    let mut schema = schema();
    schema.as_object_mut().unwrap().remove("allOf");
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("schema.json", schema).unwrap();
    let index = compiler.compile("schema.json", &mut schemas).unwrap();
    move |file| schemas.validate(file, index).is_ok()
}

/// A file with an extension at the top level, or in a service.
fn file(at_the_top: bool, extension: &Value) -> Value {
    let mut file = json!({ "services": { "web": { "image": "x" } } });
    let place = if at_the_top {
        &mut file
    } else {
        &mut file["services"]["web"]
    };
    place["x-stackrun"] = extension.clone();
    file
}

fn is_read(file: &Value) -> bool {
    let memory = Memory::new().with("/project/compose.yaml", file.to_string());
    let options = LoadOptions {
        working_dir: "/project".into(),
        ..LoadOptions::default()
    };
    load_from(&memory, &options).is_ok()
}

#[test]
fn the_file_in_the_documentation_is_current() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/reference/x-stackrun.schema.json"
    );
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap() == text,
        "run with UPDATE_SCHEMA=1"
    );
}

#[test]
fn the_schema_has_the_keys_that_the_reader_has() {
    let schema = schema();
    let keys = |name: &str| {
        let properties = schema["definitions"][name]["properties"]
            .as_object()
            .unwrap();
        properties.keys().cloned().collect::<BTreeSet<_>>()
    };
    let known = |keys: &[&str]| keys.iter().map(ToString::to_string).collect();
    assert_eq!(keys("Extension"), known(&TOP));
    assert_eq!(keys("ServiceExtension"), known(&SERVICE));
    assert_eq!(keys("Ready"), known(&READY));
    assert_eq!(keys("HttpOptions"), known(&HTTP));
    assert_eq!(keys("TcpOptions"), known(&TCP));
}

#[test]
fn the_longest_prefix_is_in_the_pattern() {
    let is_valid = validator();
    for prefix in 0..=32 {
        let extension = json!({ "subnets": format!("10.0.0.0/{prefix}") });
        assert_eq!(
            is_valid(&file(true, &extension)),
            prefix <= LONGEST_PREFIX,
            "{prefix}"
        );
    }
}

/// What may be at the top level.
const GOOD: &[&str] = &[
    "{}",
    r#"{ "workers": 1, "env": { "URL": "web", "_B2": "web:80" } }"#,
    r#"{ "workers": "${N:-3}", "subnets": "${S:-10.0.0.0/28}", "env": { "A": "${W:-web}" } }"#,
    r#"{ "workers": "12", "subnets": "10.213.0.0/16", "images": { "x:1": "x.tar" } }"#,
];
const BAD: &[&str] = &[
    "null",
    r#"{ "worker": 1 }"#,
    r#"{ "workers": 0 }"#,
    r#"{ "workers": 1001 }"#,
    r#"{ "workers": "four" }"#,
    r#"{ "workers": null }"#,
    r#"{ "env": ["A=web"] }"#,
    r#"{ "env": { "2B": "web" } }"#,
    r#"{ "env": { "B": 80 } }"#,
    r#"{ "env": { "B": "web:http" } }"#,
    r#"{ "subnets": "10.0.0.0" }"#,
    r#"{ "subnets": "10.0.0.0/29" }"#,
    r#"{ "images": { "x": "" } }"#,
    r#"{ "images": ["x"] }"#,
    r#"{ "ready": { "tcp": 1 } }"#,
];

/// What may be `ready` of a service.
const GOOD_READY: &[&str] = &[
    "{}",
    r#"{ "timeout": "1m30s" }"#,
    r#"{ "http": "/", "timeout": "${T:-5s}" }"#,
    r#"{ "http": { "path": "/up", "port": "80", "status": 204 } }"#,
    r#"{ "http": { "path": "${P:-/}", "status": "${S:-200}" } }"#,
    r#"{ "tcp": null }"#,
    r#"{ "tcp": 5672 }"#,
    r#"{ "tcp": { "port": "${P:-1}" } }"#,
    r#"{ "tcp": {} }"#,
    r#"{ "exec": "test -e /ready" }"#,
    r#"{ "exec": ["sleep", 1, 0.5, true] }"#,
    r#"{ "log": "^ready$$" }"#,
];
const BAD_READY: &[&str] = &[
    "null",
    r#"{ "http": "/", "tcp": 1 }"#,
    r#"{ "exec": "a", "log": "b" }"#,
    r#"{ "timeout": 30 }"#,
    r#"{ "timeout": "30" }"#,
    r#"{ "http": "up" }"#,
    r#"{ "http": null }"#,
    r#"{ "http": { "port": 80 } }"#,
    r#"{ "http": { "path": "/", "status": 99 } }"#,
    r#"{ "http": { "path": "/", "host": "x" } }"#,
    r#"{ "tcp": 0 }"#,
    r#"{ "tcp": 65536 }"#,
    r#"{ "tcp": { "port": null } }"#,
    r#"{ "exec": [] }"#,
    r#"{ "exec": " " }"#,
    r#"{ "exec": ["a", ["b"]] }"#,
    r#"{ "log": 1 }"#,
];

#[test]
fn the_schema_and_the_reader_agree() {
    let is_valid = validator();
    let check = |at_the_top: bool, extension: &Value, is_good: bool| {
        let file = file(at_the_top, extension);
        assert_eq!(
            (is_read(&file), is_valid(&file)),
            (is_good, is_good),
            "{file}"
        );
    };
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    for (texts, is_good) in [(GOOD, true), (BAD, false)] {
        for text in texts {
            check(true, &parse(text), is_good);
        }
    }
    for (texts, is_good) in [(GOOD_READY, true), (BAD_READY, false)] {
        let extension = |text| json!({ "ready": parse(text) });
        for text in texts {
            check(false, &extension(text), is_good);
        }
    }
    check(false, &json!({}), true);
    check(false, &Value::Null, false);
}

/// A value that some key may have.
fn value() -> impl Strategy<Value = Value> {
    let words = [
        "",
        "/",
        "web",
        "web:80",
        "80",
        "+5",
        "5s",
        "1.5h",
        "10.0.0.0/8",
        "${A:-5s}",
        "x-y",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![0, 1, 80, 404, 1000, 70000, -1]).prop_map(Value::from),
        Just(json!(80.0)),
        prop::sample::select(words.to_vec()).prop_map(Value::from),
    ];
    let keys = TOP.iter().chain(&READY).chain(&HTTP).chain(&["ready", "A"]);
    let keys: Vec<_> = keys.map(ToString::to_string).collect();
    leaf.prop_recursive(4, 12, 3, move |inner| {
        let key = prop::sample::select(keys.clone());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map(key, inner, 0..3).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    /// The reader knows more, such as which services there are. The schema must not
    /// complain about what it takes.
    #[test]
    fn what_is_read_is_valid(
        at_the_top: bool,
        key in prop::sample::select([&TOP[..], &READY].concat()),
        value in value(),
    ) {
        let extension = if at_the_top { json!({ key: value }) } else { json!({ "ready": { key: value } }) };
        let file = file(at_the_top, &extension);
        prop_assert!(!is_read(&file) || validator()(&file), "{}", file);
    }
}
