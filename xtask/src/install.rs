//! Installing Docker, where that is one command and allowed.

use std::fs;
use std::process::Command;

use crate::{Result, process};

/// Installs Docker, its client included, or says what to install.
pub fn docker() -> Result<()> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !is_debian(&release) {
        return Err("install Docker or Podman and start it; any engine with \
                    Docker's API will do, named by DOCKER_HOST"
            .into());
    }
    if !process::is_root() {
        return Err("install Docker: `sudo apt-get install docker.io`".into());
    }
    println!("Installing Debian's docker.io:");
    process::run(apt_get().arg("update"))?;
    process::run(apt_get().args(["install", "--yes", "docker.io"]))?;
    // A package of its own in later releases, part of docker.io before.
    if !process::exists("docker") {
        process::run(apt_get().args(["install", "--yes", "docker-cli"]))?;
    }
    Ok(())
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
