//! What BuildKit is asked for, in the attributes of its Dockerfile frontend.

use std::{collections::HashMap, net::IpAddr};

use bollard_buildkit_proto::moby::buildkit::v1::{CacheOptions, CacheOptionsEntry, SolveRequest};

use crate::{
    engine::{
        Result,
        docker::{
            Docker,
            build::{Attempt, further, labels, names, platform},
            call::{ORDINARY, call, refused},
        },
    },
    spec::{BuildContext, BuildSpec},
};

use super::{
    files::{self, DOCKERFILE},
    random_name,
};

type Attributes = HashMap<String, String>;

/// The request for a build, with names of its own for the build and its session.
pub(super) async fn solve(
    engine: &Docker,
    spec: &BuildSpec,
    attempt: &Attempt,
) -> Result<SolveRequest> {
    let exporter = [("name".to_owned(), names(spec).join(","))];
    let mut attributes = steps(spec, attempt)?;
    attributes.extend(sources(spec));
    attributes.extend(platform(engine, spec).map(|it| ("platform".to_owned(), it)));
    if !spec.build.extra_hosts.is_empty() {
        attributes.insert("add-hosts".to_owned(), hosts(engine, spec).await?);
    }
    if !spec.build.additional_contexts.is_empty() {
        require_contexts(engine, attempt)?;
    }
    Ok(SolveRequest {
        r#ref: random_name(),
        session: random_name(),
        frontend: "dockerfile.v0".to_owned(),
        frontend_attrs: attributes,
        // Docker's own exporter: into the store of its images.
        exporter_deprecated: "moby".to_owned(),
        exporter_attrs_deprecated: exporter.into(),
        cache: Some(CacheOptions {
            imports: caches(&spec.build.cache_from, attempt)?,
            exports: caches(&spec.build.cache_to, attempt)?,
            ..CacheOptions::default()
        }),
        entitlements: entitlements(spec),
        ..SolveRequest::default()
    })
}

/// Older ones do not know further contexts and would look for them in a registry.
fn require_contexts(engine: &Docker, attempt: &Attempt) -> Result<()> {
    if engine.speaks(42) {
        return Ok(());
    }
    let version = &engine.info.version;
    Err(attempt.unsupported(format!(
        "`additional_contexts` needs Docker 23 or later, this is {version}"
    )))
}

/// Where the files and the Dockerfile are.
fn sources(spec: &BuildSpec) -> Attributes {
    let build = &spec.build;
    let mut attributes = Attributes::new();
    let mut set = |name: &str, value: String| attributes.insert(name.to_owned(), value);
    match BuildContext::parse(&build.context) {
        BuildContext::Directory(path) if build.dockerfile_inline.is_none() => {
            set("filename", files::dockerfile(&path, spec).1);
        }
        BuildContext::Remote(url) => {
            set("context", url);
            if build.dockerfile_inline.is_some() {
                // Here, and not among what is fetched.
                set("dockerfilekey", DOCKERFILE.to_owned());
            } else if let Some(path) = &build.dockerfile {
                set("filename", path.clone());
            }
        }
        _ => {}
    }
    for (name, context) in further(spec) {
        let place = match context {
            BuildContext::Directory(_) => format!("local:{}", files::named(name)),
            BuildContext::Image(image) => format!("docker-image://{image}"),
            BuildContext::Remote(url) => url.clone(),
            // These have been refused.
            BuildContext::Service(_) | BuildContext::OciLayout(_) => continue,
        };
        set(&format!("context:{name}"), place);
        // A frontend that does not know them has to say so.
        set(
            "frontend.caps",
            "moby.buildkit.frontend.contexts+forward".to_owned(),
        );
    }
    attributes
}

/// How the steps are run.
fn steps(spec: &BuildSpec, attempt: &Attempt) -> Result<Attributes> {
    let build = &spec.build;
    let mut attributes = Attributes::new();
    let mut set = |name: &str, value: String| attributes.insert(name.to_owned(), value);
    if let Some(target) = &build.target {
        set("target", target.clone());
    }
    if build.no_cache {
        set("no-cache", String::new());
    }
    if build.pull {
        set("image-resolve-mode", "pull".to_owned());
    }
    match build.network.as_deref() {
        None | Some("default" | "bridge") => {}
        Some(mode @ ("host" | "none")) => drop(set("force-network-mode", mode.to_owned())),
        Some(other) => {
            let why = format!("BuildKit knows the networks `host` and `none`, not `{other}`");
            return Err(attempt.unsupported(why));
        }
    }
    if let Some(bytes) = build.shm_size {
        set("shm-size", bytes.to_string());
    }
    if !build.ulimits.is_empty() {
        let limits = build.ulimits.iter();
        let limits = limits.map(|(name, it)| format!("{name}={}:{}", it.soft, it.hard));
        set("ulimit", limits.collect::<Vec<_>>().join(","));
    }
    for (name, value) in &build.args {
        set(&format!("build-arg:{name}"), value.clone());
    }
    for (name, value) in labels(spec) {
        set(&format!("label:{name}"), value.clone());
    }
    Ok(attributes)
}

/// `name=address,…`. The engine alone knows how it is reached itself.
async fn hosts(engine: &Docker, spec: &BuildSpec) -> Result<String> {
    let mut hosts = Vec::new();
    for host in &spec.build.extra_hosts {
        match host.strip_suffix("=host-gateway") {
            Some(name) => hosts.push(format!("{name}={}", gateway(engine).await?)),
            None => hosts.push(host.clone()),
        }
    }
    Ok(hosts.join(","))
}

/// The host's address in the engine's default network.
async fn gateway(engine: &Docker) -> Result<IpAddr> {
    let attempted = "find out the host's address";
    let request = engine.client.inspect_network("bridge", None);
    let network = call(attempted, ORDINARY, request).await?;
    let pools = network
        .ipam
        .and_then(|ipam| ipam.config)
        .unwrap_or_default();
    let mut gateways = pools
        .into_iter()
        .filter_map(|pool| pool.gateway?.parse().ok());
    gateways.next().ok_or_else(|| {
        let message = "its network `bridge` has no gateway".to_owned();
        refused(attempted, 200, message)
    })
}

fn entitlements(spec: &BuildSpec) -> Vec<String> {
    let build = &spec.build;
    let mut entitlements = build.entitlements.clone();
    if build.network.as_deref() == Some("host") {
        entitlements.push("network.host".to_owned());
    }
    if build.privileged {
        entitlements.push("security.insecure".to_owned());
    }
    entitlements
}

/// An image, or `type=…,key=value,…`.
fn caches(caches: &[String], attempt: &Attempt) -> Result<Vec<CacheOptionsEntry>> {
    let caches = caches.iter();
    caches
        .map(|text| {
            if !text.contains('=') {
                return Ok(CacheOptionsEntry {
                    r#type: "registry".to_owned(),
                    attrs: [("ref".to_owned(), text.clone())].into(),
                });
            }
            let pairs = text
                .split(',')
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            let mut attrs: Attributes = pairs
                .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
                .collect();
            let kind = attrs.remove("type").unwrap_or_default();
            if matches!(kind.as_str(), "" | "local") {
                let why = format!("a cache cannot be `{text}`");
                return Err(attempt.unsupported(why));
            }
            Ok(CacheOptionsEntry {
                r#type: kind,
                attrs,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;
    use crate::spec::{Build, Ulimit};

    fn spec(build: Build) -> BuildSpec {
        BuildSpec {
            image: "app:1".to_owned(),
            build,
            platform: None,
            labels: [("ours".to_owned(), "yes".to_owned())].into(),
        }
    }

    fn attempt() -> Attempt {
        Attempt("build image `app:1`".to_owned())
    }

    #[test]
    fn what_steps_are_run_with_is_said() {
        let limit = Ulimit { soft: 10, hard: 20 };
        let attributes = steps(
            &spec(Build {
                args: IndexMap::from([("A".to_owned(), "b=c".to_owned())]),
                labels: IndexMap::from([("ours".to_owned(), "no".to_owned())]),
                network: Some("none".to_owned()),
                shm_size: Some(64),
                ulimits: IndexMap::from([("nofile".to_owned(), limit)]),
                pull: true,
                ..Build::default()
            }),
            &attempt(),
        );
        let mut attributes: Vec<_> = attributes.expect("attributes").into_iter().collect();
        attributes.sort();
        let expected = [
            ("build-arg:A", "b=c"),
            ("force-network-mode", "none"),
            ("image-resolve-mode", "pull"),
            ("label:ours", "yes"),
            ("shm-size", "64"),
            ("ulimit", "nofile=10:20"),
        ];
        assert_eq!(
            attributes,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn a_remote_context_has_its_dockerfile_unless_there_is_a_text() {
        let mut spec = spec(Build {
            context: "https://host.example/app.git".to_owned(),
            dockerfile: Some("sub/Dockerfile".to_owned()),
            ..Build::default()
        });
        assert_eq!(sources(&spec)["filename"], "sub/Dockerfile");
        spec.build.dockerfile_inline = Some("FROM scratch".to_owned());
        assert_eq!(sources(&spec)["dockerfilekey"], DOCKERFILE);
    }

    #[test]
    fn further_contexts_are_named() {
        let spec = spec(Build {
            context: "/app".to_owned(),
            additional_contexts: IndexMap::from([
                ("os".to_owned(), BuildContext::Image("os:1".to_owned())),
                ("lib".to_owned(), BuildContext::Directory("/lib".into())),
            ]),
            ..Build::default()
        });
        let attributes = sources(&spec);
        assert_eq!(attributes["context:os"], "docker-image://os:1");
        assert_eq!(attributes["context:lib"], "local:named-lib");
        assert!(attributes.contains_key("frontend.caps"));
    }

    #[test]
    fn a_cache_is_an_image_or_a_list_of_settings() {
        let texts = [
            "app:cache",
            "type=registry,ref=app:1,mode=max",
            "type=inline",
        ];
        let found = caches(&texts.map(str::to_owned), &attempt()).expect("caches");
        let kinds: Vec<_> = found.iter().map(|cache| cache.r#type.as_str()).collect();
        assert_eq!(kinds, ["registry", "registry", "inline"]);
        assert_eq!(found[0].attrs["ref"], "app:cache");
        assert_eq!(found[1].attrs["mode"], "max");
        let error = caches(&["type=local,src=x".to_owned()], &attempt()).expect_err("no cache");
        assert_eq!(
            error.to_string(),
            "could not build image `app:1`: a cache cannot be `type=local,src=x`"
        );
    }
}
