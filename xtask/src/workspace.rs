//! Where things are.

use std::env;
use std::path::{Path, PathBuf};

use crate::Result;

/// The folders of this repository.
pub struct Workspace {
    pub root: PathBuf,
    pub target: PathBuf,
}

impl Workspace {
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .ok_or("the folder of xtask has no parent")?
            .to_owned();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(target) => std::path::absolute(target)?,
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// One target folder for all sample images, so that they share what they
    /// depend on, next to the workspace's own, so that one cache holds both.
    pub fn images_target(&self) -> PathBuf {
        self.target.join("images")
    }
}
