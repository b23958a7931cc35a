//! The files of a context: which are sent, in which order, and as what.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use crate::spec::project::STATE_DIRECTORY;

use super::ignore::Patterns;

/// A file, directory or symbolic link of a context.
#[derive(Debug)]
pub(super) struct Entry {
    /// Relative to the context, with slashes.
    pub path: String,
    /// Where it is.
    pub place: PathBuf,
    /// What it is; of a link, not of what it leads to.
    pub metadata: Metadata,
    /// Where a link leads.
    pub link: Option<String>,
}

/// What of a directory is sent.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// Only these; all where there are none.
    pub include: Patterns,
    /// But not these.
    pub exclude: Patterns,
}

impl Selection {
    fn takes(&self, path: &str) -> bool {
        let wanted = self.include.is_empty() || self.include.matches(path);
        wanted && !self.exclude.matches(path)
    }

    /// Whether something may be taken below a directory.
    fn enters(&self, directory: &str) -> bool {
        let wanted = self.include.is_empty()
            || self.include.matches(directory)
            || self.include.may_match_below(directory);
        wanted && (!self.exclude.matches(directory) || self.exclude.may_except_below(directory))
    }
}

/// What is sent of a directory, parents before children and otherwise by name: the same
/// every time, and in the order in which BuildKit compares it with what it has.
pub(super) fn entries(root: &Path, selection: &Selection) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    below(root, "", selection, &mut entries).map_err(|error| {
        let message = format!("{}: {error}", root.display());
        io::Error::new(error.kind(), message)
    })?;
    Ok(entries)
}

fn below(
    directory: &Path,
    prefix: &str,
    selection: &Selection,
    entries: &mut Vec<Entry>,
) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().into_string();
        names.push(name.map_err(|name| {
            io::Error::other(format!("the name {} is not UTF-8", name.display()))
        })?);
    }
    names.sort_unstable();
    // The logs in there are others each time: no step after them would be cached.
    names.retain(|name| name != STATE_DIRECTORY);
    for name in names {
        let path = format!("{prefix}{name}");
        let place = directory.join(&name);
        let Some(entry) = entry(path, place)? else {
            continue;
        };
        let (path, place) = (entry.path.clone(), entry.place.clone());
        let (taken, is_directory) = (selection.takes(&path), entry.metadata.is_dir());
        let before = entries.len();
        entries.push(entry);
        if is_directory && selection.enters(&path) {
            below(&place, &format!("{path}/"), selection, entries)?;
        }
        // A directory that is left out is there all the same for what it holds.
        if !taken && entries.len() == before + 1 {
            entries.pop();
        }
    }
    Ok(())
}

/// `None` for sockets and the like, and for what has just been removed.
fn entry(path: String, place: PathBuf) -> io::Result<Option<Entry>> {
    let metadata = match fs::symlink_metadata(&place) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let kind = metadata.file_type();
    let link = if kind.is_symlink() {
        let target = fs::read_link(&place)?.into_os_string().into_string();
        Some(target.map_err(|_| io::Error::other(format!("`{path}` leads to no UTF-8 name")))?)
    } else {
        None
    };
    let known = kind.is_file() || kind.is_dir() || kind.is_symlink();
    Ok(known.then_some(Entry {
        path,
        place,
        metadata,
        link,
    }))
}

impl Entry {
    /// Permission bits, with those for set-user-id and the like.
    pub(super) fn mode(&self) -> u32 {
        mode(&self.metadata)
    }

    /// Nanoseconds since 1970.
    pub(super) fn modified(&self) -> i64 {
        let modified = self.metadata.modified().unwrap_or(UNIX_EPOCH);
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_nanos()).unwrap_or_default()
    }

    /// Adds it to an archive. It belongs to root there, as with Docker's own client.
    fn append(&self, archive: &mut tar::Builder<impl Write>) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(self.mode());
        header.set_mtime(u64::try_from(self.modified() / 1_000_000_000).unwrap_or_default());
        header.set_size(0);
        if let Some(link) = &self.link {
            header.set_entry_type(tar::EntryType::Symlink);
            return archive.append_link(&mut header, &self.path, link);
        }
        if self.metadata.is_dir() {
            header.set_entry_type(tar::EntryType::Directory);
            return archive.append_data(&mut header, format!("{}/", self.path), io::empty());
        }
        let size = self.metadata.len();
        header.set_size(size);
        let content = File::open(&self.place)?.take(size);
        archive.append_data(
            &mut header,
            &self.path,
            Whole {
                content,
                left: size,
            },
        )
    }
}

/// A file of which all is read that its header has promised: what is cut off meanwhile
/// would garble everything behind it.
struct Whole {
    content: io::Take<File>,
    left: u64,
}

impl io::Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::other("a file became shorter while it was sent"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Writes the context as a tar archive, with further files from memory at its end.
pub(super) fn write_tar(
    entries: &[Entry],
    further: &[(String, Vec<u8>)],
    output: impl Write,
) -> io::Result<()> {
    let mut archive = tar::Builder::new(output);
    for entry in entries {
        entry.append(&mut archive).map_err(|error| {
            let message = format!("{}: {error}", entry.place.display());
            io::Error::new(error.kind(), message)
        })?;
    }
    for (path, content) in further {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content.as_slice())?;
    }
    archive.into_inner()?.flush()
}

#[cfg(unix)]
fn mode(metadata: &Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o7777
}

/// There are no such bits elsewhere; Docker's own client sends these.
#[cfg(not(unix))]
fn mode(_metadata: &Metadata) -> u32 {
    0o755
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write(path, file).expect("a file");
        }
        root
    }

    fn paths(root: &Path, include: &str, exclude: &str) -> Vec<String> {
        let selection = Selection {
            include: Patterns::parse(include).expect("patterns"),
            exclude: Patterns::parse(exclude).expect("patterns"),
        };
        let entries = entries(root, &selection).expect("entries");
        entries.into_iter().map(|entry| entry.path).collect()
    }

    #[test]
    fn parents_come_first_and_names_in_order() {
        let root = tree(&["b/x", "a.txt", "a/z", "a/y"]);
        let expected = ["a", "a/y", "a/z", "a.txt", "b", "b/x"];
        assert_eq!(paths(root.path(), "", ""), expected);
    }

    #[test]
    fn the_logs_of_earlier_runs_are_not_sent() {
        let root = tree(&["a", ".stackrun/s/logs/x.log", "deep/.stackrun/y", "deep/b"]);
        assert_eq!(paths(root.path(), "", ""), ["a", "deep", "deep/b"]);
    }

    #[test]
    fn a_directory_is_there_for_what_is_excepted() {
        let root = tree(&["src/a/keep", "src/b", "other/c"]);
        let found = paths(root.path(), "", "*\n!src/a/keep");
        assert_eq!(found, ["src", "src/a", "src/a/keep"]);
    }

    #[test]
    fn only_what_is_included_is_taken() {
        let root = tree(&["Dockerfile", "d/Dockerfile", "x"]);
        assert_eq!(paths(root.path(), "Dockerfile", ""), ["Dockerfile"]);
        assert_eq!(paths(root.path(), "d", ""), ["d", "d/Dockerfile"]);
    }

    #[cfg(unix)]
    #[test]
    fn modes_and_links_are_kept_in_the_archive() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        let root = tree(&["run"]);
        let program = root.path().join("run");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4711)).expect("a mode");
        symlink("../far/away", root.path().join("link")).expect("a link");
        let entries = entries(root.path(), &Selection::default()).expect("entries");
        let mut bytes = Vec::new();
        write_tar(
            &entries,
            &[("Dockerfile".to_owned(), b"FROM x".to_vec())],
            &mut bytes,
        )
        .expect("an archive");

        let mut archive = tar::Archive::new(bytes.as_slice());
        let found: Vec<_> = archive
            .entries()
            .expect("entries")
            .map(|entry| {
                let entry = entry.expect("an entry");
                let link = entry.link_name().expect("a link");
                (
                    entry.path().expect("a path").display().to_string(),
                    entry.header().mode().expect("a mode"),
                    link.map(|link| link.display().to_string()),
                )
            })
            .collect();
        let link = Some("../far/away".to_owned());
        assert_eq!(
            found,
            [
                ("link".to_owned(), 0o777, link),
                ("run".to_owned(), 0o4711, None),
                ("Dockerfile".to_owned(), 0o644, None)
            ]
        );
    }
}
