//! A sealed place for one test: a directory, a project name that no other test has, an
//! empty environment, and a promise that nothing is left behind.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::Value;
use stackrun::spec::SessionName;
use tempfile::TempDir;

/// The image of `tests/fixture`.
pub const FIXTURE: &str = "stackrun-fixture:dev";

/// A Compose file in a directory of its own.
pub struct Stack {
    directory: TempDir,
    pub project: String,
}

/// What a command has ended with.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Stack {
    /// `services` is the body of the file below `services:`; `$IMAGE` in it is the
    /// fixture.
    pub fn new(services: &str) -> Self {
        Self::file(&format!("services:\n{services}"))
    }

    /// A whole file.
    pub fn file(text: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let stack = Self::bare(&format!("test-{}-{number}", std::process::id()));
        stack.write(text);
        stack
    }

    /// No file at all.
    pub fn bare(project: &str) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            project: project.to_owned(),
        }
    }

    /// Replaces the file.
    pub fn write(&self, text: &str) {
        let text = text.replace("$IMAGE", FIXTURE);
        fs::write(self.path("compose.yaml"), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The session that `up` makes here.
    pub fn session(&self) -> String {
        let directory = self.directory.path().canonicalize().unwrap();
        SessionName::of(&self.project.parse().unwrap(), &directory).to_string()
    }

    /// A file of that session.
    pub fn state(&self, file: &str) -> PathBuf {
        self.path(&format!(".stackrun/{}/{file}", self.session()))
    }

    /// A log file of that session.
    pub fn log(&self, worker: u32, file: &str) -> String {
        fs::read_to_string(self.state(&format!("logs/worker-{worker}/{file}"))).unwrap()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stackrun"));
        command
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.directory.path())
            .args(["-p", &self.project])
            .args(arguments);
        for name in ["DOCKER_HOST", "CONTAINER_HOST", "STACKRUN_ENGINE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    /// Runs `stackrun -p PROJECT …` to its end.
    pub fn stackrun(&self, arguments: &[&str]) -> Output {
        Output::of(self.command(arguments))
    }

    /// The same, which has to succeed.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> Output {
        let output = self.stackrun(arguments);
        assert_eq!(output.code, 0, "stackrun {arguments:?}: {output:#?}");
        output
    }

    /// The same, with JSON on standard output.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.ok(arguments);
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:#?}"))
    }

    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Name of the container on the engine.
    pub fn container(&self, worker: u32, service: &str) -> String {
        format!("{}-w{worker}-{service}", self.session())
    }

    /// What the engine says of one container.
    pub fn inspect(&self, worker: u32, service: &str) -> Value {
        inspect(&self.container(worker, service))
    }

    /// Everything on the engine that belongs to the project, in any session.
    pub fn left(&self) -> Vec<String> {
        let filter = format!("label=dev.stackrun.project={}", self.project);
        let lists: [&[&str]; 3] = [
            &["ps", "-a", "--format", "container {{.Names}}"],
            &["network", "ls", "--format", "network {{.Name}}"],
            &["volume", "ls", "--format", "volume {{.Name}}"],
        ];
        let list = |arguments: &[&str]| docker(&[arguments, &["--filter", &filter]].concat());
        lists
            .into_iter()
            .flat_map(|list_of| list(list_of).lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    #[track_caller]
    pub fn assert_nothing_left(&self) {
        assert_eq!(self.left(), Vec::<String>::new());
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for thing in self.left() {
            let (kind, name) = thing.split_once(' ').expect("a kind and a name");
            let arguments: &[&str] = match kind {
                "container" => &["rm", "-f", "-v"],
                kind => &[kind, "rm"],
            };
            let _ = client().args(arguments).arg(name).output();
        }
    }
}

impl Output {
    pub fn of(mut command: Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Whether the tests run on Podman, for what it does in another way.
pub fn is_podman() -> bool {
    std::env::var("STACKRUN_ENGINE").is_ok_and(|engine| engine == "podman")
}

/// The engine's own command.
pub fn client() -> Command {
    if !is_podman() {
        return Command::new("docker");
    }
    let mut command = Command::new("podman");
    // The service knows how it was set up; a Podman without it may not.
    command.arg("--remote");
    if let Some(host) = std::env::var_os("CONTAINER_HOST") {
        command.arg("--url").arg(host);
    }
    command
}

/// What the engine says, by its own command.
#[track_caller]
pub fn docker(arguments: &[&str]) -> String {
    let output = client()
        .args(arguments)
        .output()
        .expect("the engine's command is there");
    assert!(
        output.status.success(),
        "docker {arguments:?}: {} (`cargo xtask engine` starts an engine, `cargo xtask images` \
         builds the images)",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

pub fn inspect(container: &str) -> Value {
    let mut list: Vec<Value> = serde_json::from_str(&docker(&["inspect", container])).unwrap();
    list.remove(0)
}

/// Waits until something holds; how long is the test runner's business.
pub fn eventually(what: impl Fn() -> bool) {
    while !what() {
        std::thread::yield_now();
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}
