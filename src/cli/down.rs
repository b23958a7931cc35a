//! `stackrun down`

use std::{path::PathBuf, sync::Arc};

use serde::Serialize;

use crate::{
    engine::Engine,
    event::reports,
    plan::Volumes,
    report::{Reporter, Settings},
    session::{Session, Teardown},
    spec::SessionName,
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
    let engine = context.connect().await?;
    // The engine alone knows every session; the file is not asked for `--all`.
    let target = if args.all {
        None
    } else {
        Some(context.target(&*engine).await?)
    };
    let observed = engine
        .observe(target.as_ref().map(|target| &target.session))
        .await
        .map_err(|error| Failure::engine(&error))?;
    let sessions = observed.sessions();
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
    for (session, owner) in sessions {
        let teardown = one(
            context,
            &engine,
            &session,
            owner.directory,
            volumes,
            &signals,
        )
        .await?;
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
