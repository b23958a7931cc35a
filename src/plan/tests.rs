//! Plans, compared as text.

use std::path::PathBuf;

use insta::assert_snapshot;

use super::*;
use crate::{
    compose::{LoadOptions, Memory, load_from},
    spec::{
        HealthTest, Healthcheck, ObservedContainer, ObservedNetwork, ObservedVolume, SessionName,
        Status, label,
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

fn project(text: &str) -> Project {
    let source = Memory::new().with("/project/compose.yaml", text);
    let options = LoadOptions {
        files: vec![PathBuf::from("compose.yaml")],
        working_dir: PathBuf::from("/project"),
        ..LoadOptions::default()
    };
    load_from(&source, &options).unwrap().project
}

fn image() -> Image {
    Image {
        id: "sha256:1".to_owned(),
        healthcheck: None,
        exposed_ports: Vec::new(),
        size: 0,
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

fn try_plan(project: &Project, workers: u32, world: &World) -> Result<Plan, PlanError> {
    let session: SessionName = project.name.clone();
    let known: Vec<ServiceName> = project.services.keys().cloned().collect();
    let request = Request {
        project,
        session: &session,
        workers,
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
fn missing_images_are_pulled_once_for_all_workers() {
    let project = project(SAMPLE);
    let plan = plan_in(&project, 4, &World::default());
    let pulls: Vec<_> = plan
        .nodes
        .iter()
        .filter(|node| matches!(node.action, Action::PullImage { .. }))
        .map(|node| node.action.to_string())
        .collect();
    assert_eq!(
        pulls,
        [
            "pull image backend",
            "pull image frontend",
            "pull image gateway"
        ]
    );
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
