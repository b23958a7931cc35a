//! Building images: with BuildKit where the engine has it, with the classic builder
//! elsewhere.

#[cfg(feature = "buildkit")]
mod buildkit;
mod classic;
mod context;
mod ignore;
mod output;

use std::{fs, io, path::Path};

use futures::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::sync::mpsc;

use crate::{
    engine::{BuildProgress, EngineError, Result},
    spec::{BuildContext, BuildSpec},
};

use super::Docker;

/// Builds an image.
pub(super) fn build(
    engine: &Docker,
    spec: &BuildSpec,
) -> BoxStream<'static, Result<BuildProgress>> {
    let attempt = Attempt(format!("build image `{}`", spec.image));
    if let Err(error) = check(&attempt, spec) {
        return stream::iter([Err(error)]).boxed();
    }
    #[cfg(feature = "buildkit")]
    if engine.info.capabilities.buildkit {
        return buildkit::build(engine, spec, attempt);
    }
    classic::build(engine, spec, attempt)
}

/// What is being attempted, as a phrase after "could not".
#[derive(Debug, Clone)]
struct Attempt(String);

impl Attempt {
    fn unsupported(&self, why: impl Into<String>) -> EngineError {
        EngineError::Unsupported {
            attempted: self.0.clone(),
            why: why.into(),
        }
    }

    fn file(&self, path: &Path, error: &io::Error) -> EngineError {
        let message = format!("{}: {error}", path.display());
        self.io(io::Error::new(error.kind(), message))
    }

    fn io(&self, source: io::Error) -> EngineError {
        EngineError::File {
            attempted: self.0.clone(),
            source,
        }
    }
}

/// What neither builder can do, and contexts that are not there.
fn check(attempt: &Attempt, spec: &BuildSpec) -> Result<()> {
    let build = &spec.build;
    let main = BuildContext::parse(&build.context);
    for (name, context) in [("context", &main)].into_iter().chain(further(spec)) {
        match context {
            BuildContext::Directory(path) => {
                let found = fs::metadata(path).map_err(|error| attempt.file(path, &error))?;
                // As a context of its own, a file would be an archive.
                if !found.is_dir() {
                    let error = io::Error::from(io::ErrorKind::NotADirectory);
                    return Err(attempt.file(path, &error));
                }
            }
            BuildContext::Service(service) => {
                let why = format!("the context `{name}` is service `{service}`, and no image yet");
                return Err(attempt.unsupported(why));
            }
            BuildContext::OciLayout(layout) => {
                let why = format!("the context `{name}` is an OCI layout: {layout}");
                return Err(attempt.unsupported(why));
            }
            BuildContext::Remote(_) | BuildContext::Image(_) => {}
        }
    }
    if matches!(main, BuildContext::Image(_)) {
        return Err(attempt.unsupported("its context is an image"));
    }
    if let Some(isolation) = &build.isolation
        && isolation != "default"
    {
        let why = format!("`isolation: {isolation}` is for Windows containers");
        return Err(attempt.unsupported(why));
    }
    Ok(())
}

fn further(spec: &BuildSpec) -> impl Iterator<Item = (&str, &BuildContext)> {
    let contexts = spec.build.additional_contexts.iter();
    contexts.map(|(name, context)| (name.as_str(), context))
}

/// The platform to build for: the one that is asked for, or else the engine's own where
/// the image may be built for it, or else the first.
fn platform(engine: &Docker, spec: &BuildSpec) -> Option<String> {
    let own = &engine.info.platform;
    let allowed = &spec.build.platforms;
    let first = allowed.first().filter(|_| !allowed.contains(own));
    spec.platform.as_ref().or(first).cloned()
}

/// All names that the image gets.
fn names(spec: &BuildSpec) -> Vec<String> {
    let mut names = vec![spec.image.clone()];
    for tag in &spec.build.tags {
        if !names.contains(tag) {
            names.push(tag.clone());
        }
    }
    names
}

/// Labels of the image. Those of the file cannot take the place of ours.
fn labels(spec: &BuildSpec) -> impl Iterator<Item = (&String, &String)> {
    spec.build.labels.iter().chain(&spec.labels)
}

/// What `work` sends while it runs, and its error at the end. It runs while the stream is
/// polled, and is over when the stream is dropped.
fn progress_of<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce(mpsc::Sender<T>) -> BoxFuture<'static, Result<(), E>>,
) -> BoxStream<'static, Result<T, E>> {
    let (sender, receiver) = mpsc::channel(64);
    let state = (receiver, Some(work(sender)), None);
    stream::unfold(state, async |(mut receiver, mut work, mut error)| {
        loop {
            // What led to an error is told before the error.
            tokio::select! {
                biased;
                item = receiver.recv() => match item {
                    Some(item) => return Some((Ok(item), (receiver, work, error))),
                    None if work.is_some() => error = finish(&mut work).await,
                    None => return error.map(|error| (Err(error), (receiver, None, None))),
                },
                ended = finish(&mut work), if work.is_some() => error = ended,
            }
        }
    })
    .boxed()
}

/// Lets the work come to its end, for its error.
async fn finish<E>(work: &mut Option<BoxFuture<'static, Result<(), E>>>) -> Option<E> {
    let end = work.as_mut()?.await;
    *work = None;
    end.err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_error_comes_after_what_led_to_it() {
        let items = progress_of(|sender| {
            Box::pin(async move {
                for number in 0..200 {
                    sender.send(number).await.expect("a receiver");
                }
                Err("no more")
            })
        });
        let items: Vec<_> = items.collect().await;
        assert_eq!(items.len(), 201);
        assert_eq!(items[199..], [Ok(199), Err("no more")]);
    }
}
