//! The images of an OCI layout, and the form in which engines load them.

use std::{
    collections::{BTreeMap, HashSet},
    io::{self, Read, Write},
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::engine::config::hex;

use super::layout::Layout;

/// How often an index may lead to another one.
const DEEPEST: usize = 4;

/// What the engine can use.
#[derive(Debug)]
pub(super) struct Wanted {
    /// `os/architecture`.
    pub platform: String,
    /// It takes layers that are compressed with zstd.
    pub zstd: bool,
}

/// Images that will be loaded.
#[derive(Debug)]
pub(super) struct Images {
    layout: Layout,
    images: Vec<Image>,
}

#[derive(Debug)]
struct Image {
    name: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl Images {
    /// Finds the images for the engine's platform.
    pub(super) fn read(layout: Layout, wanted: &Wanted) -> io::Result<Self> {
        let index: Index = parse("index.json", &layout.document("index.json")?)?;
        let mut finder = Finder {
            layout: &layout,
            wanted,
            others: Vec::new(),
        };
        let mut images = Vec::new();
        for descriptor in &index.manifests {
            finder.find(descriptor, None, 0, &mut images)?;
        }
        if images.is_empty() {
            let others = finder.others.join(", ");
            let message = format!("it has no image for {}, only for {others}", wanted.platform);
            return Err(io::Error::other(message));
        }
        Ok(Self { layout, images })
    }

    /// Writes them as `docker save` would. Every blob is checked as it goes by; the list
    /// without which nothing is loaded comes last.
    pub(super) fn write(&self, output: impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(output);
        let mut written = HashSet::new();
        for image in &self.images {
            for blob in image.layers.iter().chain([&image.config]) {
                if written.insert(&blob.digest) {
                    self.blob(blob, &mut archive)?;
                }
            }
        }
        let manifest = self.manifest()?;
        let mut header = header(manifest.len() as u64);
        archive.append_data(&mut header, "manifest.json", manifest.as_slice())?;
        archive.into_inner()?.flush()
    }

    fn blob(&self, blob: &Descriptor, archive: &mut tar::Builder<impl Write>) -> io::Result<()> {
        let path = blob.path()?;
        let (file, size) = self.layout.file(&path)?;
        blob.check_size(size)?;
        let mut hashed = Hashed {
            content: file,
            digest: Sha256::new(),
        };
        archive.append_data(&mut header(size), &path, &mut hashed)?;
        blob.check_digest(hashed.digest)
    }

    fn manifest(&self) -> io::Result<Vec<u8>> {
        let mut entries = Vec::new();
        for image in &self.images {
            let layers: io::Result<Vec<String>> =
                image.layers.iter().map(Descriptor::path).collect();
            entries.push(json!({
                "Config": image.config.path()?,
                "RepoTags": image.name.iter().collect::<Vec<_>>(),
                "Layers": layers?,
            }));
        }
        Ok(serde_json::Value::from(entries).to_string().into_bytes())
    }
}

/// Looks for images, from index to index.
struct Finder<'a> {
    layout: &'a Layout,
    wanted: &'a Wanted,
    /// Platforms that were found and not wanted.
    others: Vec<String>,
}

impl Finder<'_> {
    fn find(
        &mut self,
        descriptor: &Descriptor,
        above: Option<&str>,
        depth: usize,
        images: &mut Vec<Image>,
    ) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(io::Error::other("its indexes lead to each other"));
        }
        if !self.is_wanted(descriptor.platform.as_ref()) {
            return Ok(());
        }
        let name = descriptor.name().or(above.map(str::to_owned));
        let text = self.document(descriptor)?;
        if descriptor.is_index() {
            let index: Index = parse(&descriptor.digest, &text)?;
            for inner in &index.manifests {
                self.find(inner, name.as_deref(), depth + 1, images)?;
            }
            return Ok(());
        }
        let manifest: Manifest = parse(&descriptor.digest, &text)?;
        let platform = self.document(&manifest.config)?;
        // What is no image has no platform: signatures, charts.
        let Ok(platform) = parse::<Platform>(&manifest.config.digest, &platform) else {
            return Ok(());
        };
        if self.is_wanted(Some(&platform)) {
            self.check_layers(&manifest.layers)?;
            images.push(Image {
                name,
                config: manifest.config,
                layers: manifest.layers,
            });
        }
        Ok(())
    }

    fn is_wanted(&mut self, platform: Option<&Platform>) -> bool {
        let Some(platform) = platform else {
            return true;
        };
        let platform = format!("{}/{}", platform.os, platform.architecture);
        if platform == self.wanted.platform {
            return true;
        }
        if !self.others.contains(&platform) && platform != "unknown/unknown" {
            self.others.push(platform);
        }
        false
    }

    fn document(&self, descriptor: &Descriptor) -> io::Result<Vec<u8>> {
        let content = self.layout.document(&descriptor.path()?)?;
        descriptor.check_size(content.len() as u64)?;
        descriptor.check_digest(Sha256::new_with_prefix(&content))?;
        Ok(content)
    }

    fn check_layers(&self, layers: &[Descriptor]) -> io::Result<()> {
        let zstd = layers
            .iter()
            .find(|layer| layer.media_type.ends_with("zstd"));
        match zstd {
            Some(layer) if !self.wanted.zstd => Err(io::Error::other(format!(
                "the layer {} is compressed with zstd, which this engine does not know",
                layer.digest
            ))),
            _ => Ok(()),
        }
    }
}

impl Descriptor {
    /// Path of the blob in the layout. What is no digest leads nowhere else.
    fn path(&self) -> io::Result<String> {
        match self.digest.split_once(':') {
            Some(("sha256", hex))
                if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
            {
                Ok(format!("blobs/sha256/{hex}"))
            }
            _ => Err(io::Error::other(format!(
                "`{}` is no digest by SHA-256",
                self.digest
            ))),
        }
    }

    fn is_index(&self) -> bool {
        self.media_type.ends_with("image.index.v1+json")
            || self.media_type.ends_with("manifest.list.v2+json")
    }

    /// The image's name. The short annotation may be a mere tag, which names nothing.
    fn name(&self) -> Option<String> {
        let annotation = |key| self.annotations.get(key);
        let full = annotation("io.containerd.image.name");
        let name = full.or_else(|| annotation("org.opencontainers.image.ref.name"))?;
        let last = name.rsplit('/').next().unwrap_or(name);
        if last.contains(':') {
            Some(name.clone())
        } else if name.contains('/') {
            Some(format!("{name}:latest"))
        } else {
            None
        }
    }

    fn check_size(&self, size: u64) -> io::Result<()> {
        if size == self.size {
            return Ok(());
        }
        let (digest, expected) = (&self.digest, self.size);
        let message = format!("the blob {digest} has {size} bytes instead of {expected}");
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }

    fn check_digest(&self, digest: Sha256) -> io::Result<()> {
        let found = hex(&digest.finalize());
        if self.digest == format!("sha256:{found}") {
            return Ok(());
        }
        let message = format!(
            "the blob {} is another one: its digest is sha256:{found}",
            self.digest
        );
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }
}

fn parse<T: DeserializeOwned>(name: &str, text: &[u8]) -> io::Result<T> {
    serde_json::from_slice(text).map_err(|error| io::Error::other(format!("{name}: {error}")))
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(size);
    header
}

/// A blob whose digest is taken while it is read.
struct Hashed<R> {
    content: R,
    digest: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(annotations: &[(&str, &str)]) -> Option<String> {
        let annotations = annotations.iter();
        let annotations = annotations.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let descriptor = Descriptor {
            media_type: String::new(),
            digest: String::new(),
            size: 0,
            platform: None,
            annotations: annotations.collect(),
        };
        descriptor.name()
    }

    #[test]
    fn a_mere_tag_is_no_name() {
        const SHORT: &str = "org.opencontainers.image.ref.name";
        const FULL: &str = "io.containerd.image.name";
        assert_eq!(named(&[(SHORT, "app:1")]).as_deref(), Some("app:1"));
        assert_eq!(named(&[(SHORT, "latest")]), None);
        let full = named(&[(SHORT, "1"), (FULL, "host.example:5000/app")]);
        assert_eq!(full.as_deref(), Some("host.example:5000/app:latest"));
    }

    #[test]
    fn a_digest_leads_nowhere_else() {
        for digest in ["sha256:../../etc/passwd", "sha512:00", "latest"] {
            let text = json!({ "digest": digest, "size": 1 });
            let descriptor: Descriptor = serde_json::from_value(text).expect("a descriptor");
            assert!(descriptor.path().is_err(), "{digest}");
        }
    }
}
