//! Networks: who finds whom, and by which name.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream},
};

use bollard::{
    models::{ContainerCreateBody, HostConfig, PortBinding},
    query_parameters::CreateContainerOptions,
};
use ipnet::IpNet;
use stackrun::{
    engine::Refusal,
    spec::{ContainerSpec, NetworkSpec, Protocol, desired::PublishRequest},
};

use crate::support::{Scene, eventually, fixture};

#[tokio::test]
async fn its_subnet_is_the_one_that_was_asked_for() {
    Scene::play(async |scene| {
        let network = scene.network("net").await;
        let subnets = scene.engine.subnets().await.expect("subnets");
        assert!(subnets.contains(&IpNet::V4(network.subnet)), "{subnets:?}");
        let id = scene
            .start(&scene.networked("it", scene.service("wait"), &[&network]))
            .await;
        let addresses = scene.state(&id).await.addresses;
        let [IpAddr::V4(address)] = addresses[..] else {
            panic!("one address, not {addresses:?}");
        };
        assert!(network.subnet.contains(&address), "{address}");
    })
    .await;
}

#[tokio::test]
async fn a_subnet_can_be_had_once() {
    Scene::play(async |scene| {
        let first = scene.network("first").await;
        let second = NetworkSpec {
            subnet: first.subnet,
            ..scene.network_spec("second")
        };
        let error = scene
            .engine
            .create_network(&second)
            .await
            .expect_err("taken");
        assert_eq!(error.refusal(), Some(Refusal::SubnetTaken), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_name_can_be_had_once() {
    Scene::play(async |scene| {
        let first = scene.network("net").await;
        let second = NetworkSpec {
            name: first.name.clone(),
            ..scene.network_spec("net")
        };
        let error = scene
            .engine
            .create_network(&second)
            .await
            .expect_err("taken");
        assert_eq!(error.refusal(), Some(Refusal::Conflict), "{error:?}");
        assert_eq!(scene.observe().await.networks.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn one_that_is_in_use_cannot_be_removed() {
    Scene::play(async |scene| {
        let network = scene.network("net").await;
        let id = scene
            .start(&scene.networked("it", scene.service("wait"), &[&network]))
            .await;
        let error = scene
            .engine
            .remove_network(&network.name)
            .await
            .expect_err("in use");
        assert_eq!(error.refusal(), Some(Refusal::Conflict), "{error:?}");
        scene
            .engine
            .remove_container(&id)
            .await
            .expect("it is removed");
        scene
            .engine
            .remove_network(&network.name)
            .await
            .expect("it is removed");
        scene
            .engine
            .remove_network(&network.name)
            .await
            .expect("nothing to do");
    })
    .await;
}

#[tokio::test]
async fn containers_find_each_other_by_alias() {
    Scene::play(async |scene| {
        let network = scene.network("net").await;
        scene
            .start(&scene.networked("server", scene.service("talk 7000 hello"), &[&network]))
            .await;
        let client = scene.service("pause 300 then hear server:7000");
        let ended = scene
            .run_container(&scene.networked("client", client, &[&network]))
            .await;
        assert_eq!(
            ended.output.stdout(),
            "hello\n",
            "{}",
            ended.output.stderr()
        );
    })
    .await;
}

#[tokio::test]
async fn an_alias_leads_to_the_address_in_the_network_that_is_shared() {
    Scene::play(async |scene| {
        let (front, back) = (scene.network("front").await, scene.network("back").await);
        let server = scene.networked("server", scene.service("wait"), &[&front, &back]);
        let id = scene.start(&server).await;
        assert_eq!(scene.state(&id).await.addresses.len(), 2);
        for (name, network) in [("a", &front), ("b", &back)] {
            let client = scene.networked(name, scene.service("addresses server"), &[network]);
            let found = scene.run_container(&client).await.output.stdout();
            let address: Ipv4Addr = found.trim().parse().expect("one address");
            assert!(network.subnet.contains(&address), "{address}");
        }
    })
    .await;
}

#[tokio::test]
async fn in_another_network_there_is_no_such_name() {
    Scene::play(async |scene| {
        let (front, back) = (scene.network("front").await, scene.network("back").await);
        scene
            .start(&scene.networked("server", scene.service("wait"), &[&front]))
            .await;
        let client = scene.networked("client", scene.service("addresses server"), &[&back]);
        let ended = scene.run_container(&client).await;
        assert_eq!(ended.state.exit_code, 1, "{}", ended.output.stdout());
    })
    .await;
}

#[tokio::test]
async fn it_is_made_as_asked_for() {
    Scene::play(async |scene| {
        let spec = NetworkSpec {
            driver: Some("bridge".to_owned()),
            driver_opts: [("com.docker.network.driver.mtu", "1400")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            internal: true,
            attachable: true,
            ..scene.network_spec("net")
        };
        scene.engine.create_network(&spec).await.expect("a network");
        let client = fixture::client(&*scene.engine);
        let made = client.inspect_network(&spec.name, None).await.expect("it");
        assert_eq!(made.driver, spec.driver);
        let mtu = if scene.is_podman() {
            "mtu"
        } else {
            "com.docker.network.driver.mtu"
        };
        let options = [(mtu.to_owned(), "1400".to_owned())].into();
        assert_eq!(made.options, Some(options));
        // Podman has no need to be asked: any container may join any network.
        let attachable = Some(!scene.is_podman());
        assert_eq!((made.internal, made.attachable), (Some(true), attachable));
        assert_eq!(made.enable_ipv6, Some(false));
        assert_eq!(made.labels, Some(spec.labels.into_iter().collect()));
    })
    .await;
}

#[tokio::test]
async fn one_container_can_live_in_the_network_of_another() {
    Scene::play(async |scene| {
        let server = scene
            .start(&scene.container("server", scene.service("talk 7000 hello")))
            .await;
        let client = ContainerSpec {
            network_mode: Some(format!("container:{server}")),
            ..scene.container(
                "client",
                scene.service("pause 300 then hear 127.0.0.1:7000"),
            )
        };
        let ended = scene.run_container(&client).await;
        assert_eq!(
            ended.output.stdout(),
            "hello\n",
            "{}",
            ended.output.stderr()
        );
    })
    .await;
}

fn on(host_ip: Ipv4Addr, target: u16, protocol: Protocol) -> PublishRequest {
    PublishRequest {
        target,
        protocol,
        host_ip: host_ip.into(),
        host_port: None,
    }
}

#[tokio::test]
async fn published_ports_are_found_where_the_engine_says() {
    let (one, other) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2));
    Scene::play(async |scene| {
        let network = scene.network("net").await;
        let spec = ContainerSpec {
            publish: vec![
                on(one, 8080, Protocol::Tcp),
                on(other, 8080, Protocol::Tcp),
                on(one, 9000, Protocol::Udp),
            ],
            ..scene.networked("it", scene.service("http 8080 200"), &[&network])
        };
        let id = scene.start(&spec).await;
        let ports = scene.state(&id).await.ports;
        let told: Vec<_> = ports
            .iter()
            .map(|p| (p.target, p.protocol, p.host_ip))
            .collect();
        assert_eq!(
            told,
            [
                (8080, Protocol::Tcp, one.into()),
                (8080, Protocol::Tcp, other.into()),
                (9000, Protocol::Udp, one.into()),
            ]
        );
        for port in &ports[..2] {
            let answer = eventually("an answer", async || get(port.host_ip, port.host_port)).await;
            assert!(answer.ends_with("hi"), "{answer}");
        }
        assert_eq!(scene.observe().await.containers[0].ports, ports);
        scene
            .engine
            .stop_container(&id, None)
            .await
            .expect("it stops");
        assert_eq!(scene.state(&id).await.ports, []);
    })
    .await;
}

fn get(host: IpAddr, port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((host, port)).ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    (!answer.is_empty()).then_some(answer)
}

/// stackrun never asks for a certain host port, but another program may have taken the
/// one that the engine has chosen.
#[tokio::test]
async fn a_host_port_that_is_taken_is_told_apart() {
    Scene::play(async |scene| {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = taken.local_addr().expect("its address").port();
        let binding = PortBinding {
            host_ip: Some("127.0.0.1".to_owned()),
            host_port: Some(port.to_string()),
        };
        let body = ContainerCreateBody {
            image: Some(scene.image.clone()),
            labels: Some(scene.labels().into_iter().collect()),
            host_config: Some(HostConfig {
                port_bindings: Some([("8080/tcp".to_owned(), Some(vec![binding]))].into()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptions {
            name: Some(scene.name("it")),
            ..CreateContainerOptions::default()
        };
        let client = fixture::client(&*scene.engine);
        let id = client
            .create_container(Some(options), body)
            .await
            .expect("a container")
            .id;
        let error = scene
            .engine
            .start_container(&id)
            .await
            .expect_err("the port is taken");
        assert_eq!(error.refusal(), Some(Refusal::PortTaken), "{error:?}");
    })
    .await;
}
