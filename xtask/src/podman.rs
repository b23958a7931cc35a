//! Starting Podman's service.

use std::env;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Result, process, start};

/// Where Podman listens if nobody says otherwise.
pub fn default_host() -> String {
    match env::var("XDG_RUNTIME_DIR") {
        Ok(folder) if !process::is_root() => format!("unix://{folder}/podman/podman.sock"),
        _ => "unix:///run/podman/podman.sock".to_owned(),
    }
}

/// Starts the service and waits until it answers.
pub fn start(host: &str, target: &Path) -> Result<()> {
    if process::is_root() && Path::new("/run/systemd/system").exists() {
        println!("Podman is installed but does not listen. Starting its socket:");
        process::run(Command::new("systemctl").args(["start", "podman.socket"]))?;
        return start::wait(host, None);
    }
    start::check_requirements()?;
    let folder = target.join("podman");
    fs::create_dir_all(&folder)?;
    if let Some(parent) = host
        .strip_prefix("unix://")
        .and_then(|it| Path::new(it).parent())
    {
        fs::create_dir_all(parent)?;
    }
    let log = folder.join("service.log");
    println!(
        "Podman is installed but does not listen. Starting its service, log in {}",
        log.display()
    );
    let output = File::create(&log)?;
    let mut service = Command::new("podman");
    // Without a time, it ends when nobody has asked for anything for 5 s.
    service.args(["system", "service", "--time", "0", host]);
    if let Some(configuration) = lower_limits(&folder)? {
        service.env("CONTAINERS_CONF", configuration);
    }
    let mut service = service
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        // Out of reach of the Ctrl-C that ends us.
        .process_group(0)
        .spawn()?;
    start::wait(host, Some((&mut service, &log)))
}

/// Podman gives containers higher limits than its own, unless it is told not to, and
/// then no container starts where root may not raise limits, as in many sandboxes:
/// `error setting rlimit type 7`. Returns the configuration that tells it.
fn lower_limits(folder: &Path) -> Result<Option<PathBuf>> {
    let status = fs::read_to_string("/proc/self/status")?;
    if !process::is_root() || may_raise_limits(&status) {
        return Ok(None);
    }
    let limits = fs::read_to_string("/proc/self/limits")?;
    let files = hard_limit(&limits, "Max open files").unwrap_or(1_024);
    let processes = hard_limit(&limits, "Max processes").unwrap_or(u64::MAX);
    // Podman lowers its own to this.
    let most: u64 = fs::read_to_string("/proc/sys/kernel/pid_max")?
        .trim()
        .parse()?;
    let processes = processes.min(most);
    let path = folder.join("containers.conf");
    let limits = format!("\"nofile={files}:{files}\", \"nproc={processes}:{processes}\"");
    fs::write(
        &path,
        format!("[containers]\ndefault_ulimits = [{limits}]\n"),
    )?;
    println!(
        "Root may not raise limits here: containers get those of {}",
        path.display()
    );
    Ok(Some(path))
}

/// Reads `CAP_SYS_RESOURCE`, number 24, from `/proc/self/status`.
fn may_raise_limits(status: &str) -> bool {
    let mut lines = status.lines();
    let capabilities = lines.find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = capabilities.and_then(|it| u64::from_str_radix(it.trim(), 16).ok());
    capabilities.is_none_or(|capabilities| capabilities & (1 << 24) != 0)
}

/// Reads the second number of a line of `/proc/self/limits`.
fn hard_limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_lowered_only_where_they_cannot_be_raised() {
        assert!(may_raise_limits("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        assert!(!may_raise_limits("Name:\tx\nCapEff:\t000001fffeffffff\n"));
    }

    #[test]
    fn the_hard_limit_is_the_second_number() {
        let limits = "Limit           Soft Limit  Hard Limit  Units\n\
                      Max processes   10          unlimited   processes\n\
                      Max open files  1024        20000       files\n";
        assert_eq!(hard_limit(limits, "Max open files"), Some(20_000));
        assert_eq!(hard_limit(limits, "Max processes"), None);
    }
}
