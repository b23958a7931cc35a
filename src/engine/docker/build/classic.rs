//! Building with the classic builder: the context is sent as a tar archive, and lines of
//! text come back. It is what Podman offers.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bollard::{
    models::{BuildInfo, ProgressDetail},
    query_parameters::{BuildImageOptions, TagImageOptions},
};
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use tokio::{io::DuplexStream, sync::mpsc, task::JoinHandle};
use tokio_util::io::{ReaderStream, SyncIoBridge};

use crate::{
    engine::{
        BuildProgress, BuildUpdate, EngineError, Result, StdStream, StepFailure,
        docker::{
            Docker,
            call::{ORDINARY, call, engine_error},
        },
    },
    spec::{BuildContext, BuildSpec},
};

use super::{
    Attempt,
    context::{Entry, Selection, entries, write_tar},
    ignore::Patterns,
    labels, names,
    output::Output,
    platform, progress_of,
};

/// What holds the Dockerfile in the archive where it is not a file of the context.
const OWN_DOCKERFILE: &str = ".dockerfile.stackrun";

/// How the builder marks what a container writes to standard error, and its end.
const RED: &str = "\x1b[91m";
const PLAIN: &str = "\x1b[0m";

/// As much of the archive as is made ahead of what the engine takes.
const BUFFER: usize = 256 << 10;

/// Builds an image.
pub(super) fn build(
    engine: &Docker,
    spec: &BuildSpec,
    attempt: Attempt,
) -> BoxStream<'static, Result<BuildProgress>> {
    let work = Work {
        engine: engine.clone(),
        spec: spec.clone(),
        attempt,
    };
    progress_of(|progress| Box::pin(async move { work.run(&progress).await }))
}

struct Work {
    engine: Docker,
    spec: BuildSpec,
    attempt: Attempt,
}

impl Work {
    async fn run(&self, progress: &mpsc::Sender<BuildProgress>) -> Result<()> {
        check(&self.spec, &self.attempt)?;
        let mut options = options(&self.engine, &self.spec);
        let (body, written) = match self.archive().await? {
            Some(archive) => {
                options.dockerfile.clone_from(&archive.dockerfile);
                let (content, written) = archive.send();
                (bollard::body_try_stream(content), Some(written))
            }
            None => (bollard::body_full(Bytes::new()), None),
        };
        let logins = self.engine.credentials.in_the_file();
        let client = &self.engine.client;
        let told = client.build_image(options, Some(logins), Some(body));
        let end = self.follow(told.boxed(), progress).await;
        if let Some(written) = written {
            let written = written.await.map_err(io::Error::other).flatten();
            // The engine has only seen that the archive is not whole. And one that has
            // failed has stopped to read.
            if let Err(error) = written
                && error.kind() != io::ErrorKind::BrokenPipe
            {
                return Err(self.attempt.io(error));
            }
        }
        end?;
        self.tag().await
    }

    /// The engine takes one name only.
    async fn tag(&self) -> Result<()> {
        let names = names(&self.spec);
        for name in names.iter().skip(1) {
            let attempted = format!("name image `{}` `{name}`", self.spec.image);
            let (repo, tag) = split_tag(name);
            let options = TagImageOptions {
                repo: Some(repo.to_owned()),
                tag: Some(tag.to_owned()),
            };
            let request = self
                .engine
                .client
                .tag_image(&self.spec.image, Some(options));
            call(&attempted, ORDINARY, request).await?;
        }
        Ok(())
    }

    /// Passes on what the builder says, up to its end.
    async fn follow(
        &self,
        mut told: BoxStream<'_, Result<BuildInfo, bollard::errors::Error>>,
        progress: &mpsc::Sender<BuildProgress>,
    ) -> Result<()> {
        let mut steps = Steps::default();
        while let Some(info) = told.next().await {
            let info = info.map_err(|error| steps.failure(&self.attempt, error))?;
            for item in steps.take(info) {
                // Nobody listens any more: then nobody polls this either.
                let _ = progress.send(item).await;
            }
        }
        Ok(())
    }

    /// What is sent; nothing where the engine fetches the context itself.
    async fn archive(&self) -> Result<Option<Archive>> {
        let BuildContext::Directory(path) = BuildContext::parse(&self.spec.build.context) else {
            return Ok(None);
        };
        let spec = self.spec.clone();
        let archive = tokio::task::spawn_blocking(move || Archive::new(&path, &spec)).await;
        let archive = archive.map_err(io::Error::other).flatten();
        archive.map(Some).map_err(|error| self.attempt.io(error))
    }
}

/// `latest` where there is none.
fn split_tag(name: &str) -> (&str, &str) {
    match name.rsplit_once(':') {
        Some((repo, tag)) if !tag.contains('/') => (repo, tag),
        _ => (name, "latest"),
    }
}

/// The context, as it will be sent.
struct Archive {
    entries: Vec<Entry>,
    /// Files that are not in the context.
    further: Vec<(String, Vec<u8>)>,
    /// Path of the Dockerfile in the archive.
    dockerfile: String,
}

impl Archive {
    fn new(context: &Path, spec: &BuildSpec) -> io::Result<Self> {
        let given = spec.build.dockerfile.as_deref().unwrap_or("Dockerfile");
        let given = context.join(given);
        let mut ignore_file = context.join(".dockerignore");
        let own = if let Some(text) = &spec.build.dockerfile_inline {
            Some(text.clone().into_bytes())
        } else {
            let text = named(&given, fs::read(&given))?;
            let beside = PathBuf::from(format!("{}.dockerignore", given.display()));
            if beside.is_file() {
                ignore_file = beside;
            }
            inside(context, &given).is_none().then_some(text)
        };
        let inside = inside(context, &given).filter(|_| own.is_none());
        let dockerfile = inside.unwrap_or_else(|| OWN_DOCKERFILE.to_owned());
        let ignored = ignored(&ignore_file)?;
        // The builder needs these two, whatever that says.
        let kept = format!(
            "{}\n!{dockerfile}\n!.dockerignore\n",
            ignored.as_deref().unwrap_or("")
        );
        let selection = Selection {
            exclude: named(&ignore_file, Patterns::parse(&kept))?,
            ..Selection::default()
        };
        let mut entries = entries(context, &selection)?;
        let mut further = Vec::new();
        if ignored.is_some() || own.is_some() {
            let hidden = hidden(context, ignored.as_deref().unwrap_or(""), &dockerfile)?;
            entries.retain(|entry| entry.path != ".dockerignore");
            further.push((".dockerignore".to_owned(), hidden));
        }
        if let Some(text) = own {
            further.push((OWN_DOCKERFILE.to_owned(), text));
        }
        Ok(Self {
            entries,
            further,
            dockerfile,
        })
    }

    /// The archive, made while it is sent, and the end of its making.
    fn send(self) -> (ReaderStream<DuplexStream>, JoinHandle<io::Result<()>>) {
        let (reader, writer) = tokio::io::duplex(BUFFER);
        let writer = SyncIoBridge::new(writer);
        let written =
            tokio::task::spawn_blocking(move || write_tar(&self.entries, &self.further, writer));
        (ReaderStream::new(reader), written)
    }
}

/// The ignore file by which the engine removes, before the first step, what had to be
/// sent and is no part of the context. The rest of the user's patterns has been heeded
/// already: Podman, which reads them again, has rules of its own for `!`.
fn hidden(context: &Path, ignored: &str, dockerfile: &str) -> io::Result<Vec<u8>> {
    let patterns = Patterns::parse(ignored)?;
    let mut hidden = Vec::new();
    if patterns.matches(".dockerignore") || !context.join(".dockerignore").exists() {
        hidden.push(".dockerignore");
    }
    if patterns.matches(dockerfile) || dockerfile == OWN_DOCKERFILE {
        hidden.push(dockerfile);
    }
    Ok(hidden.join("\n").into_bytes())
}

/// The path relative to the context, if it is below it.
fn inside(context: &Path, path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let path = path
        .strip_prefix(context.canonicalize().ok()?)
        .ok()?
        .to_str()?;
    Some(path.replace('\\', "/"))
}

/// The text of the ignore file, if it is there.
fn ignored(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => named(path, text).map(Some),
    }
}

fn named<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Docker writes `Step 1/2 : FROM x`, Podman `STEP 1/2: FROM x`.
fn is_step(text: &str) -> bool {
    let start = text.get(..5);
    start.is_some_and(|start| start.eq_ignore_ascii_case("step "))
}

/// What the builder itself says of containers and images that are of no interest.
fn is_chatter(text: &str) -> bool {
    let text = text.trim_start();
    ["---> ", "--> ", "Removing intermediate container "]
        .iter()
        .any(|start| text.starts_with(start))
}

/// What the builder writes, told apart.
#[derive(Default)]
struct Steps {
    step: String,
    output: Output,
}

impl Steps {
    fn take(&mut self, info: BuildInfo) -> Vec<BuildProgress> {
        let mut news = Vec::new();
        if let Some(status) = info.status {
            news.extend(self.transfer(status, info.progress_detail));
        }
        let text = info.stream.unwrap_or_default();
        if is_step(&text) {
            news.extend(self.end());
        }
        // Docker has what containers write to standard error in red.
        let (stream, text) = if text.contains(RED) {
            let text = text.replace(RED, "").replace(PLAIN, "");
            (StdStream::Stderr, text)
        } else {
            (StdStream::Stdout, text)
        };
        if is_chatter(&text) {
            let is_cached = text.contains("Using cache");
            news.extend(is_cached.then(|| self.tells(BuildUpdate::Cached)));
            return news;
        }
        for update in self.output.push(stream, text.as_bytes()) {
            news.extend(self.line(update));
        }
        news
    }

    fn transfer(&self, what: String, detail: Option<ProgressDetail>) -> Option<BuildProgress> {
        let detail = detail?;
        Some(self.tells(BuildUpdate::Transfer {
            what,
            done: u64::try_from(detail.current?).ok()?,
            total: detail.total.and_then(|total| u64::try_from(total).ok()),
        }))
    }

    fn line(&mut self, update: BuildUpdate) -> Vec<BuildProgress> {
        match update {
            BuildUpdate::Line { text, .. } if is_step(&text) => {
                let ended = (!self.step.is_empty()).then(|| self.tells(BuildUpdate::Done));
                self.step = text;
                self.output = Output::default();
                let begun = self.tells(BuildUpdate::Started);
                ended.into_iter().chain([begun]).collect()
            }
            // Docker writes one after each step's name.
            BuildUpdate::Line { text, .. } if text.is_empty() => Vec::new(),
            update => vec![self.tells(update)],
        }
    }

    /// What has been begun and not ended.
    fn end(&mut self) -> Vec<BuildProgress> {
        let lines: Vec<_> = self.output.end().collect();
        lines.into_iter().map(|line| self.tells(line)).collect()
    }

    fn tells(&self, update: BuildUpdate) -> BuildProgress {
        BuildProgress {
            step: self.step.clone(),
            update,
        }
    }

    fn failure(&mut self, attempt: &Attempt, error: bollard::errors::Error) -> EngineError {
        match error {
            bollard::errors::Error::DockerStreamError { error } if !self.step.is_empty() => {
                self.end();
                EngineError::Step {
                    attempted: attempt.0.clone(),
                    step: self.step.clone(),
                    failure: Box::new(StepFailure {
                        message: error,
                        output: self.output.last(),
                    }),
                }
            }
            other => engine_error(&attempt.0, other),
        }
    }
}

/// What the classic builder does not know.
fn check(spec: &BuildSpec, attempt: &Attempt) -> Result<()> {
    let build = &spec.build;
    let missing = [
        ("secrets", !build.secrets.is_empty()),
        ("ssh", !build.ssh.is_empty()),
        ("additional_contexts", !build.additional_contexts.is_empty()),
        ("cache_to", !build.cache_to.is_empty()),
        ("privileged", build.privileged),
        ("entitlements", !build.entitlements.is_empty()),
        // The engine's API has these, bollard does not.
        ("ulimits", !build.ulimits.is_empty()),
        (
            "more than one of `extra_hosts`",
            build.extra_hosts.len() > 1,
        ),
    ];
    if let Some((key, _)) = missing.iter().find(|(_, wanted)| *wanted) {
        return Err(attempt.unsupported(format!("`{key}` needs BuildKit")));
    }
    if let Some(cache) = build.cache_from.iter().find(|cache| cache.contains('=')) {
        return Err(attempt.unsupported(format!("the cache `{cache}` needs BuildKit")));
    }
    let remote = matches!(BuildContext::parse(&build.context), BuildContext::Remote(_));
    if remote && build.dockerfile_inline.is_some() {
        let why = "`dockerfile_inline` with a remote context needs BuildKit";
        return Err(attempt.unsupported(why));
    }
    Ok(())
}

fn options(engine: &Docker, spec: &BuildSpec) -> BuildImageOptions {
    let build = &spec.build;
    let remote = match BuildContext::parse(&build.context) {
        BuildContext::Remote(url) => Some(url),
        _ => None,
    };
    // This builder takes an address after a colon.
    let host = build
        .extra_hosts
        .first()
        .map(|host| host.replacen('=', ":", 1));
    BuildImageOptions {
        dockerfile: build.dockerfile.clone().unwrap_or("Dockerfile".to_owned()),
        t: Some(spec.image.clone()),
        remote,
        nocache: build.no_cache,
        pull: build.pull.then(|| "1".to_owned()),
        rm: true,
        forcerm: true,
        extrahosts: host,
        cachefrom: (!build.cache_from.is_empty()).then(|| build.cache_from.clone()),
        shmsize: build.shm_size.and_then(|bytes| i32::try_from(bytes).ok()),
        buildargs: Some(build.args.clone().into_iter().collect()),
        labels: Some(labels(spec).map(|(a, b)| (a.clone(), b.clone())).collect()),
        networkmode: build.network.clone(),
        platform: platform(engine, spec).unwrap_or_default(),
        target: build.target.clone().unwrap_or_default(),
        ..BuildImageOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_their_output_are_told_apart() {
        let mut steps = Steps::default();
        let texts = [
            "Step 1/2 : FROM x",
            "\n",
            " ---> 0123456789ab\n",
            "Step 2/2 : RUN y",
            "\n",
            " ---> Using cache\n",
            "out",
            "\u{1b}[91moh\n\u{1b}[0m",
            "put\n",
        ];
        let news = texts.iter().flat_map(|text| {
            steps.take(BuildInfo {
                stream: Some((*text).to_owned()),
                ..BuildInfo::default()
            })
        });
        let line = |stream, text: &str| BuildUpdate::Line {
            stream,
            text: text.to_owned(),
        };
        let expected = [
            ("Step 1/2 : FROM x", BuildUpdate::Started),
            ("Step 1/2 : FROM x", BuildUpdate::Done),
            ("Step 2/2 : RUN y", BuildUpdate::Started),
            ("Step 2/2 : RUN y", BuildUpdate::Cached),
            ("Step 2/2 : RUN y", line(StdStream::Stderr, "oh")),
            ("Step 2/2 : RUN y", line(StdStream::Stdout, "output")),
        ];
        let expected = expected.map(|(step, update)| BuildProgress {
            step: step.to_owned(),
            update,
        });
        assert_eq!(news.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_name_has_a_tag() {
        assert_eq!(
            split_tag("host.example:5000/app"),
            ("host.example:5000/app", "latest")
        );
        assert_eq!(
            split_tag("host.example:5000/app:1"),
            ("host.example:5000/app", "1")
        );
    }

    #[test]
    fn a_dockerfile_that_is_not_in_the_context_is_hidden_in_the_archive() {
        let root = tempfile::tempdir().expect("a directory");
        fs::write(root.path().join("file"), "x").expect("a file");
        let spec = BuildSpec {
            image: "app".to_owned(),
            build: crate::spec::Build {
                dockerfile_inline: Some("FROM scratch".to_owned()),
                ..crate::spec::Build::default()
            },
            platform: None,
            labels: std::collections::BTreeMap::new(),
        };
        let archive = Archive::new(root.path(), &spec).expect("an archive");
        assert_eq!(archive.dockerfile, OWN_DOCKERFILE);
        assert_eq!(
            archive.further,
            [
                (".dockerignore", ".dockerignore\n.dockerfile.stackrun"),
                (OWN_DOCKERFILE, "FROM scratch"),
            ]
            .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
        );
    }
}
