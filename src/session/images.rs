//! Comes by images: pulls, builds and loads them, each once for all workers.

use std::{collections::HashMap, path::Path};

use futures::StreamExt;
use tokio::time::Instant;

use crate::{
    engine::{BuildProgress, BuildUpdate, EngineError},
    event::{EventKind, millis},
    plan::Action,
    spec::BuildSpec,
    text,
};

use super::{failure::StepError, perform::Performer};

/// Does what `action` says about an image; other actions are none of its business.
pub(super) async fn obtain(performer: &Performer<'_>, action: &Action) -> Result<(), StepError> {
    let begin = Instant::now();
    match action {
        Action::PullImage {
            reference,
            platform,
            ..
        } => pull(performer, reference, platform.as_deref()).await?,
        Action::BuildImage { spec, .. } => build(performer, spec).await?,
        Action::LoadImage {
            reference, archive, ..
        } => load(performer, reference, archive).await?,
        _ => return Ok(()),
    }
    performer.sink().session(EventKind::ImageReady {
        image: action.target().to_owned(),
        action: action.verb().to_owned(),
        took_ms: millis(begin.elapsed()),
    });
    Ok(())
}

async fn pull(
    performer: &Performer<'_>,
    reference: &str,
    platform: Option<&str>,
) -> Result<(), EngineError> {
    let mut progress = performer.engine().pull(reference, platform).await;
    let mut layers: HashMap<String, (u64, u64)> = HashMap::new();
    while let Some(step) = progress.next().await {
        let step = step?;
        if let (Some(layer), Some(bytes)) = (step.layer, step.bytes) {
            layers.insert(layer, bytes);
        }
        let (done, total) = layers
            .values()
            .fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
        performer.sink().session(EventKind::ImageProgress {
            image: reference.to_owned(),
            action: "pull image".to_owned(),
            status: step.status,
            done,
            total,
        });
    }
    Ok(())
}

async fn build(performer: &Performer<'_>, spec: &BuildSpec) -> Result<(), EngineError> {
    let mut progress = performer.engine().build(spec).await;
    let mut last = None;
    while let Some(step) = progress.next().await {
        let news = told(step?);
        if last.as_ref() == Some(&news) {
            continue;
        }
        last = Some(news.clone());
        let (status, done, total) = news;
        performer.sink().session(EventKind::ImageProgress {
            image: spec.image.clone(),
            action: "build image".to_owned(),
            status,
            done,
            total,
        });
    }
    Ok(())
}

/// What happened in words, and the bytes done and to be done.
fn told(progress: BuildProgress) -> (String, u64, u64) {
    let step = progress.step;
    match progress.update {
        BuildUpdate::Started => (step, 0, 0),
        BuildUpdate::Cached => (format!("{step} (cached)"), 0, 0),
        BuildUpdate::Done => (format!("{step} (done)"), 0, 0),
        BuildUpdate::Line { text, .. } => (text, 0, 0),
        BuildUpdate::Transfer { what, done, total } => {
            let status = format!("{step} {what} {}", text::bytes(done));
            (status, done, total.unwrap_or_default())
        }
    }
}

/// An archive may hold several images, so this one may have come with another.
async fn load(performer: &Performer<'_>, reference: &str, archive: &Path) -> Result<(), StepError> {
    let engine = performer.engine();
    if engine.image(reference).await?.is_some() {
        return Ok(());
    }
    let found = engine.load_image(archive).await?;
    if engine.image(reference).await?.is_some() {
        return Ok(());
    }
    Err(StepError::NotInArchive {
        image: reference.to_owned(),
        archive: archive.display().to_string(),
        found,
    })
}
