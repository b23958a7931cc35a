//! One worker cannot see another.

use std::io::{Read as _, Write as _};

use crate::support::{Stack, docker, is_podman};

const SERVICES: &str = "
services:
  web:
    image: $IMAGE
    command: http 80 200
    stop_signal: SIGKILL
    ports: ['8080:80']
    volumes: ['data:/data']
    container_name: always-the-same
    x-stackrun: { ready: { http: / } }
  client: { image: $IMAGE, command: sleep, stop_signal: SIGKILL, depends_on: [web] }
volumes: { data: {} }
x-stackrun: { env: { WEB: web } }
";

fn addresses(stack: &Stack, worker: u32, service: &str) -> Vec<String> {
    let networks = stack.inspect(worker, service)["NetworkSettings"]["Networks"].clone();
    let networks = networks.as_object().unwrap().values();
    networks
        .map(|network| network["IPAddress"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_worker_reaches_its_own_services_and_no_others() {
    let stack = Stack::file(SERVICES);
    stack.ok(&["up", "-d", "--workers", "2"]);
    let exec = |worker: &str, words: &[&str]| {
        stack.stackrun(&[&["exec", "-w", worker, "client", "/fixture"], words].concat())
    };
    // By name and by address within the worker.
    assert_eq!(exec("0", &["connect", "web:80"]).code, 0);
    for address in addresses(&stack, 0, "web") {
        assert_eq!(exec("0", &["connect", &format!("{address}:80")]).code, 0);
    }
    // The name means the worker's own service.
    let own = exec("1", &["resolve", "web"]).stdout;
    assert!(own.contains(&addresses(&stack, 1, "web")[0]), "{own}");
    // Neither by address nor by container name across workers.
    for address in addresses(&stack, 1, "web") {
        assert_ne!(exec("0", &["connect", &format!("{address}:80")]).code, 0);
    }
    assert_ne!(exec("0", &["resolve", &stack.container(1, "web")]).code, 0);
    // The host's published port is on the loopback interface only.
    let gateway = if is_podman() {
        "{{(index .Subnets 0).Gateway}}"
    } else {
        "{{(index .IPAM.Config 0).Gateway}}"
    };
    let gateway = docker(&[
        "network",
        "inspect",
        &format!("{}-w0-default", stack.session()),
        "--format",
        gateway,
    ]);
    let ports = stack.json(&["ps", "--format", "json"]);
    let port = ports["workers"][1]["services"]["web"]["port"]
        .as_u64()
        .unwrap();
    assert_ne!(
        exec("0", &["connect", &format!("{}:{port}", gateway.trim())]).code,
        0
    );
}

#[test]
fn every_worker_has_its_own_volume() {
    let stack = Stack::file(SERVICES);
    stack.ok(&["up", "-d", "--workers", "2"]);
    stack.ok(&[
        "exec",
        "-w",
        "0",
        "web",
        "/fixture",
        "write",
        "/data/mark",
        "zero",
    ]);
    assert_eq!(
        stack
            .ok(&["exec", "-w", "0", "web", "/fixture", "read", "/data/mark"])
            .stdout,
        "zero\n"
    );
    assert_ne!(
        stack
            .stackrun(&["exec", "-w", "1", "web", "/fixture", "read", "/data/mark"])
            .code,
        0
    );
}

#[test]
fn addresses_are_the_engines_and_they_answer() {
    let stack = Stack::file(SERVICES);
    let up = stack.json(&["up", "-d", "--workers", "2", "--format", "json"]);
    for worker in 0..2_u32 {
        let bindings = stack.inspect(worker, "web")["NetworkSettings"]["Ports"]["80/tcp"].clone();
        let port = bindings[0]["HostPort"].as_str().unwrap().to_owned();
        // The file's own host port is given to nobody: two workers could not both have it.
        assert_ne!(port, "8080");
        assert_eq!(bindings[0]["HostIp"], "127.0.0.1");
        let url = format!("http://127.0.0.1:{port}");
        let by_up = &up["workers"][worker as usize];
        assert_eq!(by_up["services"]["web"]["url"], url.as_str());
        assert_eq!(by_up["env"]["WEB"], url.as_str());
        let env = stack.json(&["env", "-w", &worker.to_string(), "--format", "json"]);
        assert_eq!(env["WEB"], url.as_str());
        assert_eq!(env["STACKRUN_WEB_PORT"], port.as_str());
        let mut stream = std::net::TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let state = std::fs::read_to_string(stack.state("state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state, up);
}

#[test]
fn two_checkouts_of_one_project_never_meet() {
    let here = Stack::file(SERVICES);
    let mut there = Stack::file(SERVICES);
    there.project.clone_from(&here.project);
    here.ok(&["up", "-d"]);
    there.ok(&["up", "-d", "--workers", "2"]);
    let sessions = here.json(&["ls", "--format", "json"]);
    let directory_of = |session: String| {
        let mut all = sessions.as_array().unwrap().iter();
        let found = all.find(|found| found["session"] == session.as_str());
        found.unwrap()["directory"].as_str().unwrap().to_owned()
    };
    assert_ne!(directory_of(here.session()), directory_of(there.session()));
    // From anywhere else the project's name is not enough to tell them apart.
    let elsewhere = Stack::bare(&here.project);
    let output = elsewhere.stackrun(&["ps"]);
    assert_eq!(output.code, 2, "{output:#?}");
    assert!(output.stderr.contains(&here.session()), "{output:#?}");
    there.ok(&["down", "-v"]);
    assert_eq!(here.inspect(0, "web")["State"]["Running"], true);
    // Now it is; and the session's own name is always.
    let ps = elsewhere.json(&["ps", "--format", "json"]);
    assert_eq!(ps["session"], here.session().as_str());
    let mut by_session = elsewhere;
    by_session.project = here.session();
    by_session.ok(&["down", "-v"]);
    here.assert_nothing_left();
}

/// A GET request to an address of this host; nothing where nobody listens.
fn get(address: &str) -> Option<String> {
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    Some(answer)
}

#[test]
fn with_addresses_of_their_own_workers_have_the_ports_of_the_file() {
    const FILE: &str = "
services:
  web:
    image: $IMAGE
    command: http 80 200
    stop_signal: SIGKILL
    ports: ['28731:80', '81']
    x-stackrun: { ready: { http: / } }
";
    let up =
        |stack: &Stack| stack.json(&["up", "-d", "-n", "2", "--own-address", "--format", "json"]);
    let addresses = |state: &serde_json::Value| -> Vec<String> {
        let workers = state["workers"].as_array().unwrap().iter();
        workers
            .map(|worker| worker["address"].as_str().unwrap().to_owned())
            .collect()
    };
    let (one, other) = (Stack::file(FILE), Stack::file(FILE));
    let state = up(&one);
    let own = addresses(&state);
    let mut all = [own.clone(), addresses(&up(&other))].concat();
    for address in &all {
        let answer = get(&format!("{address}:28731")).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 4, "{all:?}");
    assert_eq!(get("127.0.0.1:28731"), None);
    let web = &state["workers"][1]["services"]["web"];
    assert_eq!(web["url"], format!("http://{}:28731", own[1]).as_str());
    let env = one.json(&["env", "-w", "1", "--format", "json"]);
    assert_eq!(env["STACKRUN_ADDRESS"], own[1].as_str());
    assert_eq!(env["STACKRUN_WEB_PORT"], "28731");
    // What is there stays, with its address; without the flag it is something else.
    let container = one.inspect(0, "web")["Id"].clone();
    assert_eq!(addresses(&up(&one)), own);
    assert_eq!(one.inspect(0, "web")["Id"], container);
    one.ok(&["up", "-d", "-n", "2"]);
    assert_eq!(get(&format!("{}:28731", own[0])), None);
}
