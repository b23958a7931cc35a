//! The commands that need an engine and the images.

use std::process::Command;

use crate::Result;
use crate::engine::Engine;
use crate::images;
use crate::process::{self, cargo};
use crate::workspace::Workspace;

const STACK: &str = "compose/compose.yaml";

/// Runs four copies of the sample stack, and says what to do with them.
pub fn demo(engine: &Engine, workspace: &Workspace, extra: &[String]) -> Result<()> {
    images::ensure(engine, workspace)?;
    println!("Building stackrun:");
    process::run(
        cargo()
            .args(["build", "--release", "--package", "stackrun"])
            .arg("--target-dir")
            .arg(&workspace.target)
            .current_dir(&workspace.root),
    )?;
    let stackrun = workspace.target.join("release/stackrun");
    println!("Starting four copies of the sample stack:");
    process::run(
        Command::new(&stackrun)
            .args(["-f", STACK, "up", "-d", "--workers", "4"])
            .args(extra)
            .envs(engine.variables())
            .current_dir(&workspace.root),
    )?;
    let stackrun = stackrun.display();
    println!(
        "
They run. In {root}, try:

  {stackrun} -f {STACK} ps      what runs, and where
  {stackrun} -f {STACK} env     the addresses; open a FRONTEND_URL
  {stackrun} -f {STACK} logs    what they say
  {stackrun} -f {STACK} down    the end",
        root = workspace.root.display()
    );
    Ok(())
}

/// Those that need an engine, and do not care which one.
const ENGINE_TESTS: [&str; 6] = [
    "--package",
    "stackrun",
    "--test",
    "engine",
    "--test",
    "live",
];

/// Runs the tests of the workspace and those of the sample images; with Podman, those
/// that it has a part in.
pub fn test(engine: &Engine, workspace: &Workspace, extra: &[String]) -> Result<()> {
    images::ensure(engine, workspace)?;
    let workspace_tests = |arguments: &[&str], extra: &[String]| {
        process::run(
            cargo()
                .args(arguments)
                .arg("--target-dir")
                .arg(&workspace.target)
                .args(extra)
                .envs(engine.variables())
                .current_dir(&workspace.root),
        )
    };
    let has_nextest = process::output(cargo().args(["nextest", "--version"])).is_some();
    let runner: &[&str] = if has_nextest {
        &["nextest", "run"]
    } else {
        &["test"]
    };
    if engine.is_podman {
        println!("Testing with Podman:");
        return workspace_tests(&[runner, &ENGINE_TESTS].concat(), extra);
    }
    println!("Testing the workspace:");
    workspace_tests(&[runner, &["--workspace"]].concat(), extra)?;
    if has_nextest {
        // nextest leaves these out.
        workspace_tests(&["test", "--workspace", "--doc"], &[])?;
    }
    for images::Image { name, folder, .. } in images::ALL {
        println!("Testing image {name}:");
        process::run(
            cargo()
                .args(["test", "--locked", "--manifest-path"])
                .arg(workspace.root.join(folder).join("Cargo.toml"))
                .arg("--target-dir")
                .arg(workspace.images_target()),
        )?;
    }
    Ok(())
}
