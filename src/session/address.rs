//! Where the services of each worker are found, and the variables that say so.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use indexmap::IndexMap;
use serde::Serialize;

use crate::{
    logs::LogPaths,
    spec::{
        AddressRef, Observed, ObservedContainer, Project, Protocol, PublishedPort, ServiceName,
        SessionName, WorkerId, label, observed::Labelled,
    },
};

/// All workers of a session, with the addresses of their services.
///
/// This is the content of the state file (`STACKRUN_STATE`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stack {
    /// Version of this format.
    pub schema: u32,
    /// The session.
    pub session: SessionName,
    /// The project.
    pub project: SessionName,
    /// The project's directory.
    pub directory: PathBuf,
    /// By number.
    pub workers: Vec<Worker>,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Worker {
    /// Its number, from 0.
    pub worker: WorkerId,
    /// The loopback address on which it publishes its ports, where it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Its services, by name, in the order of the Compose file where that is known.
    pub services: IndexMap<String, ServiceAddress>,
    /// The variables that `x-stackrun.env` asks for, with this worker's addresses.
    pub env: BTreeMap<String, String>,
}

/// One container of a service, and where it is found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceAddress {
    /// Name of the container on the engine.
    pub container: String,
    /// The engine's id of it.
    pub id: String,
    /// What it is doing.
    pub status: crate::spec::Status,
    /// Exit code, if it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Health, where it has a health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<crate::spec::Health>,
    /// URL of the first published port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Host address of the first published port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<IpAddr>,
    /// Host port of the first published port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// All published ports.
    pub ports: Vec<PublishedPort>,
    /// The log file that this session writes.
    pub log: PathBuf,
}

/// Version of the state file's format.
const SCHEMA: u32 = 1;

/// Finds every service of every worker in what the engine shows.
pub fn stack(
    session: &SessionName,
    project: Option<&Project>,
    observed: &Observed,
    logs: &LogPaths,
) -> Stack {
    let first = observed.containers.first();
    let from_label = |name| {
        first
            .and_then(|container| container.labels.get(name))
            .cloned()
    };
    let mut workers: BTreeMap<WorkerId, Vec<&ObservedContainer>> = BTreeMap::new();
    for container in &observed.containers {
        workers
            .entry(container.worker().unwrap_or_default())
            .or_default()
            .push(container);
    }
    Stack {
        schema: SCHEMA,
        session: session.clone(),
        project: project
            .map(|project| project.name.clone())
            .or_else(|| from_label(label::PROJECT)?.parse().ok())
            .unwrap_or_else(|| session.clone()),
        directory: project
            .map(|project| project.directory.clone())
            .or_else(|| from_label(label::DIRECTORY).map(PathBuf::from))
            .unwrap_or_default(),
        workers: workers
            .into_iter()
            .map(|(worker, containers)| worker_of(worker, containers, project, logs))
            .collect(),
    }
}

fn worker_of(
    worker: WorkerId,
    mut containers: Vec<&ObservedContainer>,
    project: Option<&Project>,
    logs: &LogPaths,
) -> Worker {
    let address = containers
        .iter()
        .find_map(|container| container.labels.get(label::ADDRESS)?.parse().ok());
    let position = |container: &ObservedContainer| {
        let service = container.service()?;
        project?.services.get_index_of(&service)
    };
    containers.sort_by_key(|container| (position(container), container.name.clone()));
    let services: IndexMap<_, _> = containers
        .into_iter()
        .map(|container| {
            let name = display_name(container);
            let address = service_address(worker, &name, container, project, logs);
            (name, address)
        })
        .collect();
    let references = project
        .map(|project| &project.stackrun.env)
        .into_iter()
        .flatten();
    let env = references
        .filter_map(|(name, reference)| Some((name.clone(), resolve(reference, &services)?)))
        .collect();
    Worker {
        worker,
        address,
        services,
        env,
    }
}

/// The service, with the replica's number from the second on.
fn display_name(container: &ObservedContainer) -> String {
    let service = container
        .service()
        .map_or_else(|| container.name.clone(), |s| s.to_string());
    match container.labels.get(label::REPLICA).map(String::as_str) {
        None | Some("1") => service,
        Some(number) => format!("{service}-{number}"),
    }
}

fn service_address(
    worker: WorkerId,
    name: &str,
    container: &ObservedContainer,
    project: Option<&Project>,
    logs: &LogPaths,
) -> ServiceAddress {
    let declared = container
        .service()
        .and_then(|service| project?.services.get(&service));
    let mut ports = container.ports.clone();
    // In the order of the file, so that "the first port" is the one the user sees first.
    let rank = |port: &PublishedPort| {
        declared.and_then(|service| service.ports.iter().position(|p| p.target == port.target))
    };
    ports.sort_by_key(|port| (rank(port).unwrap_or(usize::MAX), port.target));
    let first = ports
        .iter()
        .find(|port| port.protocol == Protocol::Tcp)
        .or(ports.first())
        .copied();
    let scheme = |port: &PublishedPort| {
        declared
            .and_then(|service| service.ports.iter().find(|p| p.target == port.target))
            .and_then(|port| port.app_protocol.clone())
            .unwrap_or_else(|| "http".to_owned())
    };
    ServiceAddress {
        container: container.name.clone(),
        id: container.id.clone(),
        status: container.status,
        exit_code: container.exit_code,
        health: container.health,
        url: first.as_ref().map(|port| url(&scheme(port), port)),
        host: first.map(|port| port.host_ip),
        port: first.map(|port| port.host_port),
        ports,
        log: logs.text(worker, name),
    }
}

fn url(scheme: &str, port: &PublishedPort) -> String {
    format!(
        "{scheme}://{}",
        std::net::SocketAddr::new(port.host_ip, port.host_port)
    )
}

fn resolve(reference: &AddressRef, services: &IndexMap<String, ServiceAddress>) -> Option<String> {
    let address = services.get(reference.service.as_str())?;
    match reference.port {
        None => address.url.clone(),
        Some(target) => {
            let port = address.ports.iter().find(|port| port.target == target)?;
            let scheme = address.url.as_deref().and_then(|url| url.split(':').next());
            Some(url(scheme.unwrap_or("http"), port))
        }
    }
}

impl Worker {
    /// The variables for a command that uses this worker: `STACKRUN_<SERVICE>_URL`,
    /// `_HOST` and `_PORT`, and what `x-stackrun.env` maps.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        if let Some(address) = self.address {
            variables.insert("STACKRUN_ADDRESS".to_owned(), address.to_string());
        }
        for (service, address) in &self.services {
            let name = variable_name(service);
            if let (Some(url), Some(host), Some(port)) = (&address.url, address.host, address.port)
            {
                variables.insert(format!("STACKRUN_{name}_URL"), url.clone());
                variables.insert(format!("STACKRUN_{name}_HOST"), host.to_string());
                variables.insert(format!("STACKRUN_{name}_PORT"), port.to_string());
            }
        }
        variables.extend(self.env.clone());
        variables
    }
}

impl Stack {
    /// The variables for a command that uses all workers: those of worker 0 under their
    /// plain names, and those of every worker under names that end in its number
    /// (`BACKEND_URL_1`).
    pub fn variables(&self) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        for worker in &self.workers {
            for (name, value) in worker.variables() {
                if worker.worker == WorkerId(0) {
                    variables.insert(name.clone(), value.clone());
                }
                variables.insert(format!("{name}_{}", worker.worker.0), value);
            }
        }
        variables
    }
}

/// `sse-gateway` becomes `SSE_GATEWAY`.
pub fn variable_name(service: &str) -> String {
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    service.chars().map(legal).collect()
}

/// The services whose log lines are to be shown as they come: those named by
/// `PLAYWRIGHT_<SERVICE>_LOG_STREAM=true`.
pub fn streamed<'a>(
    services: impl IntoIterator<Item = &'a ServiceName>,
    environment: &BTreeMap<String, String>,
) -> Vec<ServiceName> {
    let wanted = |service: &&ServiceName| {
        let variable = format!("PLAYWRIGHT_{}_LOG_STREAM", variable_name(service.as_str()));
        environment
            .get(&variable)
            .is_some_and(|value| value == "true")
    };
    services.into_iter().filter(wanted).cloned().collect()
}
