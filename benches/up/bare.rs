//! The floor: the engine calls that cannot be done without, in a loop with nothing
//! around it. No plan, no labels to find, no logs, no events, no signals.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bollard::{
    Docker,
    models::{
        ContainerCreateBody, EndpointSettings, HostConfig, Ipam, IpamConfig, NetworkCreateRequest,
        NetworkingConfig, PortBinding, VolumeCreateRequest,
    },
    query_parameters::{
        AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder,
    },
};
use futures::future::{join_all, try_join_all};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

type Result<T> = std::result::Result<T, bollard::errors::Error>;

struct Service {
    name: &'static str,
    port: &'static str,
    ready: &'static str,
    environment: &'static [&'static str],
    bind: Option<&'static str>,
}

const SERVICES: [Service; 3] = [
    Service {
        name: "backend",
        port: "5000/tcp",
        ready: "/api/health/readyz",
        environment: &["SSE_GATEWAY_URL=http://gateway:3000"],
        bind: Some("/data"),
    },
    Service {
        name: "gateway",
        port: "3000/tcp",
        ready: "/readyz",
        environment: &["CALLBACK_URL=http://backend:5000/api/sse/callback"],
        bind: None,
    },
    Service {
        name: "frontend",
        port: "8080/tcp",
        ready: "/",
        environment: &[
            "BACKEND_URL=http://backend:5000",
            "SSE_GATEWAY_URL=http://gateway:3000",
        ],
        bind: None,
    },
];

/// Brings workers up side by side, and takes them down again; returns how long the
/// first took.
pub fn up(workers: usize) -> Duration {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let docker = Docker::connect_with_defaults()
            .unwrap()
            .negotiate_version()
            .await
            .unwrap();
        let begin = Instant::now();
        try_join_all((0..workers).map(|worker| worker_up(&docker, worker)))
            .await
            .unwrap();
        let took = begin.elapsed();
        join_all((0..workers).map(|worker| worker_down(&docker, worker))).await;
        took
    })
}

async fn worker_up(docker: &Docker, worker: usize) -> Result<()> {
    let network = format!("bench-bare-{worker}");
    let subnet = format!("10.214.{worker}.0/28");
    let config = IpamConfig {
        subnet: Some(subnet),
        ..IpamConfig::default()
    };
    let ipam = Ipam {
        config: Some(vec![config]),
        ..Ipam::default()
    };
    let request = NetworkCreateRequest {
        name: network.clone(),
        ipam: Some(ipam),
        ..Default::default()
    };
    let volume = VolumeCreateRequest {
        name: Some(network.clone()),
        ..Default::default()
    };
    tokio::try_join!(docker.create_network(request), docker.create_volume(volume))?;
    try_join_all(
        SERVICES
            .iter()
            .map(|service| create(docker, &network, service)),
    )
    .await?;
    for service in &SERVICES {
        start(docker, &network, service).await?;
    }
    Ok(())
}

async fn create(docker: &Docker, network: &str, service: &Service) -> Result<()> {
    let binding = PortBinding {
        host_ip: Some("127.0.0.1".into()),
        host_port: Some(String::new()),
    };
    let endpoint = EndpointSettings {
        aliases: Some(vec![service.name.into()]),
        ..EndpointSettings::default()
    };
    let body = ContainerCreateBody {
        image: Some(format!("stackrun-sample/{}:dev", service.name)),
        env: Some(
            service
                .environment
                .iter()
                .map(|&variable| variable.into())
                .collect(),
        ),
        exposed_ports: Some(vec![service.port.into()]),
        host_config: Some(HostConfig {
            port_bindings: Some(HashMap::from([(service.port.into(), Some(vec![binding]))])),
            binds: service
                .bind
                .map(|target| vec![format!("{network}:{target}")]),
            network_mode: Some(network.into()),
            ..HostConfig::default()
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network.into(), endpoint)])),
        }),
        ..ContainerCreateBody::default()
    };
    let name = format!("{network}-{}", service.name);
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    docker.create_container(Some(options), body).await?;
    Ok(())
}

async fn start(docker: &Docker, network: &str, service: &Service) -> Result<()> {
    let name = format!("{network}-{}", service.name);
    let options = AttachContainerOptionsBuilder::new()
        .stream(true)
        .stdout(true)
        .stderr(true)
        .build();
    let _output = docker.attach_container(&name, Some(options)).await?;
    docker.start_container(&name, None).await?;
    let state = docker.inspect_container(&name, None).await?;
    let ports = state.network_settings.unwrap().ports.unwrap();
    let port = ports[service.port].as_ref().unwrap()[0]
        .host_port
        .clone()
        .unwrap();
    while !is_ready(&port, service.ready).await {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

async fn is_ready(port: &str, path: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(format!("127.0.0.1:{port}")).await else {
        return false;
    };
    let request = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n");
    let mut answer = [0; 12];
    stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_exact(&mut answer).await.is_ok()
        && answer[9..] == *b"200"
}

async fn worker_down(docker: &Docker, worker: usize) {
    let network = format!("bench-bare-{worker}");
    let options = RemoveContainerOptionsBuilder::new()
        .force(true)
        .v(true)
        .build();
    let remove = |service: &'static Service| {
        let (name, options) = (format!("{network}-{}", service.name), options.clone());
        async move { docker.remove_container(&name, Some(options)).await }
    };
    join_all(SERVICES.iter().map(remove)).await;
    let _ = docker.remove_network(&network).await;
    let _ = docker
        .remove_volume(
            &network,
            None::<bollard::query_parameters::RemoveVolumeOptions>,
        )
        .await;
}
