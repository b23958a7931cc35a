//! The files of an image archive: a directory, or a tar archive that is read in place.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

/// Documents are small. What claims to be one and is not would fill the memory.
const LARGEST_DOCUMENT: u64 = 4 << 20;

/// The files of an archive.
#[derive(Debug)]
pub(super) enum Layout {
    /// Files below a directory.
    Directory(PathBuf),
    /// Files in a tar archive, each with its place and its size.
    Tar(PathBuf, HashMap<String, (u64, u64)>),
}

impl Layout {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.is_dir() {
            return Ok(Self::Directory(path.to_owned()));
        }
        let mut archive = tar::Archive::new(File::open(path)?);
        let mut files = HashMap::new();
        // The contents are skipped, not read.
        for entry in archive.entries_with_seek()? {
            let entry = entry.map_err(|_| not_an_archive())?;
            if entry.header().entry_type().is_file() {
                let name = entry.path()?.to_string_lossy().into_owned();
                let name = name.trim_start_matches("./").to_owned();
                files.insert(name, (entry.raw_file_position(), entry.size()));
            }
        }
        Ok(Self::Tar(path.to_owned(), files))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Directory(root) => root.join(name).is_file(),
            Self::Tar(_, files) => files.contains_key(name),
        }
    }

    /// A file and its size.
    pub(super) fn file(&self, name: &str) -> io::Result<(io::Take<File>, u64)> {
        let missing = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
        match self {
            Self::Directory(root) => {
                let file = File::open(root.join(name)).map_err(missing)?;
                let size = file.metadata()?.len();
                Ok((file.take(size), size))
            }
            Self::Tar(path, files) => {
                let found = files.get(name).copied();
                let (position, size) =
                    found.ok_or_else(|| missing(io::ErrorKind::NotFound.into()))?;
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(position))?;
                Ok((file.take(size), size))
            }
        }
    }

    /// A small file as a whole.
    pub(super) fn document(&self, name: &str) -> io::Result<Vec<u8>> {
        let (mut file, size) = self.file(name)?;
        if size > LARGEST_DOCUMENT {
            return Err(io::Error::other(format!("{name}: it is too large")));
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        Ok(content)
    }
}

fn not_an_archive() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is no tar archive")
}
