//! The command of `run`: a child that gets the addresses, and the signals.

use std::{
    io::{self, IsTerminal as _},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::Child,
    time::sleep,
};

use super::signals::Signals;

/// How long a command may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(30);

/// A command to run.
pub(super) struct Command {
    /// Program and arguments; there is at least one.
    pub(super) words: Vec<String>,
    /// Variables besides those of this process.
    pub(super) variables: Vec<(String, String)>,
    /// Where its output goes.
    pub(super) output: Output,
}

/// Where a command's output goes.
pub(super) enum Output {
    /// Where this process's output goes.
    Inherited,
    /// The same, with a prefix before each line.
    Prefixed(String),
}

impl Command {
    /// Runs it to its end. It gets every signal that this process gets; after the
    /// second one, or when it takes too long to end, it is killed.
    pub(super) async fn run(self, mut signals: Signals) -> io::Result<ExitStatus> {
        let mut command = tokio::process::Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .envs(self.variables)
            .kill_on_drop(true);
        if let Output::Prefixed(_) = &self.output {
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
        }
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let prefix = match self.output {
            Output::Inherited => String::new(),
            Output::Prefixed(prefix) => prefix,
        };
        let (status, (), ()) = tokio::join!(
            wait(&mut child, &mut signals),
            copy(stdout, &prefix, io::stdout()),
            copy(stderr, &prefix, io::stderr()),
        );
        status
    }
}

async fn wait(child: &mut Child, signals: &mut Signals) -> io::Result<ExitStatus> {
    let mut overdue = false;
    loop {
        tokio::select! {
            status = child.wait() => return status,
            number = signals.next() => {
                if overdue {
                    child.start_kill()?;
                } else {
                    forward(child, number);
                }
                overdue = true;
            }
            () = sleep(GRACE), if overdue => child.start_kill()?,
        }
    }
}

/// Passes a signal on. Ctrl-C in a terminal goes to the whole foreground process
/// group, so the command has it already.
fn forward(child: &Child, number: u8) {
    let from_terminal = i32::from(number) == Signal::INT.as_raw() && io::stdin().is_terminal();
    if from_terminal {
        return;
    }
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(i32::from(number))) {
        // It may have ended just now.
        let _ = kill_process(pid, signal);
    }
}

async fn copy(from: Option<impl AsyncRead + Unpin>, prefix: &str, mut to: impl io::Write) {
    let Some(from) = from else { return };
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while let Ok(1..) = reader.read_until(b'\n', &mut line).await {
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        // One write a line, so that lines of workers do not mix.
        let whole = [format!("{prefix} | ").as_bytes(), &line].concat();
        let _ = to.write_all(&whole);
        line.clear();
    }
}
