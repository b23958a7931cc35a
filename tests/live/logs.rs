//! Not a byte of output is lost, moved or invented.

use std::fs;

use serde_json::Value;

use crate::support::Stack;

/// The peak of a process's resident memory in KiB, as long as it is there.
fn resident_peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[test]
fn a_million_lines_arrive_in_order_and_in_little_memory() {
    const LINES: usize = 500_000;
    let services = format!(
        "
  chatty: {{ image: $IMAGE, command: lines {LINES} }}
  end:
    image: $IMAGE
    command: sleep
    stop_signal: SIGKILL
    depends_on: {{ chatty: {{ condition: service_completed_successfully }} }}
  x: {{ image: $IMAGE, command: print }}
"
    );
    let services = services.replace("  x:", "  last:");
    let stack = Stack::new(&services);
    let mut child = stack.spawn(&["--quiet", "run", "--wait-timeout", "10m", "--", "true"]);
    let mut peak = 0;
    let status = loop {
        peak = peak.max(resident_peak(child.id()).unwrap_or_default());
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    };
    assert!(status.success());
    // A promise of the product, and no figure of speed.
    assert!(peak < 100 << 10, "{peak} KiB");

    let session = fs::read_dir(stack.path(".stackrun")).unwrap();
    let session = session
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_dir())
        .unwrap();
    let log = fs::read_to_string(session.join("logs/worker-0/chatty.log")).unwrap();
    for (source, word) in [("stdout", "out"), ("stderr", "err")] {
        let prefix = format!("[worker-0 chatty][{source}] ");
        let lines = log.lines().filter_map(|line| line.strip_prefix(&prefix));
        let mut count = 0;
        for (number, line) in lines.enumerate() {
            assert_eq!(line, format!("{word} {number}"));
            count += 1;
        }
        assert_eq!(count, LINES);
    }
    let records = fs::read_to_string(session.join("logs/worker-0/chatty.jsonl")).unwrap();
    assert_eq!(
        records
            .lines()
            .filter(|line| !line.contains("\"meta\""))
            .count(),
        2 * LINES
    );
}

#[test]
fn bytes_stay_as_they_are() {
    let stack = Stack::new(
        "
  raw: { image: $IMAGE, command: raw }
  long: { image: $IMAGE, command: long 3000000 }
  end:
    image: $IMAGE
    command: sleep
    stop_signal: SIGKILL
    depends_on:
      raw: { condition: service_completed_successfully }
      long: { condition: service_completed_successfully }
",
    );
    stack.ok(&["up", "-d"]);
    let directory = stack.state("logs/worker-0");
    let raw = fs::read(directory.join("raw.log")).unwrap();
    // Of a line without an end it is known when the container is over that it is whole:
    // other news may come before it.
    for expected in [
        &b"[worker-0 raw][stdout] caf\xe9 \xff\x00\n"[..],
        b"[worker-0 raw][stdout] no line feed at the end\n",
    ] {
        assert!(
            raw.windows(expected.len()).any(|window| window == expected),
            "{}",
            raw.escape_ascii()
        );
    }
    let records = fs::read_to_string(directory.join("raw.jsonl")).unwrap();
    assert!(records.contains("\"base64\":\"Y2Fm6SD/AA==\""), "{records}");
    assert!(
        records.contains("\"text\":\"no line feed at the end\",\"ended\":false"),
        "{records}"
    );
    let long = stack.log(0, "long.jsonl");
    let text = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["text"]
            .as_str()
            .unwrap()
            .len()
    };
    let pieces = long
        .lines()
        .filter(|line| line.contains("\"stdout\""))
        .map(text);
    assert_eq!(pieces.sum::<usize>(), 3_000_000);
}

const TALKER: &str = "
  talker:
    image: $IMAGE
    command: print one then complain two then print three then sleep
    stop_signal: SIGKILL
    x-stackrun: { ready: { log: three } }
";

#[test]
fn the_logs_of_a_detached_session_come_from_the_engine() {
    let stack = Stack::new(TALKER);
    stack.ok(&["up", "-d", "-n", "2"]);
    fs::remove_dir_all(stack.path(".stackrun")).unwrap();
    let all = stack.ok(&["logs"]).stdout;
    assert_eq!(all.lines().count(), 6, "{all}");
    let one = stack.ok(&["logs", "--worker", "1"]).stdout;
    let mut lines: Vec<&str> = one.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["w1 talker | one", "w1 talker | three", "w1 talker | two"]
    );
    assert_eq!(
        stack
            .ok(&["logs", "--tail", "1", "-w", "0"])
            .stdout
            .lines()
            .count(),
        1
    );
    assert_eq!(
        stack.ok(&["logs", "--since", "1h"]).stdout.lines().count(),
        6
    );
    assert_eq!(stack.ok(&["logs", "--until", "1h"]).stdout, "");
    let stamped = stack.ok(&["logs", "-t", "-w", "0"]).stdout;
    let stamp = stamped.lines().next().unwrap().split(' ').nth(3).unwrap();
    assert!(stamp.parse::<jiff::Timestamp>().is_ok(), "{stamp}");
    let json = stack.ok(&["logs", "--format", "json", "-w", "0"]).stdout;
    let sources = json
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["source"].clone());
    assert_eq!(sources.filter(|source| source == "stderr").count(), 1);
}

#[test]
fn following_ends_with_the_containers() {
    let stack = Stack::new(TALKER);
    stack.ok(&["up", "-d"]);
    let follower = stack.spawn(&["logs", "-f"]);
    stack.ok(&["down", "-v"]);
    let output = follower.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("w0 talker | three"));
}

#[test]
fn logs_can_be_watched_while_waiting() {
    let stack = Stack::new(TALKER);
    let output = stack.ok(&["up", "-d", "--logs"]);
    assert!(
        output.stdout.contains("w0 talker | two"),
        "{}",
        output.stdout
    );
}
