//! `stackrun up`

use crate::session::{Stack, UpOptions};

use super::{
    Outcome,
    args::{Format, UpArgs},
    attended::Attended,
    context::{Context, session_of},
    exit_code,
    failure::Failure,
    print, print_json,
    start::{self, Shown, address_table, bring_up, code_after, refuse_unmanaged, start_options},
};

pub(super) async fn up(context: &Context, args: UpArgs) -> Outcome {
    refuse_unmanaged(&context.environment)?;
    let loaded = context.load(&args.services)?;
    let project = &loaded.project;
    let shown = Shown::new(context, project, &args.start)?;
    let options = UpOptions {
        keep_going: args.keep_going,
        remove_orphans: args.remove_orphans,
        ..start_options(&loaded, &args.start)
    };
    let attended = start::open(context, project, session_of(project), &args.start).await?;
    let result = match bring_up(&attended, project, &options, &shown).await {
        Ok(stack) => {
            attended.sink.shown().await;
            show(args.format, &stack);
            if args.detach {
                Ok(exit_code::SUCCESS)
            } else {
                foreground(&attended).await
            }
        }
        Err(error) => Err(Failure::up(error, attended.signals.first())),
    };
    attended.finish(args.start.timings).await;
    result
}

fn show(format: Format, stack: &Stack) {
    match format {
        Format::Json => print_json(stack),
        Format::Text => print(&address_table(stack)),
    }
}

/// Shows the logs until a signal comes or nothing runs any more, then takes everything
/// down.
async fn foreground(attended: &Attended) -> Outcome {
    let session = &attended.session;
    session
        .follow_existing()
        .await
        .map_err(|error| Failure::engine(&error))?;
    let monitor = async {
        tokio::select! {
            () = attended.signals.any() => Ok("interrupted"),
            ended = session.ended() => ended.map(|()| "all services have ended"),
        }
    };
    // Showing waits for a slow reader; a signal must not.
    let reason = tokio::select! {
        reason = monitor => reason,
        () = async {
            session.logs().show(|_| true).await;
            std::future::pending::<()>().await;
        } => unreachable!("showing goes on for ever"),
    };
    let teardown = session
        .undo(reason.as_ref().unwrap_or(&"the engine is gone"))
        .await;
    reason.map_err(|error| Failure::engine(&error))?;
    if teardown.left.is_empty() {
        Ok(code_after(&attended.signals, exit_code::SUCCESS))
    } else {
        Err(Failure::teardown(&teardown))
    }
}
