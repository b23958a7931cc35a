//! `stackrun down`

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use serde::Serialize;

use crate::{
    engine::Engine,
    event::reports,
    plan::Volumes,
    report::{Reporter, Settings},
    session::{Session, Teardown},
    spec::{Observed, SessionName, label, observed::Labelled},
};

use super::{
    Outcome,
    args::{DownArgs, Format},
    context::Context,
    exit_code,
    failure::Failure,
    print_json,
    signals::Signals,
    start,
};

/// What became of a session, for programs.
#[derive(Serialize)]
struct Report {
    session: SessionName,
    left: Vec<String>,
}

pub(super) async fn down(context: &Context, args: DownArgs) -> Outcome {
    // The engine alone knows every session; the file is not asked for `--all`.
    let target = if args.all {
        None
    } else {
        Some(context.target()?)
    };
    let engine = context.connect().await?;
    let observed = engine
        .observe(target.as_ref().map(|target| &target.session))
        .await
        .map_err(|error| Failure::engine(&error))?;
    let sessions = sessions(&observed);
    if sessions.is_empty() {
        context.say(&match target {
            Some(target) => format!("session `{}` is not up", target.session),
            None => "no session is up".to_owned(),
        });
    }
    let volumes = if args.volumes {
        Volumes::Remove
    } else {
        Volumes::Keep
    };
    let signals = Signals::listen();
    let mut reports = Vec::new();
    let mut all = Teardown::default();
    for (session, directory) in sessions {
        let teardown = one(context, &engine, &session, directory, volumes, &signals).await?;
        reports.push(Report {
            session,
            left: teardown.left.clone(),
        });
        all.left.extend(teardown.left);
        all.failures.extend(teardown.failures);
    }
    if args.format == Format::Json {
        print_json(&reports);
    }
    if all.left.is_empty() {
        Ok(exit_code::SUCCESS)
    } else {
        Err(Failure::teardown(&all))
    }
}

/// The sessions that anything belongs to, and where their projects are.
fn sessions(observed: &Observed) -> BTreeSet<(SessionName, PathBuf)> {
    fn key(thing: &impl Labelled) -> Option<(SessionName, PathBuf)> {
        let directory = thing.labels().get(label::DIRECTORY).map(PathBuf::from);
        Some((thing.session()?, directory.unwrap_or_default()))
    }
    let containers = observed.containers.iter().filter_map(key);
    let networks = observed.networks.iter().filter_map(key);
    let volumes = observed.volumes.iter().filter_map(key);
    let mut seen = BTreeSet::new();
    containers
        .chain(networks)
        .chain(volumes)
        .filter(|(name, _)| seen.insert(name.clone()))
        .collect()
}

async fn one(
    context: &Context,
    engine: &Arc<dyn Engine>,
    name: &SessionName,
    directory: PathBuf,
    volumes: Volumes,
    signals: &Signals,
) -> Result<Teardown, Failure> {
    let (sink, events, lines) = reports();
    let reporter = Reporter::new(Settings {
        mode: start::mode(context),
        color_stdout: context.color_stdout(),
        color_stderr: context.color_stderr(),
        events_file: None,
        verbosity: context.verbose,
    })
    .expect("no file is opened");
    let reporter = tokio::spawn(reporter.run(events, lines));
    let shutdown = signals.shutdown.clone();
    let session = Session::open(Arc::clone(engine), name.clone(), &directory, sink, shutdown)
        .await
        .map_err(|error| Failure::engine(&error))?;
    let teardown = session.down(volumes, "down").await;
    drop(session);
    let _ = reporter.await;
    Ok(teardown)
}
