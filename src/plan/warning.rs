//! What the file asks for and does not get, or gets in another way: said once for the
//! project, before anything happens.

use crate::{
    engine::Capabilities,
    spec::{Project, RestartPolicy, Service},
    text,
};

use super::{address, files, shared::shared};

/// Everything that there is to say before anything happens.
pub(super) fn warnings(project: &Project, capabilities: Capabilities) -> Vec<String> {
    let mut warnings: Vec<String> = shared(project).iter().map(ToString::to_string).collect();
    warnings.extend(address::warnings(project));
    warnings.extend(files::warnings(project));
    warnings.extend(restart(project));
    warnings.extend(project.services.values().filter_map(logging));
    warnings.extend(project.services.values().filter_map(links));
    warnings.extend(too_new(project, capabilities));
    warnings
}

/// The names of the services of which something is true.
fn names(project: &Project, is_true: impl Fn(&Service) -> bool) -> Option<String> {
    let services = project.services.values().filter(|service| is_true(service));
    let names: Vec<_> = services.map(|service| &service.name).collect();
    (!names.is_empty()).then(|| text::list(names))
}

fn restart(project: &Project) -> Option<String> {
    let restarts = |it: &Service| it.restart.is_some_and(|policy| policy != RestartPolicy::No);
    let names = names(project, restarts)?;
    Some(format!(
        "`restart` is turned off, so that the first exit of a container is seen and reported \
         instead of being retried behind it: {names}"
    ))
}

/// The engine can read back what these drivers keep. Since Docker 20.10 it keeps a copy
/// for the others too, unless that is disabled, but a short one.
fn logging(service: &Service) -> Option<String> {
    const READABLE: [&str; 3] = ["json-file", "local", "journald"];
    let driver = service.logging.as_ref()?.driver.as_deref()?;
    if READABLE.contains(&driver) {
        return None;
    }
    let kept = match driver {
        "none" => "nothing",
        _ => "at most what it has cached",
    };
    Some(format!(
        "`{}` logs to `{driver}`, from which the engine reads back {kept}: the log files and \
         what is shown while stackrun is attached are complete, but `stackrun logs` of a \
         detached session misses what was written after it was detached",
        service.name
    ))
}

fn links(service: &Service) -> Option<String> {
    let has_alias = service.links.iter().any(|link| link.contains(':'));
    let has_any = has_alias || !service.external_links.is_empty();
    (has_any && service.network_mode.is_some()).then(|| {
        format!(
            "the links of `{}` have no effect: they belong to networks, and it has a \
             `network_mode`",
            service.name
        )
    })
}

/// Keys that only newer engines know.
fn too_new(project: &Project, can: Capabilities) -> Vec<String> {
    let any = |service: &Service, is_true: fn(&crate::spec::NetworkAttachment) -> bool| {
        service.networks.values().any(is_true)
    };
    let has_several = |service: &Service| {
        let mut networks: Vec<_> = service.networks.values().collect();
        networks.sort_by_key(|it| std::cmp::Reverse(it.priority));
        networks.iter().skip(1).any(|it| it.mac_address.is_some())
    };
    let mut warnings = Vec::new();
    let mut say = |can: bool, key: &str, version: &str, names: Option<String>| {
        if let (false, Some(names)) = (can, names) {
            warnings.push(format!(
                "{key} takes Docker API {version}, so it has no effect on this engine: {names}"
            ));
        }
    };
    let annotated = names(project, |it| !it.annotations.is_empty());
    say(can.annotations, "`annotations`", "1.43", annotated);
    let several = names(project, has_several);
    let key = "`mac_address` in any network but the first";
    say(can.endpoint_mac_address, key, "1.44", several);
    let chosen = names(project, |it| any(it, |it| it.gateway_priority.is_some()));
    say(can.gateway_priority, "`gw_priority`", "1.48", chosen);
    let named = names(project, |it| any(it, |it| it.interface_name.is_some()));
    say(can.interface_names, "`interface_name`", "1.49", named);
    warnings
}
