//! What Podman has to be told in other words than Docker when a container is created.

use std::path::Path;

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};

use crate::{
    engine::{Result, docker::Docker},
    spec::{ContainerSpec, Healthcheck},
};

use super::{call::refused, container::DEFAULT_GRACE, create, healthcheck, libpod};

/// The body that has Podman do what Docker does at `body`.
pub(super) async fn adapted(
    docker: &Docker,
    spec: &ContainerSpec,
    mut body: ContainerCreateBody,
) -> Result<ContainerCreateBody> {
    // Podman 4.3 takes silence for no grace at all: a stop would be a kill.
    let grace = create::whole_seconds(DEFAULT_GRACE);
    body.stop_timeout.get_or_insert(grace);
    if let Some(host) = &mut body.host_config {
        if docker.info.local {
            refuse_missing_sources(spec, host)?;
        }
        nocopy_by_line(host);
    }
    if let Some(check) = spec.healthcheck.as_ref().filter(|it| it.test.is_none()) {
        let image = libpod::image_healthcheck(&docker.info.endpoint, &spec.service.image).await?;
        let check = completed(check.clone(), image.unwrap_or_default());
        body.healthcheck = Some(healthcheck::to_engine(&check, false));
    }
    Ok(body)
}

/// Podman 4.3 creates a directory wherever the source of a bind is missing; Docker does so
/// for those that are given as lines only.
fn refuse_missing_sources(spec: &ContainerSpec, host: &HostConfig) -> Result<()> {
    let mounts = host.mounts.iter().flatten();
    let mut binds = mounts.filter(|mount| mount.typ == Some(MountType::BIND));
    let missing = binds.find_map(|mount| {
        let source = mount.source.as_deref()?;
        (!Path::new(source).exists()).then_some(source)
    });
    match missing {
        None => Ok(()),
        Some(source) => Err(refused(
            &format!("create container `{}`", spec.name),
            400,
            format!("bind source path does not exist: {source}"),
        )),
    }
}

/// Where a check has no test, Podman 4.3 takes the image's as a whole; Docker takes what
/// is missing.
fn completed(check: Healthcheck, image: Healthcheck) -> Healthcheck {
    Healthcheck {
        test: check.test.or(image.test),
        interval: check.interval.or(image.interval),
        timeout: check.timeout.or(image.timeout),
        retries: check.retries.or(image.retries),
        start_period: check.start_period.or(image.start_period),
        start_interval: check.start_interval.or(image.start_interval),
    }
}

/// Podman 4.3 does not read `NoCopy` of a mount, but it does as an option of a line.
fn nocopy_by_line(host: &mut HostConfig) {
    let Some(mounts) = &mut host.mounts else {
        return;
    };
    let lines: Vec<String> = mounts.iter().filter_map(nocopy_line).collect();
    mounts.retain(|mount| nocopy_line(mount).is_none());
    if mounts.is_empty() {
        host.mounts = None;
    }
    if !lines.is_empty() {
        host.binds.get_or_insert_default().extend(lines);
    }
}

/// `source:target:options`, for a volume with a name.
fn nocopy_line(mount: &Mount) -> Option<String> {
    let options = mount.volume_options.as_ref()?;
    let (source, target) = (mount.source.as_ref()?, mount.target.as_ref()?);
    let access = if mount.read_only == Some(true) {
        "ro"
    } else {
        "rw"
    };
    (options.no_copy == Some(true)).then(|| format!("{source}:{target}:{access},nocopy"))
}

#[cfg(test)]
mod tests {
    use bollard::models::MountVolumeOptions;

    use super::*;

    fn volume(source: &str, no_copy: bool) -> Mount {
        Mount {
            source: Some(source.to_owned()),
            target: Some("/data".to_owned()),
            volume_options: Some(MountVolumeOptions {
                no_copy: Some(no_copy),
                ..MountVolumeOptions::default()
            }),
            ..Mount::default()
        }
    }

    #[test]
    fn only_volumes_that_are_not_to_be_filled_become_lines() {
        let mut host = HostConfig {
            mounts: Some(vec![volume("filled", false), volume("empty", true)]),
            binds: Some(vec!["/a:/b:rw".to_owned()]),
            ..HostConfig::default()
        };
        nocopy_by_line(&mut host);
        assert_eq!(host.mounts, Some(vec![volume("filled", false)]));
        let lines = ["/a:/b:rw", "empty:/data:rw,nocopy"].map(str::to_owned);
        assert_eq!(host.binds, Some(lines.to_vec()));
    }

    #[test]
    fn what_a_check_does_not_say_is_the_image_s() {
        let image = Healthcheck {
            retries: Some(2),
            interval: Some(std::time::Duration::from_secs(1)),
            ..Healthcheck::default()
        };
        let check = Healthcheck {
            retries: Some(9),
            ..Healthcheck::default()
        };
        let expected = Healthcheck {
            retries: Some(9),
            ..image.clone()
        };
        assert_eq!(completed(check, image), expected);
    }
}
