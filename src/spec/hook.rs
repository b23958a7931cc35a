//! Commands that run in a container at a moment of its life.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// An entry of `post_start` or `pre_stop`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hook {
    /// Program and arguments.
    pub command: Vec<String>,
    /// `user[:group]`; the container's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Run it with all capabilities.
    #[serde(default)]
    pub privileged: bool,
    /// Working directory; the container's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Further environment variables.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub environment: IndexMap<String, String>,
}
