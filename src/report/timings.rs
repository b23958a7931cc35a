//! Where the time went: what the engine took, what the services took, and the chain of
//! services that decided how long the whole took.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use crate::{
    event::{Event, EventKind},
    spec::{ServiceName, WorkerId},
    text,
};

/// Where the time went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timings {
    /// Every service that was started, in the order in which they became ready.
    pub services: Vec<ServiceTiming>,
    /// Indices of `services`: the one that was ready last, preceded by the one whose
    /// readiness let it start, and so on, the first one first.
    pub critical_path: Vec<usize>,
}

/// One service of one worker. All times in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceTiming {
    /// The worker.
    pub worker: WorkerId,
    /// The service.
    pub service: ServiceName,
    /// The dependency that was ready last, if there is one.
    pub waited_on: Option<ServiceName>,
    /// When the engine was asked to start it, since the first event.
    pub start_at_ms: f64,
    /// What the engine took to create the container.
    pub create_ms: f64,
    /// What the engine took to start it.
    pub start_ms: f64,
    /// What the service took from then on until it was ready.
    pub ready_ms: f64,
    /// When it was ready, since the first event.
    pub ready_at_ms: f64,
}

/// Finds out where the time went.
pub fn timings(events: &[Event]) -> Timings {
    let mut dependencies: BTreeMap<&ServiceName, &[ServiceName]> = BTreeMap::new();
    let mut created: BTreeMap<(WorkerId, &ServiceName), f64> = BTreeMap::new();
    let mut started: BTreeMap<(WorkerId, &ServiceName), (f64, f64)> = BTreeMap::new();
    let mut services: Vec<ServiceTiming> = Vec::new();
    for event in events {
        if let EventKind::SessionStarted { services, .. } = &event.kind {
            dependencies.extend(services.iter().map(|s| (&s.name, s.depends_on.as_slice())));
        }
        let (Some(worker), Some(service)) = (event.worker, &event.service) else {
            continue;
        };
        let key = (worker, service);
        match &event.kind {
            EventKind::StepFinished {
                action, took_ms, ..
            } if action == "create container" => {
                created.insert(key, *took_ms);
            }
            EventKind::ContainerStarted { took_ms, .. } => {
                started.insert(key, (event.elapsed_ms, *took_ms));
            }
            EventKind::Ready { .. } | EventKind::Completed { .. } => {
                let Some((at, took)) = started.remove(&key) else {
                    continue;
                };
                let waits_for = dependencies.get(service).copied().unwrap_or_default();
                services.push(ServiceTiming {
                    worker,
                    service: service.clone(),
                    waited_on: last_ready(&services, worker, waits_for),
                    start_at_ms: at - took,
                    create_ms: created.get(&key).copied().unwrap_or_default(),
                    start_ms: took,
                    ready_ms: (event.elapsed_ms - at).max(0.0),
                    ready_at_ms: event.elapsed_ms,
                });
            }
            _ => {}
        }
    }
    let critical_path = critical_path(&services);
    Timings {
        services,
        critical_path,
    }
}

/// Of the services that another one waits for, the one that was ready last. Services
/// are in the order in which they became ready.
fn last_ready(
    services: &[ServiceTiming],
    worker: WorkerId,
    waits_for: &[ServiceName],
) -> Option<ServiceName> {
    let of_worker = services
        .iter()
        .rev()
        .filter(|timing| timing.worker == worker);
    of_worker
        .map(|timing| &timing.service)
        .find(|service| waits_for.contains(service))
        .cloned()
}

fn critical_path(services: &[ServiceTiming]) -> Vec<usize> {
    let before = |index: &usize| {
        let timing = &services[*index];
        let waited_on = timing.waited_on.as_ref()?;
        services[..*index]
            .iter()
            .position(|other| other.worker == timing.worker && other.service == *waited_on)
    };
    let mut path: Vec<usize> =
        std::iter::successors(services.len().checked_sub(1), before).collect();
    path.reverse();
    path
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<20} {:>9} {:>9} {:>9} {:>9} {:>9}  WAITED ON",
            "SERVICE", "CREATE", "AT", "START", "READY", "AT"
        )?;
        for timing in &self.services {
            let waited_on = timing
                .waited_on
                .as_ref()
                .map_or("-", |service| service.as_str());
            writeln!(
                f,
                "{:<20} {:>9} {:>9} {:>9} {:>9} {:>9}  {waited_on}",
                format!("{} {}", timing.worker, timing.service),
                duration(timing.create_ms),
                duration(timing.start_at_ms),
                duration(timing.start_ms),
                duration(timing.ready_ms),
                duration(timing.ready_at_ms),
            )?;
        }
        let step = |index: &usize| {
            let timing = &self.services[*index];
            format!(
                "{} {} (engine {}, service {})",
                timing.worker,
                timing.service,
                duration(timing.start_ms),
                duration(timing.ready_ms)
            )
        };
        let steps: Vec<String> = self.critical_path.iter().map(step).collect();
        if let Some(last) = self.critical_path.last() {
            let total = duration(self.services[*last].ready_at_ms);
            writeln!(f, "critical path: {} = {total}", steps.join(" → "))?;
        }
        Ok(())
    }
}

fn duration(millis: f64) -> String {
    text::duration(Duration::from_secs_f64(millis.max(0.0) / 1_000.0))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::event::ServiceSummary;

    fn event(elapsed_ms: f64, service: &str, kind: EventKind) -> Event {
        Event {
            at: jiff::Timestamp::UNIX_EPOCH,
            elapsed_ms,
            worker: Some(WorkerId(0)),
            service: Some(service.parse().unwrap()),
            kind,
        }
    }

    fn started(at: f64, service: &str, took_ms: f64) -> Event {
        let kind = EventKind::ContainerStarted {
            container: service.to_owned(),
            ports: Vec::new(),
            took_ms,
        };
        event(at, service, kind)
    }

    fn ready(at: f64, service: &str) -> Event {
        let kind = EventKind::Ready {
            probe: "GET :80/".to_owned(),
            after_ms: 0.0,
        };
        event(at, service, kind)
    }

    #[test]
    fn the_critical_path_goes_back_from_the_last_service() {
        let summary = |name: &str, depends_on: &[&str]| ServiceSummary {
            name: name.parse().unwrap(),
            depends_on: depends_on
                .iter()
                .map(|name| name.parse().unwrap())
                .collect(),
        };
        let first = EventKind::SessionStarted {
            schema: 1,
            session: "parts".parse().unwrap(),
            workers: 1,
            services: vec![
                summary("db", &[]),
                summary("cache", &[]),
                summary("web", &["db", "cache"]),
            ],
        };
        let events = [
            Event {
                worker: None,
                service: None,
                ..event(0.0, "db", first)
            },
            started(300.0, "cache", 250.0),
            ready(310.0, "cache"),
            started(320.0, "db", 270.0),
            ready(900.0, "db"),
            started(1_200.0, "web", 290.0),
            ready(1_240.0, "web"),
        ];
        assert_snapshot!(timings(&events).to_string(), @"
        SERVICE                 CREATE        AT     START     READY        AT  WAITED ON
        w0 cache                  0 ms     50 ms    250 ms     10 ms    310 ms  -
        w0 db                     0 ms     50 ms    270 ms    580 ms    900 ms  -
        w0 web                    0 ms    910 ms    290 ms     40 ms    1.24 s  db
        critical path: w0 db (engine 270 ms, service 580 ms) → w0 web (engine 290 ms, service 40 ms) = 1.24 s
        ");
    }
}
