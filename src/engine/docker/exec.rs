//! Commands in running containers.

use bollard::{exec::StartExecResults, models::ExecConfig, query_parameters::ResizeExecOptions};
use futures::StreamExt;

use crate::engine::{ExecProcess, ExecSpec, Result, TerminalSize};

use super::{
    call::{GENEROUS, ORDINARY, call, engine_error, refused, shown},
    logs,
};

/// Starts a command.
pub(super) async fn start(
    client: &bollard::Docker,
    container: &str,
    spec: &ExecSpec,
) -> Result<ExecProcess> {
    let shown = shown(container);
    let program = spec.command.first().map_or("", String::as_str);
    let attempted = format!("run `{program}` in container `{shown}`");
    let id = call(
        &attempted,
        ORDINARY,
        client.create_exec(container, config(spec)),
    )
    .await?
    .id;
    let options = bollard::exec::StartExecOptions {
        detach: false,
        tty: spec.tty,
        output_capacity: None,
    };
    let request = client.start_exec(&id, Some(options));
    let StartExecResults::Attached { output, input } = call(&attempted, GENEROUS, request).await?
    else {
        let message = "it was started without its output".to_owned();
        return Err(refused(&attempted, 200, message));
    };
    let attempted = format!("read the output of `{program}` in container `{shown}`");
    let frames = output.map(move |output| {
        output
            .map(|output| logs::frame(output, None))
            .map_err(|error| engine_error(&attempted, error))
    });
    Ok(ExecProcess {
        id,
        output: frames.boxed(),
        input,
    })
}

/// Tells a command's terminal its size.
pub(super) async fn resize(client: &bollard::Docker, exec: &str, size: TerminalSize) -> Result<()> {
    let options = ResizeExecOptions {
        h: i32::from(size.rows),
        w: i32::from(size.columns),
    };
    let request = client.resize_exec(exec, options);
    call("resize a command's terminal", ORDINARY, request).await
}

/// The exit code, once there is one.
pub(super) async fn exit_code(client: &bollard::Docker, exec: &str) -> Result<Option<i64>> {
    let request = client.inspect_exec(exec);
    let inspected = call("inspect a command", ORDINARY, request).await?;
    // Podman says 0 while the command runs.
    let ended = inspected.running == Some(false);
    Ok(inspected.exit_code.filter(|_| ended))
}

fn config(spec: &ExecSpec) -> ExecConfig {
    ExecConfig {
        attach_stdin: Some(spec.stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(spec.tty),
        env: Some(spec.environment.clone()),
        cmd: Some(spec.command.clone()),
        user: spec.user.clone(),
        working_dir: spec.working_dir.clone(),
        privileged: Some(spec.privileged),
        ..ExecConfig::default()
    }
}
