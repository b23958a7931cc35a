//! The image that tests run: `tests/fixture`, linked statically, in an image that holds
//! little else.
//!
//! It is built with `cargo` and loaded into the engine when the engine does not have
//! it. A digest of the sources is the image's tag, so that a change of the sources makes
//! a new image, and tests of two checkouts do not disturb each other.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use futures::TryStreamExt;
use serde_json::{Value, json};
use stackrun::engine::Engine;

use super::archive;

/// A file of the image, for what happens to volumes that are mounted over it.
pub const SEED: (&str, &str) = ("/seed/file", "from the image");

/// Ports that the image declares: these two, and 9000 for UDP.
pub const EXPOSED: [u16; 2] = [8080, 8081];

/// The image's tag; the engine has it when this returns.
pub async fn image(engine: &dyn Engine) -> String {
    let tag = tag();
    if !is_loaded(engine, &tag).await {
        // Other test processes wait here, and then find the image.
        let _lock = lock().await;
        if !is_loaded(engine, &tag).await {
            load(engine, &tag).await;
        }
    }
    tag
}

/// The same image with a health check of its own: healthy while `/healthy` exists.
pub async fn checked_image(engine: &dyn Engine) -> String {
    checked(&image(engine).await)
}

/// A client that can ask the engine what stackrun does not.
pub fn client(engine: &dyn Engine) -> bollard::Docker {
    bollard::Docker::connect_with_host(&engine.info().endpoint).expect("the engine's address")
}

async fn is_loaded(engine: &dyn Engine, tag: &str) -> bool {
    engine.image(tag).await.expect("an image or none").is_some()
}

fn tag() -> String {
    let mut sources = Vec::new();
    for path in source_files() {
        sources.extend(fs::read(&path).expect("a source file"));
    }
    // How the image is put together is part of what it is.
    sources.extend_from_slice(include_bytes!("fixture.rs"));
    sources.extend_from_slice(include_bytes!("archive.rs"));
    format!("stackrun-fixture:{}", &archive::digest(&sources)[..12])
}

fn checked(tag: &str) -> String {
    format!("{tag}-checked")
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture")
}

fn source_files() -> Vec<PathBuf> {
    let sources = sources();
    let entries = fs::read_dir(sources.join("src")).expect("the fixture's sources");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.push(sources.join("Cargo.toml"));
    files.sort();
    files
}

async fn lock() -> File {
    tokio::task::spawn_blocking(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixture.lock");
        let file = File::create(path).expect("a lock file");
        file.lock().expect("the lock");
        file
    })
    .await
    .expect("no panic")
}

async fn load(engine: &dyn Engine, tag: &str) {
    let program = tokio::task::spawn_blocking(build).await.expect("a build");
    let files = [
        archive::File {
            path: "fixture",
            mode: 0o755,
            content: &program,
        },
        archive::File {
            path: SEED.0.trim_start_matches('/'),
            mode: 0o644,
            content: SEED.1.as_bytes(),
        },
    ];
    // The one with the plain tag comes last: it is the one that is looked for.
    let configs = [
        (checked(tag), config_with_check()),
        (tag.to_owned(), config()),
    ];
    let archive = archive::images(&files, &configs);
    let options = bollard::query_parameters::ImportImageOptions::default();
    client(engine)
        .import_image(options, bollard::body_full(archive.into()), None)
        .try_collect::<Vec<_>>()
        .await
        .expect("the engine takes the image");
}

fn config() -> Value {
    json!({
        "Entrypoint": ["/fixture"],
        "Cmd": ["print", "the image's command"],
        "Env": ["FROM_IMAGE=yes"],
        "ExposedPorts": { "8080/tcp": {}, "8081/tcp": {}, "9000/udp": {} },
    })
}

fn config_with_check() -> Value {
    let milliseconds = 1_000_000_i64;
    let mut config = config();
    config["Healthcheck"] = json!({
        "Test": ["CMD", "/fixture", "exists", "/healthy"],
        "Interval": 100 * milliseconds,
        "Timeout": 10_000 * milliseconds,
        "StartPeriod": 5_000 * milliseconds,
        "Retries": 2,
    });
    config
}

/// Builds the program, linked so that it needs no other file.
fn build() -> Vec<u8> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixture");
    let output = Command::new(env!("CARGO"))
        .current_dir(sources())
        .args(["build", "--release", "--locked", "--offline"])
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .output()
        .expect("cargo");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "the fixture does not build:\n{words}"
    );
    fs::read(target.join("release/fixture")).expect("the program")
}
