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
            .env("DOCKER_HOST", &engine.host)
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

/// Runs the tests of the workspace and those of the sample images.
pub fn test(engine: &Engine, workspace: &Workspace, extra: &[String]) -> Result<()> {
    images::ensure(engine, workspace)?;
    let workspace_tests = |arguments: &[&str], extra: &[String]| {
        process::run(
            cargo()
                .args(arguments)
                .arg("--workspace")
                .arg("--target-dir")
                .arg(&workspace.target)
                .args(extra)
                .env("DOCKER_HOST", &engine.host)
                .current_dir(&workspace.root),
        )
    };
    println!("Testing the workspace:");
    if process::output(cargo().args(["nextest", "--version"])).is_some() {
        workspace_tests(&["nextest", "run"], extra)?;
        // nextest leaves these out.
        workspace_tests(&["test", "--doc"], &[])?;
    } else {
        workspace_tests(&["test"], extra)?;
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
