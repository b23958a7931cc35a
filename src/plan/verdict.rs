//! What becomes of the containers of one worker.

use std::collections::BTreeSet;

use crate::spec::{
    ContainerSpec, Observed, ObservedContainer, Service, ServiceName, Status, label,
};

use super::namespace::namespaces;

/// What becomes of one container, and why.
pub(super) enum Verdict {
    /// It stays as it is.
    Keep(String),
    /// It is there and has to be started.
    Start(String),
    /// It is made, in place of the one that is there.
    Create(Option<Box<ObservedContainer>>, String),
}

/// What was decided about the services that come first in start order.
#[derive(Default)]
pub(super) struct Verdicts {
    recreated: BTreeSet<ServiceName>,
    /// Started again, which makes new namespaces of the same container.
    restarted: BTreeSet<ServiceName>,
}

impl Verdicts {
    /// Decides about a container. What depends on a container that is made anew is made
    /// anew itself: it may hold connections to the one that goes.
    pub(super) fn decide(
        &mut self,
        observed: &Observed,
        spec: &ContainerSpec,
        service: &Service,
    ) -> Verdict {
        let verdict = self.verdict(observed, spec, service);
        match verdict {
            Verdict::Keep(_) => {}
            Verdict::Start(_) => {
                self.restarted.insert(service.name.clone());
            }
            Verdict::Create(..) => {
                self.recreated.insert(service.name.clone());
            }
        }
        verdict
    }

    fn verdict(&self, observed: &Observed, spec: &ContainerSpec, service: &Service) -> Verdict {
        let mut containers = observed.containers.iter();
        let Some(there) = containers.find(|container| container.name == spec.name) else {
            return Verdict::Create(None, "not found".to_owned());
        };
        let anew = |cause| Verdict::Create(Some(Box::new(there.clone())), cause);
        if there.labels.get(label::CONFIG_HASH) != spec.labels.get(label::CONFIG_HASH) {
            return anew("configuration or image has changed".to_owned());
        }
        let mut dependencies = service.depends_on.keys();
        if let Some(name) = dependencies.find(|name| self.recreated.contains(*name)) {
            return anew(format!("depends on `{name}`, which is recreated"));
        }
        if let Some(name) = namespaces(service).find(|name| self.restarted.contains(name)) {
            return anew(format!("lives in `{name}`, which is started again"));
        }
        match there.status {
            Status::Running => Verdict::Keep("up to date".to_owned()),
            Status::Exited if there.exit_code == Some(0) => {
                Verdict::Keep("has completed with exit code 0".to_owned())
            }
            Status::Removing | Status::Dead | Status::Paused | Status::Restarting => {
                anew(format!("was {}", there.status))
            }
            status => Verdict::Start(format!("was {status}")),
        }
    }
}
