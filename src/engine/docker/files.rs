//! Files that are written into containers.

use bollard::query_parameters::UploadToContainerOptions;

use crate::{engine::Result, spec::desired::TextFile};

use super::call::{ORDINARY, call, refused, shown};

/// Writes files, each with its owner and its permissions. Directories that are missing
/// come into being.
pub(super) async fn write(
    client: &bollard::Docker,
    container: &str,
    files: &[TextFile],
) -> Result<()> {
    let attempted = format!("write files into container `{}`", shown(container));
    let archive = archive(files).map_err(|error| refused(&attempted, 400, error.to_string()))?;
    let options = UploadToContainerOptions {
        path: "/".to_owned(),
        ..UploadToContainerOptions::default()
    };
    let body = bollard::body_full(archive.into());
    let request = client.upload_to_container(container, Some(options), body);
    call(&attempted, ORDINARY, request).await
}

fn archive(files: &[TextFile]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let text = file.text.expose().as_bytes();
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.uid);
        header.set_gid(file.gid);
        header.set_entry_type(tar::EntryType::Regular);
        archive.append_data(&mut header, file.target.trim_start_matches('/'), text)?;
    }
    archive.into_inner()
}
