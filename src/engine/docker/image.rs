//! Images.

use bollard::{
    models::{CreateImageInfo, ImageInspect},
    query_parameters::CreateImageOptions,
};
use futures::{StreamExt, stream::BoxStream};

use crate::{
    engine::{Image, PullProgress, Result, docker::Docker},
    spec::Protocol,
};

use super::{
    Credentials,
    call::{ORDINARY, call, engine_error},
    container::{moment, parse_port},
    healthcheck, libpod,
};

/// Looks an image up in the local store.
pub(super) async fn inspect(docker: &Docker, reference: &str) -> Result<Option<Image>> {
    let attempted = format!("inspect image `{reference}`");
    let request = docker.client.inspect_image(reference);
    let mut image = match call(&attempted, ORDINARY, request).await {
        Ok(inspected) => image(inspected),
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    if docker.is_podman() {
        image.healthcheck = libpod::image_healthcheck(&docker.info.endpoint, reference).await?;
    }
    Ok(Some(image))
}

/// Pulls an image, with the credentials for its registry if there are any.
pub(super) async fn pull(
    client: &bollard::Docker,
    credentials: &Credentials,
    reference: &str,
    platform: Option<&str>,
) -> BoxStream<'static, Result<PullProgress>> {
    let attempted = format!("pull image `{reference}`");
    let options = CreateImageOptions {
        from_image: Some(with_tag(reference)),
        platform: platform.unwrap_or_default().to_owned(),
        ..CreateImageOptions::default()
    };
    let login = credentials.for_image(reference).await;
    client
        .create_image(Some(options), None, login)
        .map(move |step| {
            step.map(progress)
                .map_err(|error| engine_error(&attempted, error))
        })
        .boxed()
}

/// Without a tag, the engine would pull all there are.
fn with_tag(reference: &str) -> String {
    let name = reference.rsplit('/').next().unwrap_or(reference);
    if name.contains([':', '@']) {
        reference.to_owned()
    } else {
        format!("{reference}:latest")
    }
}

fn progress(step: CreateImageInfo) -> PullProgress {
    let bytes = step.progress_detail.and_then(|detail| {
        let done = u64::try_from(detail.current?).ok()?;
        let total = u64::try_from(detail.total?).ok()?;
        Some((done, total))
    });
    PullProgress {
        layer: step.id,
        status: step.status.unwrap_or_default(),
        bytes,
    }
}

fn image(inspected: ImageInspect) -> Image {
    let config = inspected.config.unwrap_or_default();
    let ports = config.exposed_ports.unwrap_or_default();
    let mut exposed_ports: Vec<u16> = ports
        .iter()
        .filter_map(|port| parse_port(port))
        .filter(|(_, protocol)| *protocol == Protocol::Tcp)
        .map(|(number, _)| number)
        .collect();
    exposed_ports.sort_unstable();
    Image {
        id: inspected.id.unwrap_or_default(),
        healthcheck: config.healthcheck.map(healthcheck::from_engine),
        exposed_ports,
        size: inspected
            .size
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or_default(),
        created: inspected.created.as_deref().and_then(moment),
        tagged: inspected
            .metadata
            .and_then(|metadata| metadata.last_tag_time)
            .as_deref()
            .and_then(moment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_image_is_pulled() {
        let pulled = ["redis", "redis:7", "host:5000/redis", "redis@sha256:12"].map(with_tag);
        assert_eq!(
            pulled,
            [
                "redis:latest",
                "redis:7",
                "host:5000/redis:latest",
                "redis@sha256:12"
            ]
        );
    }
}
