//! Runs a program, and watches its memory.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// Runs a program to its end; returns the peak of its resident memory in KiB, looked at
/// every few milliseconds.
pub fn run(program: &str, arguments: &[&str]) -> u64 {
    let mut child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut peak = 0;
    loop {
        peak = peak.max(resident_peak(child.id()).unwrap_or_default());
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{program} {arguments:?}: {status}");
            return peak;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn resident_peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}
