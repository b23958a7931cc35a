//! Plans, compared as text.

use std::path::PathBuf;

use insta::assert_snapshot;
use jiff::Timestamp;

use super::*;
use crate::{
    compose::{LoadOptions, Memory, load_from},
    spec::{
        HealthTest, Healthcheck, ObservedContainer, ObservedNetwork, ObservedVolume, Pinned,
        SessionName, Status, label,
    },
};

const SAMPLE: &str = "
name: parts
services:
  backend:
    image: backend
    ports: ['5000']
    volumes: ['data:/data']
    x-stackrun: { ready: { http: /ready } }
  gateway:
    image: gateway
    depends_on: { backend: { condition: service_healthy } }
    healthcheck: { test: [CMD, /gateway, healthcheck] }
  frontend:
    image: frontend
    depends_on: [gateway]
volumes: { data: {} }
";

pub(super) fn project(text: &str) -> Project {
    let source = Memory::new().with("/project/compose.yaml", text);
    let options = LoadOptions {
        files: vec![PathBuf::from("compose.yaml")],
        working_dir: PathBuf::from("/project"),
        ..LoadOptions::default()
    };
    load_from(&source, &options).unwrap().project
}

pub(super) fn image() -> Image {
    Image {
        id: "sha256:1".to_owned(),
        healthcheck: None,
        exposed_ports: Vec::new(),
        size: 0,
        created: None,
        tagged: None,
    }
}

/// An engine that has every image, and nothing else.
fn empty_world(project: &Project) -> World {
    let images = project
        .services
        .values()
        .map(|service| (service.image.clone(), image()));
    World {
        images: images.collect(),
        ..World::default()
    }
}

fn plan_in(project: &Project, workers: u32, world: &World) -> Plan {
    try_plan(project, workers, world).unwrap()
}

/// No word about images on the command line.
pub(super) const BY_THE_FILE: ImageOptions = ImageOptions {
    pull: None,
    build: None,
    now: Timestamp::UNIX_EPOCH,
};

fn try_plan(project: &Project, workers: u32, world: &World) -> Result<Plan, PlanError> {
    let session: SessionName = project.name.clone();
    let known: Vec<ServiceName> = project.services.keys().cloned().collect();
    let request = Request {
        project,
        session: &session,
        workers,
        images: BY_THE_FILE,
        addresses: &Addresses::new(),
        remove_orphans: false,
        known_services: &known,
    };
    up(&request, world)
}

/// What an engine would show after `plan` was carried out.
fn after(plan: &Plan, mut world: World) -> World {
    for node in &plan.nodes {
        match &node.action {
            Action::CreateNetwork { spec, .. } => world.observed.networks.push(ObservedNetwork {
                name: spec.name.clone(),
                labels: spec.labels.clone(),
                subnets: vec![IpNet::V4(spec.subnet)],
            }),
            Action::CreateVolume { spec, .. } => world.observed.volumes.push(ObservedVolume {
                name: spec.name.clone(),
                labels: spec.labels.clone(),
            }),
            Action::CreateContainer { spec, .. } => {
                world.observed.containers.push(ObservedContainer {
                    id: format!("id-of-{}", spec.name),
                    name: spec.name.clone(),
                    image: spec.service.image.clone(),
                    labels: spec.labels.clone(),
                    status: Status::Running,
                    exit_code: None,
                    health: None,
                    ports: Vec::new(),
                });
            }
            Action::RemoveContainer { container, .. } => {
                world.observed.containers.retain(|c| c.name != *container);
            }
            Action::RemoveNetwork { name, .. } => {
                world.observed.networks.retain(|n| n.name != *name);
            }
            Action::RemoveVolume { name, .. } => world.observed.volumes.retain(|v| v.name != *name),
            _ => {}
        }
    }
    world
}

#[test]
fn everything_is_created_ahead_and_started_in_order() {
    let project = project(SAMPLE);
    let plan = plan_in(&project, 1, &empty_world(&project));
    assert_snapshot!(plan);
}

#[test]
fn a_second_up_changes_nothing() {
    let project = project(SAMPLE);
    let world = empty_world(&project);
    let world = after(&plan_in(&project, 2, &world), world);
    let plan = plan_in(&project, 2, &world);
    assert!(!plan.changes_anything(), "{plan}");
    assert_eq!(plan.kept.len(), 6);
}

#[test]
fn a_changed_service_is_recreated_with_what_depends_on_it() {
    let before = project(SAMPLE);
    let world = empty_world(&before);
    let world = after(&plan_in(&before, 1, &world), world);
    let changed = project(&SAMPLE.replace(
        "image: gateway",
        "image: gateway\n    environment: { A: b }",
    ));
    assert_snapshot!(plan_in(&changed, 1, &world));
}

#[test]
fn a_new_image_recreates_and_new_probe_does_not() {
    let before = project(SAMPLE);
    let world = empty_world(&before);
    let mut world = after(&plan_in(&before, 1, &world), world);
    let other_probe = project(&SAMPLE.replace("http: /ready", "http: /health"));
    assert!(!plan_in(&other_probe, 1, &world).changes_anything());
    world.images.get_mut("frontend").unwrap().id = "sha256:2".to_owned();
    let plan = plan_in(&before, 1, &world);
    let recreated: Vec<_> = plan
        .nodes
        .iter()
        .filter(|node| matches!(node.action, Action::CreateContainer { .. }))
        .map(|node| node.action.replica().unwrap().to_string())
        .collect();
    assert_eq!(recreated, ["w0/frontend"]);
}

#[test]
fn fewer_workers_take_the_surplus_down_with_its_volumes() {
    let project = project(SAMPLE);
    let world = empty_world(&project);
    let world = after(&plan_in(&project, 2, &world), world);
    assert_snapshot!(plan_in(&project, 1, &world));
}

#[test]
fn down_stops_dependents_first_and_needs_no_project() {
    let project = project(SAMPLE);
    let world = empty_world(&project);
    let world = after(&plan_in(&project, 1, &world), world);
    assert_snapshot!(down(&world.observed, Volumes::Remove, "down"), @"
    #0 w0/frontend stop container parts-w0-frontend, down
    [0?] -> #1 w0/frontend remove container parts-w0-frontend, down
    [0?] -> #2 w0/gateway stop container parts-w0-gateway, down
    [2?] -> #3 w0/gateway remove container parts-w0-gateway, down
    [2?] -> #4 w0/backend stop container parts-w0-backend, down
    [4?] -> #5 w0/backend remove container parts-w0-backend, down
    [5?,1?,3?] -> #6 w0 remove network parts-w0-default, down
    [5?,1?,3?] -> #7 w0 remove volume parts-w0-data, down
    ");
}

#[test]
fn a_one_shot_that_has_ended_keeps_the_order_of_its_neighbours() {
    let project = project(SAMPLE);
    let world = empty_world(&project);
    let mut world = after(&plan_in(&project, 1, &world), world);
    let gateway = world
        .observed
        .containers
        .iter_mut()
        .find(|c| c.name.ends_with("gateway"));
    gateway.unwrap().status = Status::Exited;
    assert_snapshot!(down(&world.observed, Volumes::Keep, "down"), @"
    #0 w0/frontend stop container parts-w0-frontend, down
    [0?] -> #1 w0/frontend remove container parts-w0-frontend, down
    #2 w0/gateway remove container parts-w0-gateway, down
    [0?] -> #3 w0/backend stop container parts-w0-backend, down
    [3?] -> #4 w0/backend remove container parts-w0-backend, down
    [4?,1?,2?] -> #5 w0 remove network parts-w0-default, down
    ");
}

#[test]
fn an_optional_dependency_may_fail() {
    let project = project(
        "
name: p
services:
  cache:
    image: cache
    healthcheck: { test: [CMD, 'true'] }
  web:
    image: web
    depends_on: { cache: { condition: service_healthy, required: false } }
",
    );
    let plan = plan_in(&project, 1, &empty_world(&project));
    let wait = plan
        .nodes
        .iter()
        .find(|node| matches!(node.action, Action::AwaitContainer { .. }))
        .unwrap();
    assert!(wait.tolerated);
    let start = plan.nodes.iter().find(|node| {
        matches!(&node.action, Action::StartContainer { replica, .. } if replica.service.as_str() == "web")
    });
    assert!(start.unwrap().needs.iter().any(|need| need.optional));
}

#[test]
fn waiting_for_health_without_a_health_check_is_refused() {
    let project = project(
        "
name: p
services:
  db: { image: db }
  web:
    image: web
    depends_on: { db: { condition: service_healthy } }
",
    );
    let error = try_plan(&project, 1, &empty_world(&project)).unwrap_err();
    assert_snapshot!(error, @"`web` waits for `db` to be healthy, but `db` has no health check");
    let mut world = empty_world(&project);
    world.images.get_mut("db").unwrap().healthcheck = Some(Healthcheck {
        test: Some(HealthTest::Shell("pg_isready".to_owned())),
        ..Healthcheck::default()
    });
    assert!(try_plan(&project, 1, &world).is_ok());
}

#[test]
fn a_health_check_is_left_to_an_engine_that_can_look_often() {
    let project = project(SAMPLE);
    let mut world = empty_world(&project);
    world.capabilities.start_interval = true;
    world.capabilities.health_by_itself = true;
    let plan = plan_in(&project, 1, &world);
    let check = plan.nodes.iter().find_map(|node| match &node.action {
        Action::CreateContainer { replica, spec } if replica.service.as_str() == "gateway" => {
            spec.healthcheck.clone()
        }
        _ => None,
    });
    let check = check.unwrap();
    assert_eq!(
        check.start_interval,
        Some(std::time::Duration::from_millis(100))
    );
    // Engines ignore the start interval without a start period.
    assert_eq!(check.start_period, Some(std::time::Duration::from_secs(90)));
}

#[test]
fn an_orphan_is_named_and_stays() {
    let before = project(SAMPLE);
    let world = empty_world(&before);
    let world = after(&plan_in(&before, 1, &world), world);
    let (head, _) = SAMPLE.split_once("  frontend:").unwrap();
    let without = project(&format!("{head}volumes: {{ data: {{}} }}\n"));
    let plan = plan_in(&without, 1, &world);
    assert!(!plan.changes_anything(), "{plan}");
    assert_snapshot!(plan.warnings.join("\n"), @"found containers of services that the project does not have: `frontend` (`--remove-orphans` removes them)");
}

#[test]
fn what_workers_share_is_said() {
    let project = project(
        "
name: p
services:
  web:
    image: web
    volumes: ['./src:/src', './conf:/conf:ro', 'shared:/shared']
volumes: { shared: { external: true } }
",
    );
    let plan = plan_in(&project, 2, &empty_world(&project));
    assert_snapshot!(plan.warnings.join("\n"), @"
    all workers share the host directory `/project/src` (used by `web`)
    all workers share the external volume `shared` (used by `web`)
    ");
}

/// The first worker's container of a service.
fn container_of(plan: &Plan, service: &str) -> ContainerSpec {
    let spec = plan.nodes.iter().find_map(|node| match &node.action {
        Action::CreateContainer { replica, spec } if replica.service.as_str() == service => {
            Some((**spec).clone())
        }
        _ => None,
    });
    spec.unwrap()
}

const ADDRESSES: &str = "
name: p
services:
  web: { image: web, networks: { net: { ipv4_address: 172.28.0.20, ipv6_address: 'fd00:9::20' } } }
  first: { image: first, networks: { net: { ipv4_address: 172.28.0.1 } } }
networks:
  net:
    enable_ipv6: true
    ipam: { config: [{ subnet: 172.28.0.0/16, gateway: 172.28.5.254 }, { subnet: 'fd00:9::/64' }] }
";

#[test]
fn an_address_keeps_its_number_in_each_worker_s_subnet() {
    let project = project(ADDRESSES);
    let plan = plan_in(&project, 2, &empty_world(&project));
    let web = &container_of(&plan, "web").endpoints[0];
    assert_eq!(
        (web.ipv4, web.ipv6),
        (Some(Pinned::Host(20)), Some(Pinned::Host(0x20)))
    );
    let networks: Vec<_> = plan
        .nodes
        .iter()
        .filter_map(|node| match &node.action {
            Action::CreateNetwork { spec, .. } => Some(spec),
            _ => None,
        })
        .collect();
    assert_eq!(networks.len(), 2);
    for network in &networks {
        // Room for number 20 and for a gateway that is not number 1, which is taken.
        assert_eq!(
            (network.subnet.prefix_len(), network.gateway),
            (27, Some(30))
        );
        assert!(network.subnet_v6.unwrap().to_string().starts_with("fd"));
    }
    assert_ne!(networks[0].subnet_v6, networks[1].subnet_v6);
    assert_snapshot!(plan.warnings.join("\n"), @"
    `web` asks for the address 172.28.0.20 in the network `net`: in each worker it has number 20 of the worker's own subnet instead
    `web` asks for the address fd00:9::20 in the network `net`: in each worker it has number ::20 of the worker's own subnet instead
    `first` asks for the address 172.28.0.1 in the network `net`: in each worker it has number 1 of the worker's own subnet instead
    ");
}

#[test]
fn an_address_that_is_in_no_subnet_of_the_file_is_refused() {
    let project = project(&ADDRESSES.replace("172.28.0.20", "172.29.0.20"));
    let error = try_plan(&project, 1, &empty_world(&project)).unwrap_err();
    assert_snapshot!(error, @"`web` asks for the address 172.29.0.20, but the file gives no subnet with it to the network `net`");
}

#[test]
fn an_ipv6_address_takes_a_network_with_ipv6() {
    let project = project(&ADDRESSES.replace("enable_ipv6: true", "enable_ipv6: false"));
    let error = try_plan(&project, 1, &empty_world(&project)).unwrap_err();
    assert!(error.to_string().contains("fd00:9::20"), "{error}");
}

#[test]
fn an_address_in_a_network_of_others_is_for_one() {
    let project = project(
        "
name: p
services:
  web: { image: web, networks: { net: { ipv4_address: 172.28.0.20 } } }
networks: { net: { external: true } }
",
    );
    let plan = plan_in(&project, 1, &empty_world(&project));
    let address = Pinned::Address([172, 28, 0, 20].into());
    assert_eq!(container_of(&plan, "web").endpoints[0].ipv4, Some(address));
    let error = try_plan(&project, 2, &empty_world(&project)).unwrap_err();
    assert_snapshot!(error, @"`web` asks for the address 172.28.0.20 of the external network `net`, which only one container can have");
}

const NEIGHBOURS: &str = "
name: p
services:
  app: { image: app }
  debug:
    image: debug
    pid: service:app
    ipc: service:app
    volumes_from: [app:ro]
    links: [app:backend, app]
    external_links: [outside, other:alias]
";

#[test]
fn what_is_joined_is_the_same_worker_s_and_runs_first() {
    let project = project(NEIGHBOURS);
    let plan = plan_in(&project, 1, &empty_world(&project));
    let debug = container_of(&plan, "debug");
    assert_eq!(debug.pid_mode.as_deref(), Some("container:p-w0-app"));
    assert_eq!(debug.ipc_mode, debug.pid_mode);
    assert_eq!(debug.volumes_from, ["p-w0-app:ro"]);
    assert_eq!(
        debug.endpoints[0].links,
        ["p-w0-app:backend", "outside:outside", "other:alias"]
    );
    assert_snapshot!(plan, @"
    #0 w0 create network p-w0-default 10.213.156.80/28, not found
    [0] -> #1 w0/app create container p-w0-app, not found
    [1] -> #2 w0/app start container p-w0-app, created
    [2] -> #3 w0/app wait service_started by running within 1 min, `debug` depends on it
    [0,2,3] -> #4 w0/debug create container p-w0-debug, not found
    [4,2,3] -> #5 w0/debug start container p-w0-debug, created
    [5] -> #6 w0/debug wait service_started by running within 1 min, ready ends `up`
    ");
}

#[test]
fn who_lives_in_a_container_that_starts_again_is_made_anew() {
    let project = project(NEIGHBOURS);
    let world = empty_world(&project);
    let mut world = after(&plan_in(&project, 1, &world), world);
    let app = world
        .observed
        .containers
        .iter_mut()
        .find(|it| it.name.ends_with("app"));
    let app = app.unwrap();
    (app.status, app.exit_code) = (Status::Exited, Some(1));
    assert_snapshot!(plan_in(&project, 1, &world), @"
    #0 w0/debug stop container p-w0-debug, lives in `app`, which is started again
    [0?] -> #1 w0/debug remove container p-w0-debug, lives in `app`, which is started again
    #2 w0/app start container p-w0-app, was exited
    [2] -> #3 w0/app wait service_started by running within 1 min, `debug` depends on it
    [1,2,3] -> #4 w0/debug create container p-w0-debug, lives in `app`, which is started again
    [4,2,3] -> #5 w0/debug start container p-w0-debug, created
    [5] -> #6 w0/debug wait service_started by running within 1 min, ready ends `up`
    ");
}

#[test]
fn what_the_engine_does_not_do_is_said_once() {
    let project = project(
        "
name: p
services:
  a:
    image: a
    restart: always
    annotations: { x: y }
    mac_address: 02:42:ac:11:00:01
    networks:
      default: { gw_priority: 1, interface_name: lan0 }
      other: { mac_address: '02:42:ac:11:00:02' }
  b: { image: b, restart: on-failure, logging: { driver: syslog } }
  c: { image: c, restart: 'no', logging: { driver: local }, annotations: { x: y } }
networks: { other: {} }
",
    );
    let plan = plan_in(&project, 2, &empty_world(&project));
    assert_snapshot!(plan.warnings.join("\n"), @"
    `restart` is turned off, so that the first exit of a container is seen and reported instead of being retried behind it: `a` and `b`
    `b` logs to `syslog`, from which the engine reads back at most what it has cached: the log files and what is shown while stackrun is attached are complete, but `stackrun logs` of a detached session misses what was written after it was detached
    `annotations` takes Docker API 1.43, so it has no effect on this engine: `a` and `c`
    `mac_address` in any network but the first takes Docker API 1.44, so it has no effect on this engine: `a`
    `gw_priority` takes Docker API 1.48, so it has no effect on this engine: `a`
    `interface_name` takes Docker API 1.49, so it has no effect on this engine: `a`
    ");
    let mut world = empty_world(&project);
    world.capabilities = Capabilities {
        buildkit: true,
        health_by_itself: true,
        annotations: true,
        endpoint_mac_address: true,
        start_interval: true,
        volume_subpath: true,
        image_mounts: true,
        gateway_priority: true,
        interface_names: true,
    };
    let plan = plan_in(&project, 2, &world);
    assert_eq!(plan.warnings.len(), 2, "{:?}", plan.warnings);
    let endpoints = container_of(&plan, "a").endpoints;
    assert_eq!(
        endpoints[0].mac_address.as_deref(),
        Some("02:42:ac:11:00:01")
    );
    assert_eq!(
        endpoints[0].driver_opts["com.docker.network.endpoint.ifname"],
        "lan0"
    );
}

#[test]
fn the_network_with_the_highest_priority_is_joined_first() {
    let project = project(
        "
name: p
services:
  a: { image: a, networks: { low: { priority: -1 }, none: {}, high: { priority: 9 } } }
networks: { low: {}, none: {}, high: {} }
",
    );
    let plan = plan_in(&project, 1, &empty_world(&project));
    let endpoints = container_of(&plan, "a").endpoints;
    let networks: Vec<_> = endpoints.iter().map(|it| it.network.as_str()).collect();
    assert_eq!(networks, ["p-w0-high", "p-w0-none", "p-w0-low"]);
}

#[test]
fn another_restart_policy_makes_no_other_container() {
    let before = project(SAMPLE);
    let world = empty_world(&before);
    let world = after(&plan_in(&before, 1, &world), world);
    let changed = SAMPLE.replace("image: gateway", "image: gateway\n    restart: always");
    assert!(!plan_in(&project(&changed), 1, &world).changes_anything());
}

#[test]
fn containers_of_others_are_shared() {
    let project = project(
        "
name: p
services:
  a: { image: a, network_mode: 'container:vpn', pid: 'container:top' }
  b: { image: b, volumes_from: ['container:files:ro'], external_links: ['db:database'] }
  c: { image: c, use_api_socket: true }
",
    );
    let plan = plan_in(&project, 2, &empty_world(&project));
    assert_snapshot!(plan.warnings.join("\n"), @"
    all workers share the container `vpn` (used by `a`)
    all workers share the container `top` (used by `a`)
    all workers share the container `files` (used by `b`)
    all workers share the container `db` (used by `b`)
    all workers share the socket of the engine `/var/run/docker.sock` (used by `c`)
    ");
}

mod properties {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// A project of up to eight services, each depending on some before it.
    fn projects() -> impl Strategy<Value = String> {
        let conditions = prop_oneof![
            Just("service_started"),
            Just("service_healthy"),
            Just("service_completed_successfully"),
        ];
        let service = proptest::collection::vec((any::<prop::sample::Index>(), conditions), 0..3);
        proptest::collection::vec(service, 1..8).prop_map(|services| {
            let mut text = String::from("name: p\nservices:\n");
            for (number, depends_on) in services.iter().enumerate() {
                text += &format!("  s{number}:\n    image: i{number}\n");
                text += "    healthcheck: { test: [CMD, 'true'] }\n";
                let mut named = BTreeMap::new();
                for (index, condition) in depends_on {
                    if number > 0 {
                        named.insert(index.index(number), condition);
                    }
                }
                if !named.is_empty() {
                    text += "    depends_on:\n";
                }
                for (other, condition) in named {
                    text += &format!("      s{other}: {{ condition: {condition} }}\n");
                }
            }
            text
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn needs_come_first_and_names_never_meet(text in projects(), workers in 1_u32..6) {
            let project = project(&text);
            let plan = plan_in(&project, workers, &empty_world(&project));
            let mut names = BTreeSet::new();
            let mut subnets: Vec<ipnet::Ipv4Net> = Vec::new();
            for (id, node) in plan.nodes.iter().enumerate() {
                prop_assert!(node.needs.iter().all(|need| need.node < id));
                match &node.action {
                    Action::CreateContainer { spec, .. } => {
                        prop_assert!(names.insert(spec.name.clone()));
                        prop_assert!(spec.labels.contains_key(label::SESSION));
                    }
                    Action::CreateNetwork { spec, .. } => {
                        prop_assert!(names.insert(spec.name.clone()));
                        prop_assert!(spec.labels.contains_key(label::SESSION));
                        prop_assert!(subnets.iter().all(|other| !other.contains(&spec.subnet)));
                        subnets.push(spec.subnet);
                    }
                    _ => {}
                }
            }
            // Doing it and planning again leaves nothing to do.
            let world = after(&plan, empty_world(&project));
            prop_assert!(!plan_in(&project, workers, &world).changes_anything());
            // Taking it down leaves nothing.
            let gone = after(&down(&world.observed, Volumes::Remove, "down"), world);
            prop_assert!(gone.observed.is_empty());
        }

        #[test]
        fn nobody_is_stopped_before_those_who_depend_on_him(text in projects()) {
            let project = project(&text);
            let world = empty_world(&project);
            let world = after(&plan_in(&project, 1, &world), world);
            let plan = down(&world.observed, Volumes::Keep, "down");
            let stop_of = |name: &ServiceName| plan.nodes.iter().position(|node| {
                matches!(&node.action, Action::StopContainer { replica, .. } if replica.service == *name)
            });
            for service in project.services.values() {
                for dependency in service.depends_on.keys() {
                    let (stop, before) = (stop_of(dependency).unwrap(), stop_of(&service.name).unwrap());
                    prop_assert!(plan.nodes[stop].needs.iter().any(|need| need.node == before));
                }
            }
        }
    }
}
