//! Volumes.

use bollard::{models::VolumeCreateRequest, query_parameters::RemoveVolumeOptions};

use crate::{engine::Result, spec::VolumeSpec};

use super::call::{ORDINARY, call, gone_is_fine};

/// Creates a volume, unless there is one of that name.
pub(super) async fn create(client: &bollard::Docker, spec: &VolumeSpec) -> Result<()> {
    let attempted = format!("create volume `{}`", spec.name);
    let request = VolumeCreateRequest {
        name: Some(spec.name.clone()),
        driver: spec.driver.clone(),
        driver_opts: Some(spec.driver_opts.clone().into_iter().collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        ..VolumeCreateRequest::default()
    };
    call(&attempted, ORDINARY, client.create_volume(request)).await?;
    Ok(())
}

/// Removes a volume.
pub(super) async fn remove(client: &bollard::Docker, name: &str) -> Result<()> {
    let attempted = format!("remove volume `{name}`");
    let options = None::<RemoveVolumeOptions>;
    gone_is_fine(call(&attempted, ORDINARY, client.remove_volume(name, options)).await)
}
