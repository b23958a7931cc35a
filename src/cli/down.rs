//! `stackrun down`

use std::sync::Arc;

use serde::Serialize;

use crate::{plan::Volumes, session::Teardown, spec::SessionName};

use super::{
    Outcome,
    args::{DownArgs, Format},
    attended::Attended,
    context::Context,
    exit_code,
    failure::Failure,
    print_json,
    signals::Signals,
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
        let key = (session.clone(), owner.directory.as_path());
        let attended =
            Attended::open(context, Arc::clone(&engine), signals.clone(), key, None).await?;
        let teardown = attended.session.down(volumes, "down").await;
        attended.finish(false).await;
        reports.push(Report {
            session,
            left: teardown.left.clone(),
        });
        all.left.extend(teardown.left);
        all.failures.extend(teardown.failures);
        all.unreachable = all.unreachable.or(teardown.unreachable);
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
