//! Sends the directories of a build to the engine, as far as it does not have them from
//! an earlier build: it is told of every file, and asks for those that are new to it.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bollard_buildkit_proto::{
    fsutil::types::{Packet, Stat, packet::PacketType},
    moby::filesync::packet::file_sync_server::FileSync,
};
use futures::stream::BoxStream;
use percent_encoding::percent_decode_str;
use tokio::{io::AsyncReadExt as _, sync::mpsc};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};

use crate::{
    engine::docker::build::{
        context::{Entry, Selection, entries},
        further,
        ignore::Patterns,
        progress_of,
    },
    spec::{BuildContext, BuildSpec},
};

/// The name of the main context.
pub(super) const CONTEXT: &str = "context";
/// The name of the directory that holds the Dockerfile.
pub(super) const DOCKERFILE: &str = "dockerfile";

/// As much of a file as is sent at a time.
const PIECE: usize = 32 << 10;

/// The directories of a build, by the names under which the engine asks for them.
pub(super) struct Files(Arc<HashMap<String, Directory>>);

/// A directory, or one that holds nothing but a Dockerfile whose text was given.
#[derive(Clone)]
enum Directory {
    Real(PathBuf),
    Inline(String),
}

impl Files {
    pub(super) fn new(spec: &BuildSpec) -> Self {
        let mut directories = HashMap::new();
        let context = BuildContext::parse(&spec.build.context);
        if let BuildContext::Directory(path) = &context {
            directories.insert(CONTEXT.to_owned(), Directory::Real(path.clone()));
        }
        if let Some(text) = &spec.build.dockerfile_inline {
            directories.insert(DOCKERFILE.to_owned(), Directory::Inline(text.clone()));
        } else if let BuildContext::Directory(path) = &context {
            let (directory, _) = dockerfile(path, spec);
            directories.insert(DOCKERFILE.to_owned(), Directory::Real(directory));
        }
        for (name, context) in further(spec) {
            if let BuildContext::Directory(path) = context {
                directories.insert(named(name), Directory::Real(path.clone()));
            }
        }
        Self(Arc::new(directories))
    }
}

/// The name of a further context's directory, which none of the main ones has.
pub(super) fn named(name: &str) -> String {
    format!("named-{name}")
}

/// The directory of the Dockerfile, which may be outside of the context, and its name.
pub(super) fn dockerfile(context: &Path, spec: &BuildSpec) -> (PathBuf, String) {
    let path = spec.build.dockerfile.as_deref().unwrap_or("Dockerfile");
    let path = context.join(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let directory = path.parent().unwrap_or(context).to_owned();
    (directory, name.into_owned())
}

#[tonic::async_trait]
impl FileSync for Files {
    type DiffCopyStream = BoxStream<'static, Result<Packet, Status>>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let metadata = request.metadata();
        let name = texts(metadata, "dir-name").pop().unwrap_or_default();
        let directory = self.0.get(&name).cloned();
        let directory = directory
            .ok_or_else(|| Status::not_found(format!("the build has no directory `{name}`")))?;
        let selection = Selection {
            include: patterns(metadata, "include-patterns")?,
            exclude: patterns(metadata, "exclude-patterns")?,
        };
        let asked = request.into_inner();
        let sent = progress_of(|sender| {
            Box::pin(async move {
                let files = tokio::task::spawn_blocking(move || list(&directory, &selection));
                let files = files.await.map_err(io::Error::other)??;
                let sending = Sending { files, sender };
                sending.tell().await?;
                sending.answer(asked).await
            })
        });
        Ok(Response::new(sent))
    }

    type TarStreamStream = BoxStream<'static, Result<Packet, Status>>;

    async fn tar_stream(
        &self,
        _: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("not offered"))
    }
}

/// The values of a header, decoded where they are encoded.
fn texts(metadata: &MetadataMap, key: &str) -> Vec<String> {
    let encoded = metadata.get(format!("{key}-encoded"));
    let is_encoded = encoded.is_some_and(|value| value == "1");
    let values = metadata.get_all(key).into_iter();
    values
        .map(|value| match value.to_str() {
            Ok(text) if is_encoded => percent_decode_str(text).decode_utf8_lossy().into_owned(),
            _ => String::from_utf8_lossy(value.as_encoded_bytes()).into_owned(),
        })
        .collect()
}

fn patterns(metadata: &MetadataMap, key: &str) -> Result<Patterns, Status> {
    let texts = texts(metadata, key);
    let patterns = Patterns::new(texts.iter().map(String::as_str));
    patterns.map_err(|error| Status::invalid_argument(error.to_string()))
}

/// What the engine is told about a file, and where its content is.
struct Offer {
    stat: Stat,
    content: Content,
}

enum Content {
    None,
    File(PathBuf),
    Text(String),
}

fn list(directory: &Directory, selection: &Selection) -> io::Result<Vec<Offer>> {
    match directory {
        Directory::Real(path) => Ok(entries(path, selection)?.into_iter().map(offer).collect()),
        Directory::Inline(text) => Ok(vec![Offer {
            stat: Stat {
                path: "Dockerfile".to_owned(),
                mode: 0o644,
                size: i64::try_from(text.len()).unwrap_or_default(),
                ..Stat::default()
            },
            content: Content::Text(text.clone()),
        }]),
    }
}

fn offer(entry: Entry) -> Offer {
    let kind = entry.metadata.file_type();
    let is_file = kind.is_file();
    Offer {
        stat: Stat {
            mode: go_mode(entry.mode(), kind),
            size: if is_file {
                i64::try_from(entry.metadata.len()).unwrap_or_default()
            } else {
                0
            },
            mod_time: entry.modified(),
            linkname: entry.link.unwrap_or_default(),
            path: entry.path,
            ..Stat::default()
        },
        content: if is_file {
            Content::File(entry.place)
        } else {
            Content::None
        },
    }
}

/// Kind and permissions as Go's `os.FileMode` has them.
fn go_mode(mode: u32, kind: std::fs::FileType) -> u32 {
    let bit = |is_set: bool, bit: u32| if is_set { 1 << bit } else { 0 };
    (mode & 0o777)
        | bit(kind.is_dir(), 31)
        | bit(kind.is_symlink(), 27)
        | bit(mode & 0o4000 != 0, 23)
        | bit(mode & 0o2000 != 0, 22)
        | bit(mode & 0o1000 != 0, 20)
}

struct Sending {
    files: Vec<Offer>,
    sender: mpsc::Sender<Packet>,
}

impl Sending {
    /// Tells of every file, and that these are all.
    async fn tell(&self) -> Result<(), Status> {
        for file in &self.files {
            self.send(Packet {
                stat: Some(file.stat.clone()),
                ..packet(PacketType::PacketStat)
            })
            .await?;
        }
        self.send(packet(PacketType::PacketStat)).await
    }

    /// Sends the files that are asked for, by number.
    async fn answer(&self, mut asked: Streaming<Packet>) -> Result<(), Status> {
        while let Some(question) = asked.message().await? {
            match question.r#type() {
                PacketType::PacketReq => self.content(question.id).await?,
                PacketType::PacketFin => return self.send(packet(PacketType::PacketFin)).await,
                PacketType::PacketErr => {
                    let message = String::from_utf8_lossy(&question.data);
                    return Err(Status::aborted(message));
                }
                PacketType::PacketStat | PacketType::PacketData => {}
            }
        }
        Ok(())
    }

    async fn content(&self, id: u32) -> Result<(), Status> {
        let file = usize::try_from(id).ok().and_then(|id| self.files.get(id));
        match file.map(|file| &file.content) {
            Some(Content::File(path)) => self.file(id, path).await?,
            Some(Content::Text(text)) => self.data(id, text.as_bytes().to_vec()).await?,
            Some(Content::None) | None => {
                return Err(Status::invalid_argument(format!("there is no file {id}")));
            }
        }
        // No data is the end of the file.
        self.data(id, Vec::new()).await
    }

    async fn file(&self, id: u32, path: &Path) -> Result<(), Status> {
        let named = |error: io::Error| Status::internal(format!("{}: {error}", path.display()));
        let mut file = tokio::fs::File::open(path).await.map_err(named)?;
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let read = file.read_buf(&mut piece).await.map_err(named)?;
            if read == 0 {
                return Ok(());
            }
            self.data(id, piece).await?;
        }
    }

    async fn data(&self, id: u32, data: Vec<u8>) -> Result<(), Status> {
        self.send(Packet {
            id,
            data,
            ..packet(PacketType::PacketData)
        })
        .await
    }

    async fn send(&self, packet: Packet) -> Result<(), Status> {
        let sent = self.sender.send(packet).await;
        sent.map_err(|_| Status::cancelled("the engine went away"))
    }
}

fn packet(kind: PacketType) -> Packet {
    Packet {
        r#type: kind.into(),
        ..Packet::default()
    }
}
