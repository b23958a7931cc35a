//! The images of the sample stack, and the one that tests run.
//!
//! Binaries are compiled on the host where that makes Linux binaries, since it
//! needs no base image and keeps what it has compiled; elsewhere inside the
//! engine. Whether an image is up to date is written on the image itself.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::engine::Engine;
use crate::process::{self, cargo};
use crate::workspace::Workspace;

/// An image that is built from a crate of this repository.
pub struct Image {
    /// Name of its binary.
    pub name: &'static str,
    /// Its folder, from the root.
    pub folder: &'static str,
    tag: &'static str,
}

/// All of them.
pub const ALL: [Image; 4] = [
    Image {
        name: "backend",
        folder: "images/backend",
        tag: "stackrun-sample/backend:dev",
    },
    Image {
        name: "gateway",
        folder: "images/gateway",
        tag: "stackrun-sample/gateway:dev",
    },
    Image {
        name: "frontend",
        folder: "images/frontend",
        tag: "stackrun-sample/frontend:dev",
    },
    Image {
        name: "fixture",
        folder: "tests/fixture",
        tag: "stackrun-fixture:dev",
    },
];

const LABEL: &str = "dev.stackrun.sources";

/// Builds each image whose sources have changed since it was built.
pub fn ensure(engine: &Engine, workspace: &Workspace) -> Result<()> {
    for Image { name, folder, tag } in ALL {
        let folder = workspace.root.join(folder);
        let sources = fingerprint(&folder)?;
        if built_from(engine, tag).as_deref() == Some(sources.as_str()) {
            println!("Image {tag} is up to date");
            continue;
        }
        println!("Building image {tag}:");
        let mut build = engine.command();
        build.args(["build", "--tag", tag]);
        build.args(["--label", &format!("{LABEL}={sources}")]);
        if cfg!(target_os = "linux") {
            compile(workspace, name, &folder)?;
            build.args(["--target", "prebuilt"]);
        }
        process::run(build.arg(&folder))?;
    }
    Ok(())
}

/// The fingerprint of the sources that an image was built from.
fn built_from(engine: &Engine, tag: &str) -> Option<String> {
    let format = format!("{{{{index .Config.Labels \"{LABEL}\"}}}}");
    let mut inspect = engine.command();
    process::output(inspect.args(["image", "inspect", "--format", &format, tag]))
}

/// Compiles a static binary and puts it where the Dockerfile takes it from.
fn compile(workspace: &Workspace, name: &str, folder: &Path) -> Result<()> {
    let host = host_triple()?;
    let mut flags = env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(" -C target-feature=+crt-static");
    process::run(
        cargo()
            .args(["build", "--release", "--locked"])
            // Named even though it is the host: only then do the flags leave
            // procedural macros alone, which cannot be static.
            .args(["--target", &host])
            .arg("--manifest-path")
            .arg(folder.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(workspace.images_target())
            .env("RUSTFLAGS", flags.trim()),
    )?;
    let binary = workspace
        .images_target()
        .join(host)
        .join("release")
        .join(name);
    let dist = folder.join("dist");
    fs::create_dir_all(&dist)?;
    fs::copy(binary, dist.join(name))?;
    Ok(())
}

fn host_triple() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = process::output(Command::new(rustc).arg("-vV")).ok_or("rustc does not run")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc does not tell its host")?.to_owned())
}

/// A number that changes whenever a file of the folder does. What is built
/// there is no source of it.
fn fingerprint(folder: &Path) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    hash_folder(folder, &mut hasher)?;
    Ok(format!("{:016x}", hasher.finish()))
}

fn hash_folder(folder: &Path, hasher: &mut impl Hasher) -> Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        if name == "target" || name == "dist" || name == "tests" {
            continue;
        }
        name.hash(hasher);
        if entry.file_type()?.is_dir() {
            hash_folder(&entry.path(), hasher)?;
        } else {
            fs::read(entry.path())?.hash(hasher);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_follows_the_sources_only() -> Result<()> {
        let folder = env::temp_dir().join(format!("xtask-fingerprint-{}", std::process::id()));
        fs::create_dir_all(folder.join("src"))?;
        fs::create_dir_all(folder.join("dist"))?;
        fs::write(folder.join("src/main.rs"), "one")?;
        let before = fingerprint(&folder)?;
        fs::write(folder.join("dist/binary"), "built")?;
        assert_eq!(fingerprint(&folder)?, before);
        fs::write(folder.join("src/main.rs"), "two")?;
        assert_ne!(fingerprint(&folder)?, before);
        fs::remove_dir_all(&folder)?;
        Ok(())
    }
}
