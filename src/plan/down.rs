//! Taking things down. What is there says it all: its labels tell the worker, the
//! service and what the service depends on, so no Compose file is needed.

use std::collections::BTreeMap;

use crate::spec::{
    Hook, Observed, ObservedContainer, ServiceName, WorkerId, label, observed::Labelled,
};

use super::{Action, Need, NodeId, Plan, Replica};

/// What becomes of volumes when a session is taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volumes {
    /// They stay, for the next `up`.
    Keep,
    /// They are removed with everything else.
    Remove,
}

/// Stops and removes everything in `observed`: dependents before what they depend on,
/// workers side by side.
pub fn down(observed: &Observed, volumes: Volumes, cause: &str) -> Plan {
    let mut plan = Plan::default();
    let mut workers: BTreeMap<WorkerId, Observed> = BTreeMap::new();
    for container in &observed.containers {
        workers
            .entry(worker_of(container))
            .or_default()
            .containers
            .push(container.clone());
    }
    for network in &observed.networks {
        workers
            .entry(worker_of(network))
            .or_default()
            .networks
            .push(network.clone());
    }
    for volume in &observed.volumes {
        workers
            .entry(worker_of(volume))
            .or_default()
            .volumes
            .push(volume.clone());
    }
    for (worker, observed) in workers {
        down_worker(&mut plan, worker, &observed, volumes, cause);
    }
    plan
}

/// What lost its worker label still has to go.
fn worker_of(labelled: &impl Labelled) -> WorkerId {
    labelled.worker().unwrap_or_default()
}

fn down_worker(
    plan: &mut Plan,
    worker: WorkerId,
    observed: &Observed,
    volumes: Volumes,
    cause: &str,
) {
    let doomed = observed.containers.iter().map(|it| (it, cause)).collect();
    let removed = remove_containers(plan, doomed);
    let needs: Vec<Need> = removed.values().flatten().copied().map(go_on).collect();
    for network in &observed.networks {
        let action = Action::RemoveNetwork {
            worker,
            name: network.name.clone(),
        };
        plan.add(action, needs.clone(), cause);
    }
    if volumes == Volumes::Remove {
        for volume in &observed.volumes {
            let action = Action::RemoveVolume {
                worker,
                name: volume.name.clone(),
            };
            plan.add(action, needs.clone(), cause);
        }
    }
}

/// Cleaning up does as much as it can: a step that failed keeps no other from being
/// tried.
pub(super) fn go_on(node: NodeId) -> Need {
    Need {
        node,
        optional: true,
    }
}

/// Stops and removes containers of one worker, each for its own cause, dependents first.
/// Returns the removal nodes of each service.
pub(super) fn remove_containers(
    plan: &mut Plan,
    mut left: Vec<(&ObservedContainer, &str)>,
) -> BTreeMap<ServiceName, Vec<NodeId>> {
    let mut gates = Gates::default();
    let mut removed: BTreeMap<ServiceName, Vec<NodeId>> = BTreeMap::new();
    while !left.is_empty() {
        let (mut free, waiting): (Vec<_>, Vec<_>) = left
            .iter()
            .copied()
            .partition(|(container, _)| !has_dependent(container, &left));
        // Labels written by something else may form a circle: then all go at once.
        if free.is_empty() {
            free.clone_from(&left);
            left.clear();
        } else {
            left = waiting;
        }
        for (container, cause) in free {
            let replica = replica_of(container);
            let service = replica.service.clone();
            let after = gates.before(&service);
            let mut needs = Vec::new();
            if container.status.is_up() {
                let action = Action::StopContainer {
                    replica: replica.clone(),
                    container: container.name.clone(),
                    pre_stop: pre_stop(container),
                };
                let after = after.into_iter().map(go_on).collect();
                let stop = plan.add(action, after, cause);
                needs.push(go_on(stop));
                gates.add(container, vec![stop]);
            } else {
                // One that has ended already keeps the order of its neighbours.
                gates.add(container, after);
            }
            let action = Action::RemoveContainer {
                replica,
                container: container.name.clone(),
            };
            let node = plan.add(action, needs, cause);
            removed.entry(service).or_default().push(node);
        }
    }
    removed
}

/// For each container that was dealt with, what it depends on, and the stops after which
/// that may be stopped.
#[derive(Default)]
struct Gates(Vec<(String, Vec<NodeId>)>);

impl Gates {
    fn add(&mut self, container: &ObservedContainer, stops: Vec<NodeId>) {
        self.0.push((depends_on(container).to_owned(), stops));
    }

    /// The stops that come before that of `service`.
    fn before(&self, service: &ServiceName) -> Vec<NodeId> {
        let waits = |depends_on: &str| depends_on.split(',').any(|name| name == service.as_str());
        let dependents = self.0.iter().filter(|(depends_on, _)| waits(depends_on));
        dependents
            .flat_map(|(_, stops)| stops.iter().copied())
            .collect()
    }
}

fn depends_on(container: &ObservedContainer) -> &str {
    container
        .labels
        .get(label::DEPENDS_ON)
        .map_or("", String::as_str)
}

/// A label that someone else wrote must not keep a container from being stopped.
fn pre_stop(container: &ObservedContainer) -> Vec<Hook> {
    let hooks = container.labels.get(label::PRE_STOP);
    hooks
        .and_then(|hooks| serde_json::from_str(hooks).ok())
        .unwrap_or_default()
}

fn has_dependent(container: &ObservedContainer, others: &[(&ObservedContainer, &str)]) -> bool {
    let Some(service) = container.labels.get(label::SERVICE) else {
        return false;
    };
    others.iter().any(|(other, _)| {
        other.id != container.id
            && other.labels.get(label::SERVICE) != Some(service)
            && depends_on(other).split(',').any(|name| name == service)
    })
}

/// The replica that a container's labels speak of.
pub fn replica_of(container: &ObservedContainer) -> Replica {
    let number = container
        .labels
        .get(label::REPLICA)
        .and_then(|number| number.parse().ok());
    Replica {
        worker: worker_of(container),
        service: container.service().unwrap_or_else(|| {
            // Engine names have the same alphabet as service names.
            container
                .name
                .parse()
                .unwrap_or_else(|_| "unknown".parse().expect("a legal name"))
        }),
        number: number.unwrap_or(1),
    }
}
