//! An image as the archive that `docker load` takes, made in memory: no registry, no
//! Dockerfile, no build step in the engine.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A file of the image.
pub struct File<'a> {
    pub path: &'a str,
    pub mode: u32,
    pub content: &'a [u8],
}

/// An archive of images that all have the same files: by tag, the `config` of each.
pub fn images(files: &[File<'_>], configs: &[(String, Value)]) -> Vec<u8> {
    let layer = tar(files);
    let layer_digest = digest(&layer);
    let mut contents = vec![("layer.tar".to_owned(), layer)];
    let mut manifest = Vec::new();
    for (tag, config) in configs {
        let image = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": config,
            // Podman builds on an image only if every layer has its line here.
            "history": [{ "created": "2026-11-23T00:00:00Z", "created_by": "tests" }],
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_digest}")] },
        });
        let image = image.to_string().into_bytes();
        let name = format!("{}.json", digest(&image));
        manifest.push(json!({ "Config": name, "RepoTags": [tag], "Layers": ["layer.tar"] }));
        contents.push((name, image));
    }
    let manifest = Value::from(manifest).to_string().into_bytes();
    contents.push(("manifest.json".to_owned(), manifest));
    let files: Vec<File<'_>> = contents
        .iter()
        .map(|(path, content)| File {
            path,
            mode: 0o644,
            content,
        })
        .collect();
    tar(&files)
}

fn tar(files: &[File<'_>]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(file.mode);
        header.set_size(file.content.len() as u64);
        archive
            .append_data(&mut header, file.path, file.content)
            .expect("a path that fits");
    }
    archive.into_inner().expect("memory")
}

/// The name that images use for the architecture of this machine.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

pub fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
