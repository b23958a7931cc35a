//! Commands that a service runs after its start and before its stop.

use std::time::Duration;

use crate::{engine::ExecSpec, plan::Replica, probe, spec::Hook};

use super::{failure::StepError, perform::Performer};

/// How long one hook may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs hooks one after another; ends with the first that fails.
pub(super) async fn run(
    performer: &Performer<'_>,
    replica: &Replica,
    container: &str,
    kind: &'static str,
    hooks: &[Hook],
) -> Result<(), StepError> {
    for hook in hooks {
        let shown = hook.command.join(" ");
        performer.log(replica).meta(&format!("{kind}: {shown}"));
        probe::run_to_end(performer.engine(), container, &command(hook), PATIENCE)
            .await
            .map_err(|why| StepError::Hook { hook: kind, why })?;
    }
    Ok(())
}

fn command(hook: &Hook) -> ExecSpec {
    let variables = hook.environment.iter();
    ExecSpec {
        command: hook.command.clone(),
        user: hook.user.clone(),
        working_dir: hook.working_dir.clone(),
        environment: variables
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
        privileged: hook.privileged,
        ..ExecSpec::default()
    }
}
