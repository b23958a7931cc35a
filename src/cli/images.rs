//! `stackrun pull` and `stackrun build`

use crate::{
    session::UpOptions,
    spec::{Project, PullPolicy, Service},
};

use super::{
    Outcome,
    args::{BuildArgs, ImageArgs, PullArgs},
    attended::Attended,
    context::{Context, session_of},
    exit_code,
    failure::Failure,
    signals::Signals,
    start::up_options,
};

pub(super) async fn pull(context: &Context, args: PullArgs) -> Outcome {
    let mut loaded = context.load(&args.services)?;
    keep_named(&mut loaded.project, &args.services, args.include_deps);
    // What can be built here is not fetched.
    loaded.project.services.retain(|_, s| s.build.is_none());
    let options = UpOptions {
        pull: Some(args.policy.map_or(PullPolicy::Always, PullPolicy::from)),
        ..up_options(&loaded, None, &ImageArgs::default())
    };
    obtain(
        context,
        &loaded.project,
        &options,
        "no service has an image to pull",
    )
    .await
}

pub(super) async fn build(context: &Context, args: BuildArgs) -> Outcome {
    let mut loaded = context.load(&args.services)?;
    keep_named(&mut loaded.project, &args.services, args.with_dependencies);
    loaded.project.services.retain(|_, s| s.build.is_some());
    for service in loaded.project.services.values_mut() {
        adjust(service, &args);
    }
    let options = UpOptions {
        build: Some(true),
        ..up_options(&loaded, None, &ImageArgs::default())
    };
    obtain(
        context,
        &loaded.project,
        &options,
        "no service has a `build`",
    )
    .await
}

/// As in Compose, what the services depend on is left alone unless it is asked for.
fn keep_named(project: &mut Project, names: &[String], with_dependencies: bool) {
    if !names.is_empty() && !with_dependencies {
        let is_named = |service: &Service| names.iter().any(|name| name == service.name.as_str());
        project.services.retain(|_, service| is_named(service));
    }
}

fn adjust(service: &mut Service, args: &BuildArgs) {
    let Some(build) = &mut service.build else {
        return;
    };
    build.no_cache |= args.no_cache;
    build.pull |= args.pull;
    for (name, value) in &args.arguments {
        build.args.insert(name.clone(), value.clone());
    }
}

async fn obtain(context: &Context, project: &Project, options: &UpOptions, none: &str) -> Outcome {
    if project.services.is_empty() {
        context.say(none);
        return Ok(exit_code::SUCCESS);
    }
    let engine = context.connect().await?;
    let session = (session_of(project), project.directory.as_path());
    let attended = Attended::open(context, engine, Signals::listen(), session, None).await?;
    let result = attended.session.images(project, options).await;
    let outcome = match result {
        Ok(()) => Ok(exit_code::SUCCESS),
        Err(error) => Err(Failure::up(error, attended.signals.first())),
    };
    attended.finish(false).await;
    outcome
}
