//! Which images have to be pulled, built or loaded before containers can be made of
//! them, each once for all workers.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    engine::Image,
    spec::{
        Build, BuildContext, BuildSpec, Project, PullPolicy, Service, ServiceName, SessionName,
        desired::Labels, label,
    },
};

use super::{Action, NodeId, Plan, PlanError, Request, World, up::must};

/// How images are come by, where the command line says something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageOptions {
    /// `--pull`, in place of every service's `pull_policy`.
    pub pull: Option<PullPolicy>,
    /// `--build` and `--no-build`: build always, or never. Absent: when an image is
    /// missing.
    pub build: Option<bool>,
    /// The moment by which the age of images is told.
    pub now: Timestamp,
}

/// What images the services run from, and what has to be done to have them.
#[derive(Debug, Clone, Default)]
pub struct Images {
    /// Pulls, builds and loads.
    pub plan: Plan,
    /// The name of each service's image once that is done.
    names: BTreeMap<ServiceName, String>,
}

impl Images {
    /// The project with every image under the name that it has on the engine.
    pub fn resolve(&self, project: &Project) -> Project {
        let mut project = project.clone();
        for (service, image) in &self.names {
            if let Some(service) = project.services.get_mut(service) {
                service.image.clone_from(image);
            }
        }
        project
    }
}

/// The names under which a project's images may be found.
pub fn image_names(project: &Project) -> BTreeSet<String> {
    let built = project.services.values().filter(|s| s.build.is_some());
    built
        .map(|service| built_name(project, service))
        .chain(project.services.values().map(|s| s.image.clone()))
        .collect()
}

/// The name that an image gets when it is built here. Another checkout of the project
/// builds under another name, so that neither runs what the other has built. All sessions
/// of one checkout, those of `run` as well, share what is built.
fn built_name(project: &Project, service: &Service) -> String {
    let home = SessionName::of(&project.name, &project.directory);
    if is_default_name(&project.name, service) {
        return format!("{home}-{}", service.name);
    }
    let place = home
        .as_str()
        .strip_prefix(project.name.as_str())
        .unwrap_or_default();
    let (name, _digest) = service
        .image
        .split_once('@')
        .unwrap_or((&service.image, ""));
    let has_tag = name
        .rsplit('/')
        .next()
        .is_some_and(|last| last.contains(':'));
    let tag = if has_tag { "" } else { ":latest" };
    format!("{name}{tag}{place}")
}

/// Whether the service has the name that Compose gives to an image without one.
fn is_default_name(project: &SessionName, service: &Service) -> bool {
    service.image == format!("{project}-{}", service.name)
}

/// Plans how to come by every image.
pub fn images(request: &Request<'_>, world: &World) -> Result<Images, PlanError> {
    let mut names = BTreeMap::new();
    let mut steps = Vec::new();
    let mut users: BTreeMap<&str, Vec<&Service>> = BTreeMap::new();
    for service in request.project.services.values() {
        users.entry(&service.image).or_default().push(service);
    }
    for services in users.into_values() {
        let (name, step) = Wanted::new(request, world, &services).decide()?;
        for service in &services {
            names.insert(service.name.clone(), name.clone());
        }
        steps.extend(step);
    }
    let plan = in_order(steps, &names)?;
    Ok(Images { plan, names })
}

/// Puts steps in an order in which every build comes after those whose images it starts
/// from, and an archive is opened for one image at a time.
fn in_order(
    mut steps: Vec<Step>,
    names: &BTreeMap<ServiceName, String>,
) -> Result<Plan, PlanError> {
    let mut plan = Plan::default();
    let mut nodes: BTreeMap<String, NodeId> = BTreeMap::new();
    while !steps.is_empty() {
        let open: BTreeSet<String> = steps
            .iter()
            .map(|step| step.0.target().to_owned())
            .collect();
        let is_free = |(action, _): &Step| !bases(action, names).iter().any(|it| open.contains(it));
        let (free, waiting): (Vec<_>, Vec<_>) = steps.into_iter().partition(is_free);
        if free.is_empty() {
            let images = open.into_iter().collect();
            return Err(PlanError::BuildCycle { images });
        }
        for (action, cause) in free {
            let archive = match &action {
                Action::LoadImage { archive, .. } => Some(archive.display().to_string()),
                _ => None,
            };
            let before = bases(&action, names).into_iter().chain(archive.clone());
            let needs = before
                .filter_map(|it| nodes.get(&it).copied())
                .map(must)
                .collect();
            let image = action.target().to_owned();
            let node = plan.add(with_bases(action, names), needs, cause);
            nodes.extend(
                [Some(image), archive]
                    .into_iter()
                    .flatten()
                    .map(|key| (key, node)),
            );
        }
        steps = waiting;
    }
    Ok(plan)
}

/// The images of other services that a build starts from.
fn bases(action: &Action, names: &BTreeMap<ServiceName, String>) -> Vec<String> {
    let Action::BuildImage { spec, .. } = action else {
        return Vec::new();
    };
    let contexts = spec.build.additional_contexts.values();
    let services = contexts.filter_map(|context| match context {
        BuildContext::Service(service) => Some(service),
        _ => None,
    });
    services.filter_map(|it| names.get(it).cloned()).collect()
}

/// An engine knows images, not services.
fn with_bases(mut action: Action, names: &BTreeMap<ServiceName, String>) -> Action {
    if let Action::BuildImage { spec, .. } = &mut action {
        for context in spec.build.additional_contexts.values_mut() {
            if let BuildContext::Service(service) = context
                && let Some(name) = names.get(service)
            {
                *context = BuildContext::Image(name.clone());
            }
        }
    }
    action
}

/// An image that services want, and what is known about it.
struct Wanted<'a> {
    request: &'a Request<'a>,
    services: &'a [&'a Service],
    name: &'a str,
    /// How to build it, and the name that it has then.
    build: Option<(&'a Service, &'a Build, String)>,
    archive: Option<&'a PathBuf>,
    there: Option<&'a Image>,
    built: Option<&'a Image>,
}

type Step = (Action, &'static str);

impl<'a> Wanted<'a> {
    /// `services` are those that name the same image; there is at least one.
    fn new(request: &'a Request<'a>, world: &'a World, services: &'a [&'a Service]) -> Self {
        let project = request.project;
        let name = services[0].image.as_str();
        let build = services.iter().find_map(|service| {
            let build = service.build.as_ref()?;
            Some((*service, build, built_name(project, service)))
        });
        Self {
            request,
            services,
            name,
            archive: project.stackrun.images.get(name),
            there: world.images.get(name),
            built: build.as_ref().and_then(|(_, _, own)| world.images.get(own)),
            build,
        }
    }

    /// The image's name, and what has to be done for it to be there.
    fn decide(&self) -> Result<(String, Option<Step>), PlanError> {
        if let (Some((service, build, own)), Some(cause)) = (&self.build, self.build_cause()) {
            let action = Action::BuildImage {
                spec: Box::new(self.build_spec(service, build, own)),
                services: self.names(),
            };
            return Ok((own.clone(), Some((action, cause))));
        }
        let found = self.found();
        if let (None, Some(archive)) = (&found, self.archive) {
            let action = Action::LoadImage {
                reference: self.name.to_owned(),
                archive: archive.clone(),
                services: self.names(),
            };
            return Ok((self.name.to_owned(), Some((action, "not found"))));
        }
        let step = self.pull(found.is_some())?;
        let name = found.filter(|_| step.is_none());
        Ok((name.unwrap_or_else(|| self.name.to_owned()), step))
    }

    /// Why the image is built, if it is to be.
    fn build_cause(&self) -> Option<&'static str> {
        let is_missing = || self.found().is_none() && self.archive.is_none();
        match self.request.images.build {
            Some(true) => Some("a build is asked for"),
            Some(false) => None,
            None if self.policy() == Some(PullPolicy::Build) => Some("`pull_policy: build`"),
            None => is_missing().then_some("not found"),
        }
    }

    fn build_spec(&self, service: &Service, build: &Build, own: &str) -> BuildSpec {
        let project = self.request.project;
        BuildSpec {
            image: own.to_owned(),
            // Further names would be taken from what another checkout has built.
            build: Build {
                tags: Vec::new(),
                ..build.clone()
            },
            platform: service.platform.clone(),
            labels: Labels::from([
                (label::PROJECT.to_owned(), project.name.to_string()),
                (
                    label::DIRECTORY.to_owned(),
                    project.directory.display().to_string(),
                ),
            ]),
        }
    }

    /// The name under which the image is there: of one that was built here and one that
    /// came from elsewhere, the younger.
    fn found(&self) -> Option<String> {
        let own = self.build.as_ref().map(|(_, _, own)| own);
        match (own, self.built, self.there) {
            (Some(own), Some(built), Some(there)) if built.created >= there.created => {
                Some(own.clone())
            }
            (Some(own), Some(_), None) => Some(own.clone()),
            (_, _, Some(_)) => Some(self.name.to_owned()),
            _ => None,
        }
    }

    fn pull(&self, is_there: bool) -> Result<Option<Step>, PlanError> {
        let cause = match self.policy() {
            // What can be built here is not fetched anew behind its author's back.
            Some(PullPolicy::Always) if is_there && self.build.is_none() => "pulled every time",
            Some(PullPolicy::Every(period))
                if is_there && self.build.is_none() && self.is_older(period) =>
            {
                "older than its `pull_policy` allows"
            }
            _ if is_there => return Ok(None),
            Some(PullPolicy::Never) => return Err(self.missing("pulling is ruled out")),
            _ if self.is_nameless() => return Err(self.missing("`--no-build` is given")),
            _ => "not found",
        };
        let action = Action::PullImage {
            reference: self.name.to_owned(),
            platform: self.services.iter().find_map(|s| s.platform.clone()),
            services: self.names(),
        };
        Ok(Some((action, cause)))
    }

    /// No `image` is given: nobody else can have it.
    fn is_nameless(&self) -> bool {
        let project = &self.request.project.name;
        self.services
            .iter()
            .any(|service| is_default_name(project, service))
    }

    fn policy(&self) -> Option<PullPolicy> {
        let of_services = self.services.iter().find_map(|s| s.pull_policy);
        self.request.images.pull.or(of_services)
    }

    fn is_older(&self, period: std::time::Duration) -> bool {
        let Some(tagged) = self.there.and_then(|image| image.tagged) else {
            return true;
        };
        let age = self.request.images.now.duration_since(tagged);
        SignedDuration::try_from(period).is_ok_and(|period| age > period)
    }

    fn missing(&self, why: &'static str) -> PlanError {
        PlanError::ImageMissing {
            image: self.name.to_owned(),
            services: self.names(),
            why,
        }
    }

    fn names(&self) -> Vec<ServiceName> {
        self.services.iter().map(|s| s.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
