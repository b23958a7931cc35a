//! Installing an engine, where that is one command and allowed.

use std::fs;
use std::process::Command;

use crate::{Result, process};

/// Installs Docker, its client included, or says what to install.
pub fn docker() -> Result<()> {
    packages(&["docker.io"], &[])?;
    // A package of its own in later releases, part of docker.io before.
    if !process::exists("docker") {
        process::run(apt_get().args(["install", "--yes", "docker-cli"]))?;
    }
    Ok(())
}

/// Installs Podman with what it needs to run Compose stacks, or says what to install.
pub fn podman() -> Result<()> {
    packages(
        &[
            "podman",
            // Networks, and the names in them.
            "netavark",
            "aardvark-dns",
            "iptables",
            // For services with `init: true`.
            "catatonit",
        ],
        // What it recommends beyond is for builds from other images and for users
        // without root.
        &["--no-install-recommends"],
    )
}

fn packages(names: &[&str], options: &[&str]) -> Result<()> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !is_debian(&release) {
        return Err("install Docker or Podman and start it; any engine with \
                    Docker's API will do, named by DOCKER_HOST"
            .into());
    }
    let names_shown = names.join(" ");
    if !process::is_root() {
        return Err(format!("install it: `sudo apt-get install {names_shown}`").into());
    }
    println!("Installing Debian's {names_shown}:");
    process::run(apt_get().arg("update"))?;
    process::run(
        apt_get()
            .args(["install", "--yes"])
            .args(options)
            .args(names),
    )
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Whether an os-release file is that of Debian, Ubuntu or one of their kin.
fn is_debian(release: &str) -> bool {
    release
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| matches!(*key, "ID" | "ID_LIKE"))
        .flat_map(|(_, value)| value.trim_matches('"').split(' '))
        .any(|id| id == "debian" || id == "ubuntu")
}

#[cfg(test)]
mod tests {
    use super::is_debian;

    #[test]
    fn kin_of_debian_are_known_by_their_release() {
        assert!(is_debian("NAME=\"Debian\"\nID=debian"));
        assert!(is_debian("ID=linuxmint\nID_LIKE=\"ubuntu debian\""));
        assert!(!is_debian("ID=fedora\nHOME_URL=\"https://debian.example\""));
    }
}
