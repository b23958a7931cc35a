//! `stackrun ls`

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    spec::{Observed, SessionName, WorkerId, label, observed::Labelled},
    text,
};

use super::{
    Outcome,
    args::{Format, FormatArgs},
    context::Context,
    exit_code,
    failure::Failure,
    print, print_json,
    table::table,
};

/// A session, as `ls` shows it.
#[derive(Debug, Default, Serialize)]
struct Summary {
    session: String,
    project: String,
    workers: usize,
    containers: usize,
    running: usize,
    directory: String,
    #[serde(skip)]
    worker_ids: BTreeSet<WorkerId>,
}

pub(super) async fn ls(context: &Context, args: FormatArgs) -> Outcome {
    let engine = context.connect().await?;
    let observed = engine
        .observe(None)
        .await
        .map_err(|error| Failure::engine(&error))?;
    let sessions = summaries(&observed);
    match args.format {
        Format::Json => print_json(&sessions),
        Format::Text => {
            let rows: Vec<_> = sessions.iter().map(row).collect();
            print(&table(
                &["SESSION", "PROJECT", "WORKERS", "STATUS", "DIRECTORY"],
                &rows,
            ));
        }
    }
    Ok(exit_code::SUCCESS)
}

fn row(session: &Summary) -> Vec<String> {
    vec![
        session.session.clone(),
        session.project.clone(),
        session.workers.to_string(),
        format!(
            "{} of {} running",
            session.running,
            text::count(session.containers, "container")
        ),
        session.directory.clone(),
    ]
}

/// A session of which only a network or a volume is left is one, too.
fn summaries(observed: &Observed) -> Vec<Summary> {
    let mut sessions: BTreeMap<SessionName, Summary> = BTreeMap::new();
    for container in &observed.containers {
        if let Some(session) = note(&mut sessions, container) {
            session.containers += 1;
            session.running += usize::from(container.status.is_up());
        }
    }
    for network in &observed.networks {
        note(&mut sessions, network);
    }
    for volume in &observed.volumes {
        note(&mut sessions, volume);
    }
    sessions.into_values().collect()
}

fn note<'a>(
    sessions: &'a mut BTreeMap<SessionName, Summary>,
    thing: &impl Labelled,
) -> Option<&'a mut Summary> {
    let name = thing.session()?;
    let label = |label| thing.labels().get(label).cloned().unwrap_or_default();
    let session = sessions.entry(name.clone()).or_insert_with(|| Summary {
        session: name.to_string(),
        project: label(label::PROJECT),
        directory: label(label::DIRECTORY),
        ..Summary::default()
    });
    session.worker_ids.extend(thing.worker());
    session.workers = session.worker_ids.len();
    Some(session)
}
