//! What the engine is.

use bollard::models::{SystemInfo, SystemVersion};
use jiff::Timestamp;

use super::{
    call::{ORDINARY, call, refused},
    libpod,
};
use crate::engine::{Capabilities, EngineInfo, EngineKind, Result};

/// Agrees on the lower of our version of the API and the engine's, and asks the engine
/// what it is.
pub(super) async fn greet(
    client: bollard::Docker,
    endpoint: &str,
) -> Result<(bollard::Docker, EngineInfo)> {
    let attempted = "ask the engine for its version";
    let client = call(attempted, ORDINARY, client.negotiate_version()).await?;
    let (version, system, podman) = tokio::try_join!(
        call(attempted, ORDINARY, client.version()),
        system_info(&client),
        libpod::host(endpoint),
    )?;
    let info = engine_info(&client, endpoint, version, system, podman);
    Ok((client, info))
}

/// Whether this minor version of API 1 was agreed upon, or a later one.
pub(super) fn speaks(client: &bollard::Docker, minor: usize) -> bool {
    let version = client.client_version();
    (version.major_version, version.minor_version) >= (1, minor)
}

/// The engine's clock.
pub(super) async fn now(client: &bollard::Docker) -> Result<Timestamp> {
    let time = system_info(client).await?.system_time.unwrap_or_default();
    time.parse().map_err(|_| {
        let message = format!("it says `{time}`");
        refused("read the engine's clock", 200, message)
    })
}

async fn system_info(client: &bollard::Docker) -> Result<SystemInfo> {
    call("ask the engine what it is", ORDINARY, client.info()).await
}

fn engine_info(
    client: &bollard::Docker,
    endpoint: &str,
    version: SystemVersion,
    system: SystemInfo,
    podman: Option<libpod::Host>,
) -> EngineInfo {
    let security = system.security_options.as_deref().unwrap_or_default();
    let rootless = security.iter().any(|option| option == "name=rootless");
    let kernel = system.kernel_version.clone().unwrap_or_default();
    let shares_kernel = is_local(endpoint, &kernel, system.operating_system.as_deref());
    let kind = match podman {
        Some(_) => EngineKind::Podman,
        None => EngineKind::Docker,
    };
    EngineInfo {
        kind,
        endpoint: endpoint.to_owned(),
        api_version: client.client_version().to_string(),
        platform: format!(
            "{}/{}",
            version.os.as_deref().unwrap_or("unknown"),
            version.arch.as_deref().unwrap_or("unknown"),
        ),
        cgroup_version: system
            .cgroup_version
            .and_then(|version| version.to_string().parse().ok()),
        rootless,
        // Without root, its networks are in a namespace of their own, where the host's
        // routes do not matter.
        local: !rootless && shares_kernel,
        capabilities: Capabilities {
            annotations: speaks(client, 43),
            endpoint_mac_address: speaks(client, 44),
            start_interval: speaks(client, 44),
            volume_subpath: speaks(client, 45),
            image_mounts: speaks(client, 48),
            gateway_priority: speaks(client, 48),
            interface_names: speaks(client, 49),
            // Podman leaves it to timers of systemd, and says nothing where there are
            // none.
            health_by_itself: podman.is_none() || !shares_kernel || has_systemd(),
            // Docker has it since 18.09, though not for Windows containers.
            buildkit: cfg!(feature = "buildkit")
                && kind == EngineKind::Docker
                && speaks(client, 39)
                && version.os.as_deref() != Some("windows")
                && ["unix:", "tcp:", "http:"]
                    .iter()
                    .any(|scheme| endpoint.starts_with(scheme)),
        },
        resolves_names: match &podman {
            None => Some(true),
            Some(host) => shares_kernel.then(|| host.resolves_names()),
        },
        version: version.version.unwrap_or_default(),
        storage_driver: system.driver.unwrap_or_default(),
        logging_driver: match podman {
            Some(host) => host.log_driver,
            None => system.logging_driver.unwrap_or_default(),
        },
        kernel,
    }
}

/// Source: `sd_booted(3)`.
fn has_systemd() -> bool {
    std::path::Path::new("/run/systemd/system").exists()
}

/// A socket alone proves nothing: it may be forwarded, or lead into the virtual machine
/// of Docker Desktop. The same kernel does, short of Docker Desktop under WSL.
fn is_local(endpoint: &str, kernel: &str, operating_system: Option<&str>) -> bool {
    let ours = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    endpoint.starts_with("unix://")
        && cfg!(target_os = "linux")
        && !kernel.is_empty()
        && ours.trim() == kernel
        && operating_system != Some("Docker Desktop")
}
