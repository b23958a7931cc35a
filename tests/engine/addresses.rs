//! A container's addresses and names in its networks, where they are not the engine's
//! choice.

use std::net::Ipv4Addr;

use serde_json::json;
use stackrun::spec::{ContainerSpec, Endpoint, NetworkSpec, Pinned};

use crate::support::Scene;

/// A container that runs one command in a network, at a place of its own there.
fn at(scene: &Scene, name: &str, command: &str, endpoint: Endpoint) -> ContainerSpec {
    ContainerSpec {
        network_mode: None,
        endpoints: vec![endpoint],
        ..scene.container(name, scene.service(command))
    }
}

async fn says(scene: &Scene, spec: &ContainerSpec) -> String {
    let ended = scene.run_container(spec).await;
    assert_eq!(ended.state.exit_code, 0, "{}", ended.output.stderr());
    ended.output.stdout()
}

fn nth(network: &NetworkSpec, number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(network.subnet.network()) + number)
}

#[tokio::test]
async fn one_that_is_told_by_its_number() {
    Scene::play(async |scene| {
        for (name, pin) in [("number", None), ("address", Some(()))] {
            let network = scene.network(name).await;
            let place = Endpoint {
                network: network.name.clone(),
                ipv4: Some(match pin {
                    None => Pinned::Host(9),
                    Some(()) => Pinned::Address(nth(&network, 9)),
                }),
                ..Endpoint::default()
            };
            let told = says(scene, &at(scene, name, "read /proc/net/fib_trie", place)).await;
            let address = format!("|-- {}", nth(&network, 9));
            assert!(told.contains(&address), "{address}: {told}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_number_that_the_subnet_does_not_have() {
    Scene::play(async |scene| {
        let network = scene.network("net").await;
        let place = Endpoint {
            network: network.name.clone(),
            ipv4: Some(Pinned::Host(16)),
            ..Endpoint::default()
        };
        let spec = at(scene, "it", "wait", place);
        let error = scene
            .engine
            .create_container(&spec)
            .await
            .expect_err("no such address");
        let reply = std::error::Error::source(&error).expect("why").to_string();
        assert!(reply.contains("number 16"), "{reply}");
        assert_eq!(scene.observe().await.containers.len(), 0);
    })
    .await;
}

#[tokio::test]
async fn ipv6_and_what_the_link_alone_knows() {
    Scene::play(async |scene| {
        let unique = scene.network_spec("net").subnet.network().octets();
        let subnet = format!("fd00:{:x}:{:x}::/64", unique[2], unique[3]);
        let spec = loop {
            let spec = NetworkSpec {
                enable_ipv6: true,
                subnet_v6: subnet.parse().ok(),
                ..scene.network_spec("net")
            };
            if scene.engine.create_network(&spec).await.is_ok() {
                break spec;
            }
        };
        let place = Endpoint {
            network: spec.name.clone(),
            ipv6: Some(Pinned::Host(0x1234)),
            link_local: vec!["169.254.8.9".parse().expect("an address")],
            ..Endpoint::default()
        };
        let command = "read /proc/net/if_inet6 then read /proc/net/fib_trie";
        let told = says(scene, &at(scene, "it", command, place)).await;
        let subnet = spec.subnet_v6.expect("a subnet").network().segments();
        let start = subnet.map(|part| format!("{part:04x}")).concat();
        let address = format!("{}1234 ", &start[..28]);
        assert!(told.contains(&address), "{address}: {told}");
        assert!(told.contains("|-- 169.254.8.9"), "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_mac_address_in_the_first_network_and_in_others_where_that_can_be() {
    Scene::play(async |scene| {
        let networks = [scene.network("first").await, scene.network("second").await];
        let place = |index: usize| Endpoint {
            network: networks[index].name.clone(),
            mac_address: Some(format!("02:42:ac:11:65:4{index}")),
            ..Endpoint::default()
        };
        let command = "read /sys/class/net/eth0/address then read /sys/class/net/eth1/address";
        let spec = ContainerSpec {
            endpoints: vec![place(0), place(1)],
            ..at(scene, "it", command, place(0))
        };
        let told = says(scene, &spec).await;
        assert!(told.contains("02:42:ac:11:65:40"), "{told}");
        let can = scene.engine.info().capabilities.endpoint_mac_address;
        assert_eq!(told.contains("02:42:ac:11:65:41"), can, "{told}");
        // Nothing else of the container is lost on its way.
        let inspected = scene.inspect(&scene.name("it")).await;
        assert_eq!(inspected["Config"]["Cmd"], json!(spec.service.command));
        assert_eq!(
            inspected["Config"]["Labels"]["dev.stackrun.session"],
            json!(scene.session)
        );
    })
    .await;
}

#[tokio::test]
async fn a_mac_address_in_the_engine_s_own_network() {
    Scene::play(async |scene| {
        let place = Endpoint {
            network: "bridge".to_owned(),
            mac_address: Some("02:42:ac:11:65:50".to_owned()),
            ..Endpoint::default()
        };
        let spec = ContainerSpec {
            network_mode: Some("bridge".to_owned()),
            ..at(scene, "it", "read /sys/class/net/eth0/address", place)
        };
        assert_eq!(says(scene, &spec).await.trim(), "02:42:ac:11:65:50");
    })
    .await;
}

#[tokio::test]
async fn a_link_is_a_name_for_one_container_alone() {
    Scene::play(async |scene| {
        let network = scene.network("net").await;
        let server = scene.networked("server", scene.service("wait"), &[&network]);
        let id = scene.start(&server).await;
        let address = scene.state(&id).await.addresses[0].to_string();
        let linked = Endpoint {
            network: network.name.clone(),
            links: vec![format!("{}:database", server.name)],
            ..Endpoint::default()
        };
        let told = says(scene, &at(scene, "linked", "addresses database", linked)).await;
        assert_eq!(told.trim(), address);
        let other = scene.networked("other", scene.service("addresses database"), &[&network]);
        assert_eq!(scene.run_container(&other).await.state.exit_code, 1);
    })
    .await;
}

#[tokio::test]
async fn the_gateway_is_the_one_that_was_asked_for() {
    Scene::play(async |scene| {
        let network = loop {
            let spec = NetworkSpec {
                gateway: Some(14),
                ..scene.network_spec("net")
            };
            if scene.engine.create_network(&spec).await.is_ok() {
                break spec;
            }
        };
        // Number 1 is free then.
        let place = Endpoint {
            network: network.name.clone(),
            ipv4: Some(Pinned::Host(1)),
            ..Endpoint::default()
        };
        let routes = says(scene, &at(scene, "it", "read /proc/net/route", place)).await;
        let gateway = u32::from_ne_bytes(nth(&network, 14).octets());
        assert!(
            routes.contains(&format!("\t00000000\t{gateway:08X}\t")),
            "{routes}"
        );
    })
    .await;
}

#[tokio::test]
async fn options_of_the_driver_and_the_name_of_the_interface() {
    Scene::play(async |scene| {
        let network = scene.network("net").await;
        let option = ("com.docker.network.endpoint.ifname", "lan0");
        let place = Endpoint {
            network: network.name.clone(),
            driver_opts: [option]
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            ..Endpoint::default()
        };
        let spec = at(scene, "it", "exists /sys/class/net/lan0", place);
        let ended = scene.run_container(&spec).await;
        let inspected = scene.inspect(&ended.id).await;
        let networks = &inspected["NetworkSettings"]["Networks"];
        assert_eq!(networks[&network.name]["DriverOpts"][option.0], option.1);
        if scene.engine.info().capabilities.interface_names {
            assert_eq!(ended.state.exit_code, 0, "{}", ended.output.stderr());
        }
    })
    .await;
}

#[tokio::test]
async fn the_default_route_leads_where_it_is_told_to_if_that_can_be() {
    Scene::play(async |scene| {
        if !scene.engine.info().capabilities.gateway_priority {
            return;
        }
        let networks = [scene.network("a").await, scene.network("b").await];
        for chosen in 0..2 {
            let place = |index: usize| Endpoint {
                network: networks[index].name.clone(),
                gateway_priority: Some(if index == chosen { 10 } else { 1 }),
                ..Endpoint::default()
            };
            let name = format!("it-{chosen}");
            let spec = ContainerSpec {
                endpoints: vec![place(0), place(1)],
                ..at(scene, &name, "read /proc/net/route", place(0))
            };
            let routes = says(scene, &spec).await;
            let gateway = u32::from_ne_bytes(nth(&networks[chosen], 1).octets());
            assert!(
                routes.contains(&format!("\t00000000\t{gateway:08X}\t")),
                "{routes}"
            );
        }
    })
    .await;
}
