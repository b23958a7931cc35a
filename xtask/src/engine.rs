//! A container engine that answers, and the command that talks to it.

use std::env;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::workspace::Workspace;
use crate::{Result, install, podman, process, start};

pub const DOCKER_SOCKET: &str = "unix:///var/run/docker.sock";

const TIMEOUT: Duration = Duration::from_secs(3);

/// A running engine.
pub struct Engine {
    host: String,
    /// `docker` or `podman`.
    program: &'static str,
    /// Podman by its own name, not as an engine that speaks Docker's API.
    pub is_podman: bool,
}

impl Engine {
    /// Uses an engine that runs, or starts one that is installed, or installs
    /// one.
    pub fn ensure(workspace: &Workspace) -> Result<Self> {
        if let Ok(host) = env::var("DOCKER_HOST")
            && !host.is_empty()
        {
            // Whoever names an engine wants that one, not another.
            if !answers(&host) {
                return Err(format!("no engine answers at DOCKER_HOST={host}").into());
            }
            return Self::at(host);
        }
        if let Some(host) = running() {
            return Self::at(host);
        }
        if !start::is_installed() {
            println!("No container engine answers, and none is installed.");
            install::docker()?;
        }
        // Installing may have started it.
        if !answers(DOCKER_SOCKET) {
            start::docker(&workspace.target)?;
        }
        Self::at(DOCKER_SOCKET.to_owned())
    }

    /// Uses a Podman that runs, or starts one that is installed, or installs it.
    pub fn ensure_podman(workspace: &Workspace) -> Result<Self> {
        let named = env::var("CONTAINER_HOST").ok().filter(|it| !it.is_empty());
        let host = named.clone().unwrap_or_else(podman::default_host);
        if !answers(&host) {
            if named.is_some() {
                return Err(format!("no engine answers at CONTAINER_HOST={host}").into());
            }
            if !process::exists("podman") {
                println!("Podman does not answer, and is not installed.");
                install::podman()?;
            }
            podman::start(&host, &workspace.target)?;
        }
        println!("Engine: {host}, by `podman`");
        Ok(Self {
            host,
            program: "podman",
            is_podman: true,
        })
    }

    /// The variables by which others find this engine and no other.
    pub fn variables(&self) -> Vec<(&'static str, &str)> {
        if self.is_podman {
            vec![
                ("STACKRUN_ENGINE", "podman"),
                ("CONTAINER_HOST", &self.host),
            ]
        } else {
            vec![("DOCKER_HOST", &self.host)]
        }
    }

    /// Says how to have stackrun use this engine.
    pub fn advise(&self) {
        println!("To use it:\n");
        for (name, value) in self.variables() {
            println!("  export {name}={value}");
        }
    }

    /// A command of the engine's own client.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        if self.program == "podman" {
            command.args(["--remote", "--url", &self.host]);
        } else {
            command.env("DOCKER_HOST", &self.host);
        }
        command
    }

    fn at(host: String) -> Result<Self> {
        // Docker's client speaks to Podman too, but not the other way round.
        let program = if host.contains("podman") && process::exists("podman") {
            "podman"
        } else {
            "docker"
        };
        if !process::exists(program) {
            println!("An engine answers at {host}, but there is no `docker` to build images with.");
            install::docker()?;
        }
        println!("Engine: {host}, by `{program}`");
        Ok(Self {
            host,
            program,
            is_podman: false,
        })
    }
}

/// Whether the environment names Podman, as it does for stackrun.
pub fn podman_is_named() -> bool {
    env::var("STACKRUN_ENGINE").is_ok_and(|engine| engine == "podman")
}

/// The first of the usual places where an engine answers.
fn running() -> Option<String> {
    let mut hosts = vec![DOCKER_SOCKET.to_owned()];
    if let Some(folder) = env::var_os("XDG_RUNTIME_DIR") {
        let folder = Path::new(&folder);
        for socket in ["docker.sock", "podman/podman.sock"] {
            hosts.push(format!("unix://{}", folder.join(socket).display()));
        }
    }
    hosts.push("unix:///run/podman/podman.sock".to_owned());
    hosts.into_iter().find(|host| answers(host)).or_else(|| {
        // A desktop's engine is known to its client only.
        let mut inspect = Command::new("docker");
        inspect.args([
            "context",
            "inspect",
            "--format",
            "{{.Endpoints.docker.Host}}",
        ]);
        process::output(&mut inspect).filter(|host| answers(host))
    })
}

/// Whether an engine answers at an address such as `DOCKER_HOST` holds.
pub fn answers(host: &str) -> bool {
    let answer = if let Some(path) = host.strip_prefix("unix://") {
        UnixStream::connect(path).and_then(|stream| {
            stream.set_read_timeout(Some(TIMEOUT))?;
            ping(stream)
        })
    } else if let Some(address) = host.strip_prefix("tcp://")
        && env::var_os("DOCKER_TLS_VERIFY").is_none()
    {
        TcpStream::connect(address).and_then(|stream| {
            stream.set_read_timeout(Some(TIMEOUT))?;
            ping(stream)
        })
    } else {
        // By ssh or TLS, which its client speaks.
        let mut version = Command::new("docker");
        version.args(["--host", host, "version"]);
        return process::output(&mut version).is_some();
    };
    answer.is_ok_and(|answer| {
        answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200")
    })
}

fn ping(mut stream: impl Read + Write) -> std::io::Result<String> {
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn serve_once(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let host = format!("tcp://{}", listener.local_addr().expect("an address"));
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("someone connects");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
        });
        host
    }

    #[test]
    fn an_engine_is_what_answers_a_ping() {
        assert!(answers(&serve_once("HTTP/1.1 200 OK\r\n\r\nOK")));
        assert!(!answers(&serve_once("HTTP/1.1 404 Not Found\r\n\r\n")));
        assert!(!answers("unix:///nowhere/docker.sock"));
    }
}
