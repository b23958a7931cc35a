//! `stackrun exec`

use std::{
    io::{self, IsTerminal as _, Write as _},
    os::fd::AsFd as _,
};

use futures::StreamExt;
use rustix::termios::{self, OptionalActions, Termios};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    signal::unix::{SignalKind, signal},
};

use crate::{
    engine::{Engine, EngineError, ExecProcess, ExecSpec, StdStream, TerminalSize},
    plan::replica_of,
    spec::observed::Labelled,
};

use super::{
    Outcome, args::ExecArgs, context::Context, exit_code, failure::Failure, start::known_service,
};

pub(super) async fn exec(context: &Context, args: ExecArgs) -> Outcome {
    let engine = context.connect().await?;
    let target = context.target(&*engine).await?;
    if let Some(project) = &target.project {
        known_service(project, &args.service)?;
    }
    let observed = engine
        .observe(Some(&target.session))
        .await
        .map_err(|error| Failure::engine(&error))?;
    let is_meant = |container: &&crate::spec::ObservedContainer| {
        let replica = replica_of(container);
        replica.service.as_str() == args.service && container.worker() == Some(args.worker)
    };
    let Some(container) = observed.containers.iter().find(is_meant) else {
        let message = format!(
            "service `{}` of worker {} is not up",
            args.service, args.worker
        );
        return Err(Failure::new(exit_code::FAILED, message).hint("`stackrun ps` lists what is up"));
    };
    let tty = !args.no_tty && io::stdin().is_terminal() && io::stdout().is_terminal();
    let spec = ExecSpec {
        command: args.command,
        tty,
        stdin: true,
        user: args.user,
        working_dir: args.workdir,
        environment: args.environment,
        privileged: args.privileged,
    };
    let code = attend(&*engine, &container.id, &spec)
        .await
        .map_err(|e| Failure::engine(&e))?;
    Ok(u8::try_from(code).unwrap_or(exit_code::FAILED))
}

/// Runs a command in a container with this process's terminal, or its streams.
async fn attend(engine: &dyn Engine, container: &str, spec: &ExecSpec) -> Result<i64, EngineError> {
    let process = engine.exec(container, spec).await?;
    let _raw = if spec.tty { RawMode::enter() } else { None };
    let ExecProcess {
        id,
        mut output,
        input,
    } = process;
    // Ends with the command: nobody reads any more, then.
    let typing = tokio::spawn(feed(input));
    let mut resized = signal(SignalKind::window_change()).ok();
    if spec.tty {
        resize(engine, &id).await;
    }
    loop {
        tokio::select! {
            frame = output.next() => match frame {
                Some(frame) => show(&frame?),
                None => break,
            },
            () = next(&mut resized), if spec.tty => resize(engine, &id).await,
        }
    }
    typing.abort();
    loop {
        // The output ends a moment before the engine knows the exit code.
        if let Some(code) = engine.exec_exit_code(&id).await? {
            return Ok(code);
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

fn show(frame: &crate::engine::OutputFrame) {
    // A reader that has gone away is told by its own exit, not by ours.
    let _ = match frame.stream {
        StdStream::Stdout => {
            let mut stdout = io::stdout();
            stdout.write_all(&frame.bytes).and_then(|()| stdout.flush())
        }
        StdStream::Stderr => io::stderr().write_all(&frame.bytes),
    };
}

async fn feed(mut input: std::pin::Pin<Box<dyn tokio::io::AsyncWrite + Send>>) {
    let mut stdin = tokio::io::stdin();
    let mut buffer = vec![0; 8 << 10];
    while let Ok(read @ 1..) = stdin.read(&mut buffer).await {
        if input.write_all(&buffer[..read]).await.is_err() || input.flush().await.is_err() {
            return;
        }
    }
    let _ = input.shutdown().await;
}

async fn next(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

async fn resize(engine: &dyn Engine, exec: &str) {
    if let Ok(size) = termios::tcgetwinsize(io::stdout()) {
        let size = TerminalSize {
            rows: size.ws_row,
            columns: size.ws_col,
        };
        // A command that has ended already has no size.
        let _ = engine.resize_exec(exec, size).await;
    }
}

/// Passes every key on as it is typed; the terminal is put back on drop.
struct RawMode(Termios);

impl RawMode {
    fn enter() -> Option<Self> {
        let stdin = io::stdin();
        let before = termios::tcgetattr(stdin.as_fd()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(stdin.as_fd(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.0);
    }
}
