//! Whether a project hangs together: everything that is referred to is there, nothing
//! depends on itself, and no two settings contradict each other.
//!
//! Only enabled services are checked, as in Compose.

use std::collections::{BTreeMap, HashMap};

use super::{
    defaults::resources,
    diagnostic::Problem,
    node::{Map, Node, Span},
};

/// Checks a normalised project. `disabled` are the names of the services whose
/// profiles are not active, with these profiles.
pub(super) fn check(project: &Map, disabled: &BTreeMap<String, Vec<String>>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, key, service) in resources(project, "services") {
        let check = Check {
            project,
            disabled,
            name,
            key,
            service,
        };
        check.all(&mut problems);
    }
    problems.extend(duplicate_container_names(project));
    if problems.is_empty() {
        problems.extend(cycle(project));
    }
    problems
}

struct Check<'a> {
    project: &'a Map,
    disabled: &'a BTreeMap<String, Vec<String>>,
    name: &'a str,
    key: Span,
    service: &'a Node,
}

impl<'a> Check<'a> {
    fn all(&self, problems: &mut Vec<Problem>) {
        problems.extend(self.image());
        problems.extend(self.networks());
        problems.extend(self.dependencies());
        problems.extend(self.volumes());
        problems.extend(self.grants(self.service, "configs", "configs", "config"));
        problems.extend(self.grants(self.service, "secrets", "secrets", "secret"));
        if let Some(build) = self.service.get("build") {
            problems.extend(self.grants(build, "secrets", "secrets", "build secret"));
            problems.extend(self.build(build));
        }
        problems.extend(self.models());
        problems.extend(self.healthcheck());
        problems.extend(self.distinct_values());
        problems.extend(self.mount_targets());
        problems.extend(self.watch());
    }

    fn list(&self, key: &str) -> &'a [Node] {
        self.service
            .get(key)
            .and_then(Node::as_list)
            .unwrap_or_default()
    }

    fn map(&self, key: &str) -> Option<&'a Map> {
        self.service.get(key).and_then(Node::as_map)
    }

    fn key_of(&self, key: &str) -> Span {
        self.service
            .as_map()
            .and_then(|map| map.key_span(key))
            .unwrap_or(self.key)
    }

    fn image(&self) -> Option<Problem> {
        let image = self
            .service
            .get_str("image")
            .is_some_and(|image| !image.is_empty());
        let has = |key| self.service.get(key).is_some();
        (!image && !has("build") && !has("provider")).then(|| {
            let message = format!("service `{}` has neither `image` nor `build`", self.name);
            Problem::error(self.key, message)
        })
    }

    fn networks(&self) -> Vec<Problem> {
        let name = self.name;
        let Some(networks) = self.map("networks") else {
            return Vec::new();
        };
        let mode = self
            .service
            .get_str("network_mode")
            .is_some_and(|mode| !mode.is_empty());
        if mode && !networks.is_empty() {
            let message = format!("service `{name}` has both `network_mode` and `networks`");
            return vec![
                Problem::error(self.key_of("network_mode"), message)
                    .and(self.key_of("networks"), "the other one"),
            ];
        }
        networks
            .iter()
            .filter_map(|(network, entry)| {
                self.undefined("network", "networks", network, entry.key)
            })
            .collect()
    }

    /// That a resource which the service refers to is not declared, if it is not.
    fn undefined(&self, what: &str, kind: &str, reference: &str, span: Span) -> Option<Problem> {
        let declared = self.project.get(kind).and_then(Node::as_map);
        if declared.is_some_and(|map| map.contains(reference)) {
            return None;
        }
        let name = self.name;
        let message = format!("service `{name}` refers to undefined {what} `{reference}`");
        let known = declared
            .into_iter()
            .flat_map(Map::keys)
            .filter(|key| *key != "default");
        let problem = Problem::error(span, message).suggest(reference, known);
        Some(match problem.help {
            Some(_) => problem,
            None => problem.help(format!("declare it at the top level, under `{kind}:`")),
        })
    }

    fn dependencies(&self) -> Vec<Problem> {
        let services = self.project.get("services").and_then(Node::as_map);
        let known = |name: &str| services.is_some_and(|map| map.contains(name));
        let mut problems = Vec::new();
        for (dependency, entry) in self.map("depends_on").into_iter().flat_map(Map::iter) {
            let required = entry.node.get("required").and_then(Node::as_bool) != Some(false);
            if known(dependency) {
                continue;
            }
            let name = self.name;
            let problem = match self.disabled.get(dependency) {
                Some(_) if !required => continue,
                Some(profiles) => Problem::error(
                    entry.key,
                    format!(
                        "service `{name}` depends on service `{dependency}`, which is disabled"
                    ),
                )
                .help(format!(
                    "activate one of its profiles: `{}`",
                    profiles.join("`, `")
                )),
                None => Problem::error(
                    entry.key,
                    format!("service `{name}` depends on undefined service `{dependency}`"),
                )
                .suggest(dependency, services.into_iter().flat_map(Map::keys)),
            };
            problems.push(problem);
        }
        problems
    }

    fn volumes(&self) -> Vec<Problem> {
        let volumes = self
            .list("volumes")
            .iter()
            .filter(|it| it.get_str("type") == Some("volume"));
        volumes
            .filter_map(|mount| mount.get("source"))
            .filter_map(|source| Some((source.as_str().filter(|it| !it.is_empty())?, source.span)))
            .filter_map(|(source, span)| self.undefined("volume", "volumes", source, span))
            .collect()
    }

    fn grants(&self, of: &Node, key: &str, kind: &str, what: &str) -> Vec<Problem> {
        let grants = of.get(key).and_then(Node::as_list).unwrap_or_default();
        grants
            .iter()
            .filter_map(|grant| {
                let source = grant.get("source").unwrap_or(grant);
                self.undefined(what, kind, source.as_str().unwrap_or_default(), source.span)
            })
            .collect()
    }

    fn models(&self) -> Vec<Problem> {
        let models = self.map("models").into_iter().flat_map(Map::iter);
        models
            .filter_map(|(model, entry)| self.undefined("model", "models", model, entry.key))
            .collect()
    }

    fn build(&self, build: &Node) -> Vec<Problem> {
        let name = self.name;
        let place = |key| {
            build
                .as_map()
                .and_then(|map| map.key_span(key))
                .unwrap_or(self.key)
        };
        let mut problems = Vec::new();
        let text = |key| build.get_str(key).filter(|text| !text.is_empty());
        if text("dockerfile").is_some() && text("dockerfile_inline").is_some() {
            let message = format!("the build of service `{name}` has two Dockerfiles");
            problems.push(
                Problem::error(place("dockerfile_inline"), message)
                    .and(place("dockerfile"), "the other one"),
            );
        }
        let platforms = build
            .get("platforms")
            .and_then(Node::as_list)
            .unwrap_or_default();
        if let Some(platform) = self.service.get_str("platform")
            && !platforms.is_empty()
            && !platforms.iter().any(|item| item.as_str() == Some(platform))
        {
            let message =
                format!("`build.platforms` of service `{name}` does not have `{platform}`");
            problems.push(
                Problem::error(place("platforms"), message)
                    .and(self.key_of("platform"), "which the service runs on"),
            );
        }
        problems.extend(self.build_contexts(build));
        problems
    }

    /// A build may use what another service builds.
    fn build_contexts(&self, build: &Node) -> Vec<Problem> {
        let contexts = build.get("additional_contexts").and_then(Node::as_map);
        let mut problems = Vec::new();
        for (_, entry) in contexts.into_iter().flat_map(Map::iter) {
            let context = entry.node.as_str().unwrap_or_default();
            let Some(service) = context.strip_prefix("service:") else {
                continue;
            };
            let span = entry.node.span;
            let services = self.project.get("services");
            match services.and_then(|services| services.get(service)) {
                Some(other) if other.get("build").is_some() => {}
                Some(_) => problems.push(Problem::error(
                    span,
                    format!("the build needs service `{service}`, which is not built itself"),
                )),
                None => problems.extend(self.undefined("service", "services", service, span)),
            }
        }
        problems
    }

    fn healthcheck(&self) -> Option<Problem> {
        let test = self.service.get("healthcheck")?.get("test")?;
        let first = test.as_list()?.first()?;
        let word = first.as_str()?;
        (!matches!(word, "CMD" | "CMD-SHELL" | "NONE")).then(|| {
            let message = format!("a health check cannot start with `{word}`");
            Problem::error(first.span, message)
                .help("start the list with `CMD`, `CMD-SHELL` or `NONE`, or write a string")
        })
    }

    /// Settings that exist in a service and in its `deploy` must agree. Where limits
    /// or reservations are given at all, Compose takes a missing one for 0.
    #[expect(clippy::float_cmp, reason = "both were read from text")]
    fn distinct_values(&self) -> Vec<Problem> {
        const TWINS: [(&str, &str, &str); 4] = [
            ("cpus", "limits", "cpus"),
            ("mem_limit", "limits", "memory"),
            ("mem_reservation", "reservations", "memory"),
            ("pids_limit", "limits", "pids"),
        ];
        let deploy = self.service.get("deploy");
        let differ = |key: &str, own: &Node, path: &str, other: Span| {
            let message = format!(
                "`{key}` and `deploy.{path}` of service `{}` differ",
                self.name
            );
            Problem::error(own.span, message).and(other, "the other value")
        };
        let mut problems = Vec::new();
        if let Some(own) = self.service.get("scale")
            && let Some(replicas) = deploy.and_then(|deploy| deploy.get("replicas"))
            && number(own) != number(replicas)
        {
            problems.push(differ("scale", own, "replicas", replicas.span));
        }
        for (key, group, twin_key) in TWINS {
            let Some(own) = self.service.get(key) else {
                continue;
            };
            let resources = deploy.and_then(|deploy| deploy.get("resources"));
            let Some(group_node) = resources.and_then(|it| it.get(group)) else {
                continue;
            };
            let twin = group_node.get(twin_key);
            let value = number(own).unwrap_or_default();
            if value != 0.0 && value != twin.and_then(number).unwrap_or_default() {
                let place = twin.map_or(group_node.span, |twin| twin.span);
                problems.push(differ(
                    key,
                    own,
                    &format!("resources.{group}.{twin_key}"),
                    place,
                ));
            }
        }
        problems.extend(self.unique_container());
        problems
    }

    fn unique_container(&self) -> Option<Problem> {
        let name = self.service.get("container_name")?;
        let replicas = self
            .service
            .get("deploy")
            .and_then(|deploy| deploy.get("replicas"));
        let scale = self.service.get("scale").or(replicas)?;
        let many = scale
            .to_text()?
            .parse::<f64>()
            .is_ok_and(|scale| scale > 1.0);
        many.then(|| {
            let service = self.name;
            let message =
                format!("service `{service}` has several containers but one name for them");
            Problem::error(name.span, message)
                .and(scale.span, "more than one")
                .help("remove `container_name`")
        })
    }

    fn mount_targets(&self) -> Option<Problem> {
        let tmpfs = self.list("tmpfs").iter().filter_map(|item| {
            let path = item.as_str()?.split(':').next()?;
            Some((path.to_owned(), item.span))
        });
        let volumes = self.list("volumes").iter().filter_map(|mount| {
            let target = mount.get("target")?;
            let span = if target.span == Span::NONE {
                mount.span
            } else {
                target.span
            };
            Some((target.as_str()?.to_owned(), span))
        });
        let mut seen = HashMap::new();
        tmpfs.chain(volumes).find_map(|(target, span)| {
            let first = seen.insert(target.clone(), span)?;
            let message = format!("service `{}` mounts `{target}` twice", self.name);
            Some(Problem::error(span, message).and(first, "first here"))
        })
    }

    fn watch(&self) -> Option<Problem> {
        let rules = self.service.get("develop")?.get("watch")?.as_list()?;
        rules.iter().find_map(|rule| {
            let action = rule.get_str("action")?;
            let needs_target = !matches!(action, "rebuild" | "restart");
            (needs_target && rule.get_str("target").is_none_or(str::is_empty)).then(|| {
                let message = format!(
                    "`develop.watch` of service `{}` needs a `target`",
                    self.name
                );
                Problem::error(rule.span, message)
            })
        })
    }
}

/// A number, or a size, which is a string.
fn number(node: &Node) -> Option<f64> {
    node.to_text()?.parse().ok()
}

fn duplicate_container_names(project: &Map) -> Option<Problem> {
    let mut seen = HashMap::new();
    resources(project, "services").find_map(|(service, _, node)| {
        let name = node.get("container_name")?;
        let (other, first) = seen.insert(name.as_str()?, (service, name.span))?;
        let text = name.as_str()?;
        let message =
            format!("services `{other}` and `{service}` both want the container name `{text}`");
        Some(Problem::error(name.span, message).and(first, "first here"))
    })
}

/// The first dependency cycle, named in the order of the dependencies.
fn cycle(project: &Map) -> Option<Problem> {
    let services = project.get("services")?.as_map()?;
    let mut search = CycleSearch {
        services,
        done: HashMap::new(),
        trail: Vec::new(),
    };
    services.keys().find_map(|name| search.visit(name))
}

struct CycleSearch<'a> {
    services: &'a Map,
    /// Services that were seen; true once all they depend on was, too.
    done: HashMap<&'a str, bool>,
    trail: Vec<(&'a str, Span)>,
}

impl<'a> CycleSearch<'a> {
    /// Walks without recursion: a chain of dependencies may be as long as the file.
    fn visit(&mut self, start: &'a str) -> Option<Problem> {
        if self.done.contains_key(start) {
            return None;
        }
        let mut stack = vec![(start, self.dependencies(start))];
        self.done.insert(start, false);
        self.trail = vec![(start, Span::NONE)];
        while let Some((name, pending)) = stack.last_mut() {
            let Some((next, span)) = pending.pop() else {
                self.done.insert(name, true);
                stack.pop();
                self.trail.pop();
                continue;
            };
            match self.done.get(next) {
                Some(true) => {}
                Some(false) => return Some(self.report(next, span)),
                None => {
                    self.done.insert(next, false);
                    self.trail.push((next, span));
                    stack.push((next, self.dependencies(next)));
                }
            }
        }
        None
    }

    fn dependencies(&self, name: &str) -> Vec<(&'a str, Span)> {
        let dependencies = self
            .services
            .get(name)
            .and_then(|it| it.get("depends_on")?.as_map());
        let mut list: Vec<_> = dependencies
            .into_iter()
            .flat_map(Map::iter)
            .filter(|(name, _)| self.services.contains(name))
            .map(|(name, entry)| (name, entry.key))
            .collect();
        // Taken from the end, so that the first one of the file is followed first.
        list.reverse();
        list
    }

    fn report(&self, back_to: &str, span: Span) -> Problem {
        let start = self
            .trail
            .iter()
            .position(|(name, _)| *name == back_to)
            .unwrap_or(0);
        let names = self.trail[start..]
            .iter()
            .map(|(name, _)| *name)
            .chain([back_to]);
        let names: Vec<_> = names.collect();
        Problem::error(span, format!("dependency cycle: {}", names.join(" -> ")))
            .label("closes the cycle")
    }
}
