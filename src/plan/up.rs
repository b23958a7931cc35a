//! Bringing a session from what is there to what is wanted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    spec::{
        Condition, ContainerSpec, Network, NetworkSpec, Observed, ObservedContainer, Service,
        ServiceName, Volume, VolumeSpec, WorkerId, label, observed::Labelled,
    },
    text,
};

use super::{
    Action, Kept, Naming, Need, NodeId, Plan, PlanError, Replica, Request, SubnetAllocator,
    Volumes, Wait, World, address,
    container::container,
    down::{self, down},
    namespace::joins_another,
    order::start_order,
    readiness,
    verdict::{Verdict, Verdicts},
    warning::warnings,
};

/// Plans `up`: creates what is not there, replaces what has changed together with
/// what depends on it, leaves alone what is as it should be, removes workers that are
/// too many.
///
/// Images come first: see [`images`](super::images). While one is missing, the rest is
/// planned without knowing what the image declares.
pub fn up(request: &Request<'_>, world: &World) -> Result<Plan, PlanError> {
    let pool = request.project.stackrun.subnets.unwrap_or_default();
    let salt = request.session.as_str();
    let mut up = Up {
        request,
        world,
        naming: Naming {
            session: request.session,
            project: &request.project.name,
            directory: &request.project.directory,
        },
        order: start_order(&request.project.services)?,
        plan: Plan {
            subnets: SubnetAllocator::new(pool, &world.taken, salt),
            ..Plan::default()
        },
    };
    up.plan.warnings = warnings(request.project, world.capabilities);
    up.remove_surplus();
    for worker in WorkerId::first(request.workers) {
        up.worker(worker)?;
    }
    up.mark_tolerated();
    Ok(up.plan)
}

struct Up<'a> {
    request: &'a Request<'a>,
    world: &'a World,
    naming: Naming<'a>,
    order: Vec<&'a Service>,
    plan: Plan,
}

/// A container, and what becomes of it.
struct Decided {
    replica: Replica,
    spec: ContainerSpec,
    verdict: Verdict,
}

/// The nodes after which a service of one worker is what dependents may ask for.
type Milestones = BTreeMap<(ServiceName, Condition), Vec<NodeId>>;

impl Up<'_> {
    /// Workers beyond the number that is wanted go, with their volumes: nobody could
    /// reach these any more. Orphans go where that is asked for.
    fn remove_surplus(&mut self) {
        let wanted = self.request.workers;
        let beyond = |worker: Option<WorkerId>| worker.is_some_and(|worker| worker.0 >= wanted);
        let observed = &self.world.observed;
        let mut surplus = Observed {
            containers: observed
                .containers
                .iter()
                .filter(|c| beyond(c.worker()))
                .cloned()
                .collect(),
            networks: observed
                .networks
                .iter()
                .filter(|n| beyond(n.worker()))
                .cloned()
                .collect(),
            volumes: observed
                .volumes
                .iter()
                .filter(|v| beyond(v.worker()))
                .cloned()
                .collect(),
        };
        let cause = format!("only {} wanted", text::count(wanted as usize, "worker"));
        self.plan.append(down(&surplus, Volumes::Remove, &cause));

        let known = self.request.known_services;
        let is_orphan = |container: &&ObservedContainer| {
            !beyond(container.worker())
                && container
                    .service()
                    .is_some_and(|service| !known.contains(&service))
        };
        let orphans: Vec<_> = observed
            .containers
            .iter()
            .filter(is_orphan)
            .cloned()
            .collect();
        if orphans.is_empty() {
            return;
        }
        if self.request.remove_orphans {
            surplus = Observed {
                containers: orphans,
                ..Observed::default()
            };
            self.plan
                .append(down(&surplus, Volumes::Keep, "not in the project any more"));
        } else {
            let names: BTreeSet<_> = orphans.iter().filter_map(Labelled::service).collect();
            self.plan.warnings.push(format!(
                "found containers of services that the project does not have: {} \
                 (`--remove-orphans` removes them)",
                text::list(names)
            ));
        }
    }

    fn worker(&mut self, worker: WorkerId) -> Result<(), PlanError> {
        let networks = self.networks(worker)?;
        let volumes = self.volumes(worker);
        let decided = self.decide(worker)?;
        let removed = self.remove_replaced(&decided);
        let mut milestones = Milestones::default();
        for decided in decided {
            let service = &decided.spec.service;
            let mut before = needed(service, &networks, &volumes);
            before.extend(removed.get(&service.name).into_iter().flatten());
            self.replica(decided, before, &mut milestones)?;
        }
        Ok(())
    }

    /// Decides what becomes of every container of a worker.
    fn decide(&self, worker: WorkerId) -> Result<Vec<Decided>, PlanError> {
        let mut verdicts = Verdicts::default();
        let mut decided = Vec::new();
        for service in &self.order {
            let service = Arc::new((*service).clone());
            for number in 1..=service.replicas {
                let replica = Replica {
                    worker,
                    service: service.name.clone(),
                    number,
                };
                let spec = container(self.request, &self.naming, self.world, &replica, &service)?;
                let verdict = verdicts.decide(&self.world.observed, &spec, &service);
                decided.push(Decided {
                    replica,
                    spec,
                    verdict,
                });
            }
        }
        Ok(decided)
    }

    /// Containers whose place others take go first, dependents before what they depend
    /// on, so that none sees another one vanish.
    fn remove_replaced(&mut self, decided: &[Decided]) -> BTreeMap<ServiceName, Vec<NodeId>> {
        let doomed: Vec<_> = decided
            .iter()
            .filter_map(|decided| match &decided.verdict {
                Verdict::Create(Some(old), cause) => Some((&**old, cause.as_str())),
                _ => None,
            })
            .collect();
        down::remove_containers(&mut self.plan, doomed)
    }

    fn networks(&mut self, worker: WorkerId) -> Result<BTreeMap<String, NodeId>, PlanError> {
        let project = self.request.project;
        let mut nodes = BTreeMap::new();
        for (key, network) in &project.networks {
            let members = project
                .services
                .values()
                .filter(|s| s.networks.contains_key(key));
            let members: usize = members.map(|service| service.replicas as usize).sum();
            if network.external || members == 0 {
                continue;
            }
            let name = self.naming.resource(worker, key);
            if self
                .world
                .observed
                .networks
                .iter()
                .any(|network| network.name == name)
            {
                continue;
            }
            let spec = self.network(worker, key, network, members)?;
            let node = self.plan.add(
                Action::CreateNetwork { worker, spec },
                Vec::new(),
                "not found",
            );
            nodes.insert(key.clone(), node);
        }
        Ok(nodes)
    }

    fn network(
        &mut self,
        worker: WorkerId,
        key: &str,
        network: &Network,
        members: usize,
    ) -> Result<NetworkSpec, PlanError> {
        let mut labels = self.naming.labels(worker);
        labels.insert(label::NETWORK.to_owned(), key.to_owned());
        for (name, value) in &network.labels {
            labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let name = self.naming.resource(worker, key);
        let room = address::room(self.request.project, key, members);
        let subnet = self.plan.subnets.allocate(room)?;
        Ok(NetworkSpec {
            subnet,
            gateway: address::gateway(self.request.project, key, subnet),
            subnet_v6: address::subnet_v6(network, &name),
            name,
            driver: network.driver.clone(),
            driver_opts: network.driver_opts.clone().into_iter().collect(),
            internal: network.internal,
            attachable: network.attachable,
            enable_ipv6: network.enable_ipv6,
            labels,
        })
    }

    fn volumes(&mut self, worker: WorkerId) -> BTreeMap<String, NodeId> {
        let mut nodes = BTreeMap::new();
        for (key, volume) in &self.request.project.volumes {
            let name = self.naming.resource(worker, key);
            let exists = self
                .world
                .observed
                .volumes
                .iter()
                .any(|volume| volume.name == name);
            let is_used = self.order.iter().any(|service| mounts(service, key));
            if volume.external || exists || !is_used {
                continue;
            }
            let spec = self.volume(worker, key, volume, name);
            let node = self.plan.add(
                Action::CreateVolume { worker, spec },
                Vec::new(),
                "not found",
            );
            nodes.insert(key.clone(), node);
        }
        nodes
    }

    fn volume(&self, worker: WorkerId, key: &str, volume: &Volume, name: String) -> VolumeSpec {
        let mut labels = self.naming.labels(worker);
        labels.insert(label::VOLUME.to_owned(), key.to_owned());
        for (name, value) in &volume.labels {
            labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
        VolumeSpec {
            name,
            driver: volume.driver.clone(),
            driver_opts: volume.driver_opts.clone().into_iter().collect(),
            labels,
        }
    }

    /// `before` is what a new container has to wait for.
    fn replica(
        &mut self,
        decided: Decided,
        before: Vec<NodeId>,
        milestones: &mut Milestones,
    ) -> Result<(), PlanError> {
        let Decided {
            replica,
            spec,
            verdict,
        } = decided;
        let (name, service) = (spec.name.clone(), Arc::clone(&spec.service));
        let needs = self.dependencies(&service, milestones)?;
        let started = match verdict {
            Verdict::Keep(cause) => {
                self.plan.kept.push(Kept {
                    replica: replica.clone(),
                    container: name.clone(),
                    cause,
                });
                None
            }
            Verdict::Start(cause) => {
                let action = Action::StartContainer {
                    replica: replica.clone(),
                    container: name.clone(),
                    post_start: service.post_start.clone(),
                };
                Some(self.plan.add(action, needs, cause))
            }
            Verdict::Create(_, cause) => Some(self.create(&replica, spec, before, needs, &cause)),
        };
        self.milestones(&replica, &service, &name, started, milestones)
    }

    /// Containers are created ahead of their turn, so that only the start waits for
    /// dependencies.
    fn create(
        &mut self,
        replica: &Replica,
        spec: ContainerSpec,
        before: Vec<NodeId>,
        dependencies: Vec<Need>,
        cause: &str,
    ) -> NodeId {
        let name = spec.name.clone();
        let post_start = spec.service.post_start.clone();
        let mut needs: Vec<Need> = before.into_iter().map(must).collect();
        if joins_another(&spec) {
            needs.extend(dependencies.iter().copied());
        }
        let action = Action::CreateContainer {
            replica: replica.clone(),
            spec: Box::new(spec),
        };
        let created = self.plan.add(action, needs, cause);
        let mut needs = vec![must(created)];
        needs.extend(dependencies);
        let action = Action::StartContainer {
            replica: replica.clone(),
            container: name,
            post_start,
        };
        self.plan.add(action, needs, "created")
    }

    fn dependencies(
        &self,
        service: &Service,
        milestones: &Milestones,
    ) -> Result<Vec<Need>, PlanError> {
        let mut needs = Vec::new();
        for (name, dependency) in &service.depends_on {
            let Some(other) = self.request.project.services.get(name) else {
                continue;
            };
            let image = self.world.images.get(&other.image);
            let unknowable = dependency.condition == Condition::Healthy
                && image.is_some()
                && !readiness::can_be_healthy(other, image);
            if unknowable {
                return Err(PlanError::NothingToWaitFor {
                    dependent: service.name.clone(),
                    service: name.clone(),
                });
            }
            let nodes = milestones.get(&(name.clone(), dependency.condition));
            let nodes = nodes.into_iter().flatten();
            needs.extend(nodes.map(|node| Need {
                node: *node,
                optional: !dependency.required,
            }));
        }
        Ok(needs)
    }

    /// Adds the waits that others, or the user, rely on.
    fn milestones(
        &mut self,
        replica: &Replica,
        service: &Service,
        container: &str,
        started: Option<NodeId>,
        milestones: &mut Milestones,
    ) -> Result<(), PlanError> {
        let mut reach = |condition, node| {
            milestones
                .entry((service.name.clone(), condition))
                .or_default()
                .push(node);
        };
        if let Some(started) = started {
            reach(Condition::Started, started);
        }
        for condition in self.conditions(service) {
            let image = self.world.images.get(&service.image);
            let mut wait = Wait::new(service, condition, image, self.world.capabilities)?;
            wait.may_complete |= !self.is_needed(service, Condition::Healthy);
            let action = Action::AwaitContainer {
                replica: replica.clone(),
                container: container.to_owned(),
                wait,
            };
            let needs: Vec<Need> = started.into_iter().map(must).collect();
            let cause = self.cause_of_wait(service, condition);
            reach(condition, self.plan.add(action, needs, cause));
        }
        Ok(())
    }

    /// What has to be awaited: completion where a dependent asks for it, and otherwise
    /// whatever tells that the service is ready.
    fn conditions(&self, service: &Service) -> Vec<Condition> {
        let mut conditions = Vec::new();
        if self.is_needed(service, Condition::CompletedSuccessfully) {
            conditions.push(Condition::CompletedSuccessfully);
        }
        if conditions.is_empty() || self.is_needed(service, Condition::Healthy) {
            let image = self.world.images.get(&service.image);
            conditions.push(if readiness::can_be_healthy(service, image) {
                Condition::Healthy
            } else {
                Condition::Started
            });
        }
        conditions
    }

    fn is_needed(&self, service: &Service, condition: Condition) -> bool {
        self.dependents(service, condition).next().is_some()
    }

    fn dependents<'s>(
        &'s self,
        service: &'s Service,
        condition: Condition,
    ) -> impl Iterator<Item = &'s ServiceName> {
        let wants = move |other: &&&Service| {
            let dependency = other.depends_on.get(&service.name);
            dependency.is_some_and(|dependency| dependency.condition == condition)
        };
        self.order.iter().filter(wants).map(|other| &other.name)
    }

    fn cause_of_wait(&self, service: &Service, condition: Condition) -> String {
        let dependents: Vec<_> = self.dependents(service, condition).collect();
        match dependents.len() {
            0 => "ready ends `up`".to_owned(),
            1 => format!("{} depends on it", text::list(dependents)),
            _ => format!("{} depend on it", text::list(dependents)),
        }
    }

    /// A node whose every dependent can do without it may fail.
    fn mark_tolerated(&mut self) {
        let mut optional = vec![None::<bool>; self.plan.nodes.len()];
        for need in self.plan.nodes.iter().flat_map(|node| &node.needs) {
            let all = optional[need.node].unwrap_or(true);
            optional[need.node] = Some(all && need.optional);
        }
        for (id, node) in self.plan.nodes.iter_mut().enumerate() {
            let is_wait = matches!(node.action, Action::AwaitContainer { .. });
            node.tolerated = is_wait && optional[id] == Some(true);
        }
    }
}

pub(super) fn must(node: NodeId) -> Need {
    Need {
        node,
        optional: false,
    }
}

fn mounts(service: &Service, key: &str) -> bool {
    use crate::spec::MountKind;
    service.mounts.iter().any(
        |mount| matches!(&mount.kind, MountKind::Volume { key: Some(used), .. } if used == key),
    )
}

fn needed(
    service: &Service,
    networks: &BTreeMap<String, NodeId>,
    volumes: &BTreeMap<String, NodeId>,
) -> Vec<NodeId> {
    let networks = service.networks.keys().filter_map(|key| networks.get(key));
    let volumes = volumes
        .iter()
        .filter(|(key, _)| mounts(service, key))
        .map(|(_, node)| node);
    networks.chain(volumes).copied().collect()
}
