//! Where the loader reads files from. Everything outside of the process that the
//! loader can see goes through [`Source`], so that tests and fuzzers run on memory.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use super::node::Span;

/// The largest file that is read. Compose files of thousands of services stay well
/// below it, and `/dev/zero` does not fill the memory.
pub const MAX_FILE_BYTES: u64 = 8 << 20;

/// A file system as the loader sees it.
pub trait Source {
    /// Reads a whole file of at most [`MAX_FILE_BYTES`].
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Reads standard input to its end, for `-f -`.
    fn read_stdin(&self) -> io::Result<Vec<u8>>;

    /// Whether a regular file, a pipe or the like is there.
    fn is_file(&self, path: &Path) -> bool;

    /// Whether a directory is there.
    fn is_dir(&self, path: &Path) -> bool;
}

/// The file system of the host.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Source for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = fs::File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        read_limited(file)
    }

    fn read_stdin(&self) -> io::Result<Vec<u8>> {
        read_limited(io::stdin().lock())
    }

    fn is_file(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|metadata| !metadata.is_dir())
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }
}

fn read_limited(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    check_size(&bytes)?;
    Ok(bytes)
}

fn check_size(bytes: &[u8]) -> io::Result<()> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let limit = MAX_FILE_BYTES >> 20;
        let message = format!("the file is larger than {limit} MiB");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(())
}

/// Files in memory. A directory is there when a file is inside it.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
    stdin: Vec<u8>,
}

impl Memory {
    /// No files at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, or replaces it.
    #[must_use]
    pub fn with(mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), content.into());
        self
    }

    /// Sets what standard input holds.
    #[must_use]
    pub fn with_stdin(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.stdin = content.into();
        self
    }
}

impl Source for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if self.is_dir(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let content = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        check_size(content)?;
        Ok(content.clone())
    }

    fn read_stdin(&self) -> io::Result<Vec<u8>> {
        check_size(&self.stdin)?;
        Ok(self.stdin.clone())
    }

    fn is_file(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.files
            .keys()
            .any(|file| file != path && file.starts_with(path))
    }
}

/// The texts that were read, so that a [`Span`] can be turned into a line.
#[derive(Debug, Default)]
pub(super) struct Texts(Vec<Text>);

/// One file's text.
#[derive(Debug, Clone)]
pub(super) struct Text {
    /// As it was named, for messages.
    pub path: PathBuf,
    /// The content.
    pub content: Arc<str>,
}

impl Texts {
    /// Keeps a text and gives it the number that spans name it by.
    pub fn add(&mut self, path: PathBuf, content: Arc<str>) -> u32 {
        self.0.push(Text { path, content });
        u32::try_from(self.0.len() - 1).expect("fewer than 2^32 files are read")
    }

    /// The text that a span lies in.
    pub fn of(&self, span: Span) -> Option<&Text> {
        self.0.get(span.file as usize)
    }
}

/// Joins and cleans a path by its text alone, as Go's `filepath.Join` does: Compose
/// resolves `a/../b` without asking the file system about `a`.
pub(super) fn join(base: &Path, path: &str) -> PathBuf {
    clean(&base.join(path))
}

/// Removes `.` and resolves `..` by the path's text.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => match clean.components().next_back() {
                Some(Component::Normal(_)) => {
                    clean.pop();
                }
                Some(Component::RootDir | Component::Prefix(_)) => {}
                _ => clean.push(".."),
            },
            other => clean.push(other),
        }
    }
    if clean.as_os_str().is_empty() {
        clean.push(".");
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_by_their_text() {
        let cases = [
            ("/a/./b/../c", "/a/c"),
            ("/..", "/"),
            ("a/..", "."),
            ("../a", "../a"),
            ("a/../../b", "../b"),
        ];
        for (given, expected) in cases {
            assert_eq!(clean(Path::new(given)), Path::new(expected), "{given}");
        }
    }

    #[test]
    fn an_endless_file_is_refused() {
        let error = Disk.read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "the file is larger than 8 MiB");
    }

    #[test]
    fn a_directory_is_not_a_file() {
        let memory = Memory::new().with("/a/b", "");
        assert!(memory.is_dir(Path::new("/a")) && !memory.is_file(Path::new("/a")));
        let error = memory.read(Path::new("/a")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }
}
