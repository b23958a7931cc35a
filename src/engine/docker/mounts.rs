//! Volumes, binds and in-memory file systems of a container.
//!
//! The engine has three lists for them. `Mounts` says most; only `Binds` creates a
//! missing directory on the host and relabels for `SELinux`; only `Tmpfs` takes options.

use std::collections::HashMap;

use bollard::models::{Mount, MountBindOptions, MountImageOptions, MountType, MountVolumeOptions};

use crate::{
    engine::Capabilities,
    spec::{
        ContainerSpec, Mount as ServiceMount, MountKind, Recursive, Service, VolumeMount,
        desired::FileBind,
    },
};

/// Named and anonymous volumes, and binds that need nothing special.
pub(super) fn mounts(spec: &ContainerSpec, capabilities: Capabilities) -> Vec<Mount> {
    let named = spec.volumes.iter().map(|mount| named(mount, capabilities));
    let others = spec.service.mounts.iter().filter_map(other);
    let files = spec.file_binds.iter().map(file);
    named.chain(others).chain(files).collect()
}

/// Binds as `source:target:options`.
pub(super) fn binds(service: &Service) -> Vec<String> {
    let mounts = service.mounts.iter();
    mounts.filter_map(bind_line).collect()
}

/// In-memory file systems: their mount options by path in the container.
pub(super) fn tmpfs(service: &Service) -> HashMap<String, String> {
    let mounts = service.mounts.iter();
    mounts
        .filter_map(|mount| Some((mount.target.clone(), tmpfs_options(mount)?)))
        .collect()
}

fn named(mount: &VolumeMount, capabilities: Capabilities) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(mount.volume.clone()),
        target: Some(mount.target.clone()),
        read_only: Some(mount.read_only),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(mount.nocopy),
            subpath: mount
                .subpath
                .clone()
                .filter(|_| capabilities.volume_subpath),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}

fn file(file: &FileBind) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(file.source.display().to_string()),
        target: Some(file.target.clone()),
        read_only: Some(true),
        ..Mount::default()
    }
}

fn other(mount: &ServiceMount) -> Option<Mount> {
    let common = Mount {
        target: Some(mount.target.clone()),
        read_only: Some(mount.read_only),
        ..Mount::default()
    };
    match &mount.kind {
        MountKind::Volume {
            key: None, nocopy, ..
        } => Some(Mount {
            typ: Some(MountType::VOLUME),
            volume_options: Some(MountVolumeOptions {
                no_copy: Some(*nocopy),
                ..MountVolumeOptions::default()
            }),
            ..common
        }),
        MountKind::Image { image, subpath } => Some(Mount {
            typ: Some(MountType::IMAGE),
            source: Some(image.clone()),
            image_options: subpath.as_ref().map(|subpath| MountImageOptions {
                subpath: Some(subpath.clone()),
            }),
            ..common
        }),
        MountKind::Bind {
            source,
            propagation,
            create_host_path,
            recursive,
            ..
        } if !is_line(&mount.kind) => Some(Mount {
            typ: Some(MountType::BIND),
            source: Some(source.display().to_string()),
            bind_options: Some(MountBindOptions {
                propagation: propagation.as_deref().and_then(|it| it.parse().ok()),
                // Engines before API 1.42 do not know it.
                create_mountpoint: create_host_path.then_some(true),
                non_recursive: (*recursive == Some(Recursive::Disabled)).then_some(true),
                read_only_non_recursive: (*recursive == Some(Recursive::Writable)).then_some(true),
                read_only_force_recursive: (*recursive == Some(Recursive::ReadOnly))
                    .then_some(true),
            }),
            ..common
        }),
        _ => None,
    }
}

fn bind_line(mount: &ServiceMount) -> Option<String> {
    let MountKind::Bind {
        source,
        propagation,
        selinux,
        ..
    } = &mount.kind
    else {
        return None;
    };
    if !is_line(&mount.kind) {
        return None;
    }
    let mut options = vec![if mount.read_only { "ro" } else { "rw" }];
    options.extend(selinux.as_deref());
    options.extend(propagation.as_deref());
    Some(format!(
        "{}:{}:{}",
        source.display(),
        mount.target,
        options.join(",")
    ))
}

/// Whether a mount has to be given as a line. A source with a colon cannot be, and a line
/// has no word for mounts below the source.
fn is_line(kind: &MountKind) -> bool {
    let MountKind::Bind {
        source,
        create_host_path,
        selinux,
        recursive,
        ..
    } = kind
    else {
        return false;
    };
    let has_colon = source.as_os_str().as_encoded_bytes().contains(&b':');
    (*create_host_path || selinux.is_some()) && recursive.is_none() && !has_colon
}

fn tmpfs_options(mount: &ServiceMount) -> Option<String> {
    let MountKind::Tmpfs {
        size,
        mode,
        options,
    } = &mount.kind
    else {
        return None;
    };
    let parts = [
        mount.read_only.then(|| "ro".to_owned()),
        size.map(|size| format!("size={size}")),
        mode.map(|mode| format!("mode={mode:o}")),
        options.clone(),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    Some(parts.join(","))
}
