//! Keys that a plan has to turn into something of the worker's own: each worker has what
//! the file asks for, and nobody else's.

use std::{fs, net::Ipv4Addr};

use crate::support::{Output, Stack, docker};

const PINNED: &str = "
services:
  web:
    image: $IMAGE
    command: sleep
    stop_signal: SIGKILL
    mac_address: 02:42:ac:1c:00:14
    networks: { net: { ipv4_address: 172.28.0.20 } }
networks:
  net: { ipam: { config: [{ subnet: 172.28.0.0/16, gateway: 172.28.0.1 }] } }
";

#[track_caller]
fn assert_says(output: &Output, words: &str) {
    assert!(output.stderr.contains(words), "{}", output.stderr);
}

#[test]
fn every_worker_has_the_address_with_the_same_number() {
    let stack = Stack::file(PINNED);
    let output = stack.ok(&["up", "-d", "--workers", "2"]);
    assert_says(&output, "asks for the address 172.28.0.20");
    let mut found = Vec::new();
    for worker in 0..2 {
        let name = format!("{}-w{worker}-net", stack.session());
        let place = &stack.inspect(worker, "web")["NetworkSettings"]["Networks"][&name];
        let subnet = docker(&[
            "network",
            "inspect",
            "--format",
            "{{(index .IPAM.Config 0).Subnet}}",
            &name,
        ]);
        let subnet: ipnet::Ipv4Net = subnet.trim().parse().unwrap();
        let address: Ipv4Addr = place["IPAddress"].as_str().unwrap().parse().unwrap();
        assert_eq!(u32::from(address) - u32::from(subnet.network()), 20);
        assert_eq!(place["MacAddress"], "02:42:ac:1c:00:14");
        found.push((address, stack.inspect(worker, "web")["Id"].clone()));
    }
    assert_ne!(found[0].0, found[1].0);
    // The number is what counts, so nothing is made anew.
    stack.ok(&["up", "-d", "--workers", "2"]);
    assert_eq!(stack.inspect(1, "web")["Id"], found[1].1);
    stack.ok(&["down", "-v"]);
    stack.assert_nothing_left();
}

#[test]
fn an_address_without_a_subnet_is_refused_before_anything_is_done() {
    let text = PINNED.replace("172.28.0.20", "172.29.0.20");
    let stack = Stack::file(&text);
    let output = stack.stackrun(&["up", "-d"]);
    assert_eq!(output.code, 3, "{output:#?}");
    assert_says(&output, "`web` asks for the address 172.29.0.20");
    assert_says(&output, "`ipam.config`");
    stack.assert_nothing_left();
}

const NEIGHBOURS: &str = "
  app: { image: $IMAGE, command: talk 7000 hello, stop_signal: SIGKILL, ipc: shareable, volumes: ['/data'] }
  debug:
    image: $IMAGE
    command: addresses backend then write /data/file x then wait
    stop_grace_period: 1s
    pid: service:app
    ipc: service:app
    volumes_from: [app]
    links: ['app:backend']
";

#[test]
fn neighbours_are_the_same_worker_s() {
    let stack = Stack::new(NEIGHBOURS);
    stack.ok(&["up", "-d", "--workers", "2"]);
    for worker in 0..2 {
        let app = stack.inspect(worker, "app");
        let debug = stack.inspect(worker, "debug");
        let there = format!("container:{}", app["Id"].as_str().unwrap());
        assert_eq!(debug["HostConfig"]["PidMode"], there);
        assert_eq!(debug["HostConfig"]["IpcMode"], there);
        assert_eq!(debug["Mounts"][0]["Name"], app["Mounts"][0]["Name"]);
        // It ends at once where the name leads nowhere.
        assert_eq!(debug["State"]["Running"], true, "{}", debug["State"]);
    }
    let before = stack.inspect(0, "debug")["Id"].clone();
    let other = NEIGHBOURS.replace("hello", "goodbye");
    stack.write(&format!("services:\n{other}"));
    stack.ok(&["up", "-d", "--workers", "2"]);
    let app = stack.inspect(0, "app")["Id"].clone();
    let debug = stack.inspect(0, "debug");
    assert_ne!(debug["Id"], before);
    let there = format!("container:{}", app.as_str().unwrap());
    assert_eq!(debug["HostConfig"]["PidMode"], there);
    stack.ok(&["down", "-v"]);
    stack.assert_nothing_left();
}

#[test]
fn a_seccomp_profile_is_read_from_where_the_file_is() {
    let stack = Stack::new(
        "  web: { image: $IMAGE, command: sleep, stop_signal: SIGKILL, security_opt: ['seccomp:./profile.json'] }\n",
    );
    let profile = "{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}\n";
    fs::write(stack.path("profile.json"), profile).unwrap();
    stack.ok(&["up", "-d"]);
    let options = &stack.inspect(0, "web")["HostConfig"]["SecurityOpt"];
    assert_eq!(options[0], r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#);
    stack.ok(&["down"]);
}

#[test]
fn the_engine_s_socket_is_there_and_that_it_is_shared_is_said() {
    let stack = Stack::new(
        "  web: { image: $IMAGE, command: exists /var/run/docker.sock, use_api_socket: true }\n",
    );
    let output = stack.ok(&["up", "-d"]);
    assert_says(&output, "all workers share the socket of the engine");
    assert_eq!(stack.inspect(0, "web")["State"]["ExitCode"], 0);
    stack.ok(&["down"]);
}

#[test]
fn a_container_outside_is_joined_by_all_and_that_is_said() {
    let stack = Stack::new(
        "  web: { image: $IMAGE, command: sleep, stop_signal: SIGKILL, network_mode: 'container:$OUTSIDE' }\n",
    );
    let outside = format!("{}-outside", stack.project);
    let label = format!("dev.stackrun.project={}", stack.project);
    let image = crate::support::FIXTURE;
    let run = [
        "run", "-d", "--name", &outside, "--label", &label, image, "sleep",
    ];
    let id = docker(&run);
    let text = fs::read_to_string(stack.path("compose.yaml")).unwrap();
    stack.write(&text.replace("$OUTSIDE", &outside));
    let output = stack.ok(&["up", "-d", "--workers", "2"]);
    assert_says(
        &output,
        &format!("all workers share the container `{outside}`"),
    );
    for worker in 0..2 {
        let mode = &stack.inspect(worker, "web")["HostConfig"]["NetworkMode"];
        assert_eq!(*mode, format!("container:{}", id.trim()));
    }
    stack.ok(&["down"]);
}
