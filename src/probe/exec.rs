//! One command in the container.

use std::time::Duration;

use futures::StreamExt;
use tokio::time::timeout;

use crate::engine::{Engine, EngineError, ExecSpec};

/// How much of a command's output is kept for the error, in bytes.
const KEPT_OUTPUT: usize = 512;

/// Runs a command to its end, for no longer than `patience`. An exit code other than 0 is
/// a failure, in words.
pub async fn run(
    engine: &dyn Engine,
    container: &str,
    spec: &ExecSpec,
    patience: Duration,
) -> Result<(), String> {
    let shown = spec.command.join(" ");
    match timeout(patience, exit_code_of(engine, container, spec)).await {
        Ok(Ok((0, _))) => Ok(()),
        Ok(Ok((code, output))) if output.is_empty() => {
            Err(format!("`{shown}` exited with code {code}"))
        }
        Ok(Ok((code, output))) => Err(format!("`{shown}` exited with code {code}: {output}")),
        Ok(Err(error)) => Err(format!("`{shown}`: {}", crate::error::chain(&error))),
        Err(_) => Err(format!(
            "`{shown}` took longer than {}",
            crate::text::duration(patience)
        )),
    }
}

async fn exit_code_of(
    engine: &dyn Engine,
    container: &str,
    spec: &ExecSpec,
) -> Result<(i64, String), EngineError> {
    let mut process = engine.exec(container, spec).await?;
    let mut output = Vec::new();
    while let Some(frame) = process.output.next().await {
        let room = KEPT_OUTPUT - output.len();
        let bytes = frame?.bytes;
        output.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
    // The output ends a moment before the engine knows the exit code.
    let code = loop {
        if let Some(code) = engine.exec_exit_code(&process.id).await? {
            break code;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    Ok((code, String::from_utf8_lossy(&output).trim().to_owned()))
}
