//! What the engine is.

use bollard::models::{SystemInfo, SystemVersion};
use jiff::Timestamp;

use super::call::{ORDINARY, call, refused};
use crate::engine::{Capabilities, EngineInfo, EngineKind, Result};

/// Agrees on the lower of our version of the API and the engine's, and asks the engine
/// what it is.
pub(super) async fn greet(
    client: bollard::Docker,
    endpoint: &str,
) -> Result<(bollard::Docker, EngineInfo)> {
    let attempted = "ask the engine for its version";
    let client = call(attempted, ORDINARY, client.negotiate_version()).await?;
    let (version, system) = tokio::try_join!(
        call(attempted, ORDINARY, client.version()),
        system_info(&client),
    )?;
    let info = engine_info(&client, endpoint, version, system);
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
) -> EngineInfo {
    let security = system.security_options.as_deref().unwrap_or_default();
    let rootless = security.iter().any(|option| option == "name=rootless");
    let kernel = system.kernel_version.clone().unwrap_or_default();
    let kind = kind(&version);
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
        local: !rootless && is_local(endpoint, &kernel, system.operating_system.as_deref()),
        capabilities: Capabilities {
            start_interval: speaks(client, 44),
            volume_subpath: speaks(client, 45),
            // Docker has it since 18.09, though not for Windows containers.
            buildkit: cfg!(feature = "buildkit")
                && kind == EngineKind::Docker
                && speaks(client, 39)
                && version.os.as_deref() != Some("windows")
                && ["unix:", "tcp:", "http:"]
                    .iter()
                    .any(|scheme| endpoint.starts_with(scheme)),
        },
        version: version.version.unwrap_or_default(),
        storage_driver: system.driver.unwrap_or_default(),
        logging_driver: system.logging_driver.unwrap_or_default(),
        kernel,
    }
}

fn kind(version: &SystemVersion) -> EngineKind {
    let components = version.components.iter().flatten();
    let is_podman = components
        .into_iter()
        .any(|part| part.name.contains("Podman"));
    if is_podman {
        EngineKind::Podman
    } else {
        EngineKind::Docker
    }
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
