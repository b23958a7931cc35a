//! The order in which services start.

use indexmap::IndexMap;

use crate::spec::{Service, ServiceName};

/// Services that depend on each other in a circle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("dependency cycle: {}", .0.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(" -> "))]
pub struct Cycle(
    /// The services on the circle; the first one is there again at the end.
    pub Vec<ServiceName>,
);

/// Sorts services so that each comes after those that it depends on, and otherwise in
/// the order of the file. Dependencies that are not in the project are left out:
/// they are optional, or the loader has refused them.
pub fn start_order(services: &IndexMap<ServiceName, Service>) -> Result<Vec<&Service>, Cycle> {
    let mut visit = Visit {
        services,
        done: Vec::new(),
        path: Vec::new(),
    };
    for service in services.values() {
        visit.service(service)?;
    }
    Ok(visit.done)
}

struct Visit<'a> {
    services: &'a IndexMap<ServiceName, Service>,
    done: Vec<&'a Service>,
    path: Vec<&'a ServiceName>,
}

impl<'a> Visit<'a> {
    fn service(&mut self, service: &'a Service) -> Result<(), Cycle> {
        if self.done.iter().any(|done| done.name == service.name) {
            return Ok(());
        }
        if let Some(start) = self.path.iter().position(|name| **name == service.name) {
            let circle = self.path[start..].iter().copied().chain([&service.name]);
            return Err(Cycle(circle.cloned().collect()));
        }
        self.path.push(&service.name);
        for name in service.depends_on.keys() {
            if let Some(dependency) = self.services.get(name) {
                self.service(dependency)?;
            }
        }
        self.path.pop();
        self.done.push(service);
        Ok(())
    }
}
