//! Starting a Docker that is installed but does not run.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{DOCKER_SOCKET, answers};
use crate::{Result, process};

/// A first start creates storage and firewall rules, on slow disks too.
const DEADLINE: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(50);

/// Whether there is a Docker to start.
pub fn is_installed() -> bool {
    process::exists("dockerd")
}

/// Starts Docker and waits until it answers.
pub fn docker(logs: &Path) -> Result<()> {
    if !process::is_root() {
        return Err(
            "Docker is installed but does not run, and only root can start it: \
                    try `sudo systemctl start docker`"
                .into(),
        );
    }
    if Path::new("/run/systemd/system").exists() {
        println!("Docker is installed but does not run. Starting its service:");
        process::run(Command::new("systemctl").args(["start", "docker"]))?;
        return wait(DOCKER_SOCKET, None);
    }
    check_requirements()?;
    fs::create_dir_all(logs)?;
    let log = logs.join("dockerd.log");
    println!(
        "Docker is installed but does not run, nor does systemd. Starting `dockerd`, log in {}",
        log.display()
    );
    let output = File::create(&log)?;
    let mut daemon = Command::new("dockerd")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        // Out of reach of the Ctrl-C that ends us.
        .process_group(0)
        .spawn()?;
    wait(DOCKER_SOCKET, Some((&mut daemon, &log)))
}

/// Engines fail late and obscurely without these.
pub fn check_requirements() -> Result<()> {
    if !process::exists("iptables") {
        return Err("the engine needs iptables: install it".into());
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    if !has_cgroups(&mounts) {
        if !process::exists("cgroupfs-mount") {
            return Err("no cgroups are mounted: install cgroupfs-mount, or mount \
                        cgroup2 on /sys/fs/cgroup"
                .into());
        }
        println!("No cgroups are mounted. Mounting them:");
        process::run(&mut Command::new("cgroupfs-mount"))?;
    }
    Ok(())
}

fn has_cgroups(mounts: &str) -> bool {
    mounts
        .lines()
        .filter_map(|mount| mount.split(' ').nth(2))
        .any(|kind| kind == "cgroup" || kind == "cgroup2")
}

/// Waits for an answer. A daemon of ours that has ended will give none, and
/// its log says why.
pub fn wait(host: &str, mut daemon: Option<(&mut Child, &Path)>) -> Result<()> {
    print!("Waiting for the engine to answer");
    let started = Instant::now();
    while !answers(host) {
        if let Some((child, log)) = &mut daemon
            && let Some(status) = child.try_wait()?
        {
            println!();
            return Err(format!("it has ended, {status}:\n{}", last_lines(log)).into());
        }
        if started.elapsed() > DEADLINE {
            println!();
            let log = daemon.map_or_else(String::new, |(_, log)| last_lines(log));
            return Err(format!("it does not answer after {DEADLINE:?}\n{log}").into());
        }
        thread::sleep(POLL);
    }
    println!(": after {:.1} s", started.elapsed().as_secs_f64());
    std::io::stdout().flush()?;
    Ok(())
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::has_cgroups;

    #[test]
    fn either_version_of_cgroups_will_do() {
        assert!(has_cgroups("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0"));
        assert!(has_cgroups(
            "proc /proc proc rw 0 0\nx /sys/fs/cgroup/cpu cgroup rw 0 0"
        ));
        assert!(!has_cgroups("tmpfs /sys/fs/cgroup tmpfs rw 0 0"));
    }
}
