//! `stackrun plan`

use serde::Serialize;

use crate::{
    plan::{Kept, Node, Plan},
    session::{Session, UpOptions},
};

use super::{
    Outcome,
    args::{Format, PlanArgs},
    context::{Context, session_of},
    exit_code,
    failure::Failure,
    print, print_json,
    start::up_options,
};

/// A plan, for programs.
#[derive(Serialize)]
struct Report<'a> {
    steps: &'a [Node],
    kept: &'a [Kept],
    warnings: &'a [String],
}

pub(super) async fn plan(context: &Context, args: PlanArgs) -> Outcome {
    let loaded = context.load(&args.services)?;
    let project = &loaded.project;
    let engine = context.connect().await?;
    let options = UpOptions {
        own_address: args.own_address,
        remove_orphans: args.remove_orphans,
        ..up_options(&loaded, args.workers, &args.images)
    };
    let plan = Session::plan(&*engine, project, &session_of(project), &options)
        .await
        .map_err(|error| Failure::up(error, None))?;
    show(context, args.format, &plan);
    Ok(exit_code::SUCCESS)
}

fn show(context: &Context, format: Format, plan: &Plan) {
    match format {
        Format::Json => print_json(&Report {
            steps: &plan.nodes,
            kept: &plan.kept,
            warnings: &plan.warnings,
        }),
        Format::Text => {
            print(&plan.to_string());
            for warning in &plan.warnings {
                context.say(&format!("warning: {warning}"));
            }
            if !plan.changes_anything() {
                context.say("everything is as it should be");
            }
        }
    }
}
