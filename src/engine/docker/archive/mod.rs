//! Loading images from archives. Engines take what `docker save` writes; an OCI layout is
//! put into that form on the way, because older ones know nothing of it.

mod layout;
mod oci;

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use bollard::query_parameters::ImportImageOptions;
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use tokio_util::io::{ReaderStream, SyncIoBridge};

use crate::engine::{EngineError, EngineKind, Result};

use super::{
    Docker,
    call::{engine_error, refused},
};
use layout::Layout;
use oci::Wanted;

/// As much of the archive as is made ahead of what the engine takes.
const BUFFER: usize = 256 << 10;

/// Loads an archive's images and returns their names; ids for those without.
pub(super) async fn load(engine: &Docker, archive: &Path) -> Result<Vec<String>> {
    let attempted = format!("load images from `{}`", archive.display());
    let file_error = |error: io::Error| EngineError::File {
        attempted: attempted.clone(),
        source: error,
    };
    let wanted = Wanted {
        platform: engine.info.platform.clone(),
        zstd: engine.info.kind == EngineKind::Podman || engine.speaks(42),
    };
    let path = archive.to_owned();
    let opened = tokio::task::spawn_blocking(move || Archive::open(path, &wanted)).await;
    match opened.map_err(io::Error::other).flatten() {
        Ok(Archive::OfDocker(path)) => {
            let file = tokio::fs::File::open(path).await.map_err(file_error)?;
            send(
                engine,
                &attempted,
                ReaderStream::with_capacity(file, BUFFER),
            )
            .await
        }
        Ok(Archive::Oci(images)) => {
            let (reader, writer) = tokio::io::duplex(BUFFER);
            let writer = SyncIoBridge::new(writer);
            let written = tokio::task::spawn_blocking(move || images.write(writer));
            let names = send(engine, &attempted, ReaderStream::new(reader)).await;
            match written.await.map_err(io::Error::other).flatten() {
                // The engine has only seen that the archive is not whole. And one that has
                // failed has stopped to read.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(file_error(error)),
                _ => names,
            }
        }
        Err(error) => Err(file_error(error)),
    }
}

enum Archive {
    /// What `docker save` writes, or something compressed, which is for the engine to
    /// look into.
    OfDocker(PathBuf),
    Oci(oci::Images),
}

impl Archive {
    fn open(path: PathBuf, wanted: &Wanted) -> io::Result<Self> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        if !fs::metadata(&path).map_err(named)?.is_dir() && is_compressed(&path).map_err(named)? {
            return Ok(Self::OfDocker(path));
        }
        let layout = Layout::open(&path).map_err(named)?;
        if layout.has("manifest.json") {
            return Ok(Self::OfDocker(path));
        }
        if !layout.has("oci-layout") || !layout.has("index.json") {
            let message = "it is neither an archive of `docker save` nor an OCI layout";
            return Err(named(io::Error::new(io::ErrorKind::InvalidData, message)));
        }
        let images = oci::Images::read(layout, wanted).map_err(named)?;
        Ok(Self::Oci(images))
    }
}

/// Whether it begins as gzip, bzip2, xz or zstd does.
fn is_compressed(path: &Path) -> io::Result<bool> {
    const MAGIC: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    let mut start = Vec::new();
    File::open(path)?.take(6).read_to_end(&mut start)?;
    Ok(MAGIC.iter().any(|magic| start.starts_with(magic)))
}

async fn send(
    engine: &Docker,
    attempted: &str,
    archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Result<Vec<String>> {
    let options = ImportImageOptions {
        quiet: true,
        ..ImportImageOptions::default()
    };
    let body = bollard::body_try_stream(archive);
    let mut told = std::pin::pin!(engine.client.import_image(options, body, None));
    let mut names = Vec::new();
    while let Some(info) = told
        .try_next()
        .await
        .map_err(|error| engine_error(attempted, error))?
    {
        if let Some(message) = info.error_detail.and_then(|error| error.message) {
            return Err(refused(attempted, 200, message));
        }
        names.extend(loaded(info.stream.as_deref().unwrap_or_default()));
    }
    Ok(names)
}

/// The names in a line such as `Loaded image: a:1`. Podman writes several in one.
fn loaded(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| {
        let (start, names) = line.split_once(": ")?;
        start.starts_with("Loaded image").then_some(names)
    });
    let names = lines.flat_map(|names| names.split(','));
    names.map(|name| name.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_the_engines_words() {
        assert_eq!(loaded("Loaded image: a:1\n"), ["a:1"]);
        assert_eq!(loaded("Loaded image ID: sha256:12\n"), ["sha256:12"]);
        assert_eq!(loaded("Loaded image: a:1,b:2"), ["a:1", "b:2"]);
        assert!(loaded("Loading layer").is_empty());
    }

    #[test]
    fn what_is_no_archive_is_refused_by_name() {
        let wanted = Wanted {
            platform: "linux/amd64".to_owned(),
            zstd: true,
        };
        let directory = tempfile::tempdir().expect("a directory");
        let text = directory.path().join("notes.txt");
        fs::write(&text, "these are no images").expect("a file");
        for path in [text.as_path(), directory.path(), Path::new("/not/there")] {
            let Err(error) = Archive::open(path.to_owned(), &wanted) else {
                panic!("taken: {}", path.display());
            };
            assert!(
                error.to_string().contains(path.to_str().expect("UTF-8")),
                "{error}"
            );
        }
    }
}
