//! Newtypes for the names of things, so that a service is never taken for a
//! session.

use std::{borrow::Borrow, fmt, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A name that breaks the rules for its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {kind} name `{name}`: {rule}")]
pub struct InvalidName {
    /// What was to be named: `service`, `project`, `session`.
    pub kind: &'static str,
    /// The name as it was given.
    pub name: String,
    /// The rule it breaks, as a sentence fragment.
    pub rule: &'static str,
}

macro_rules! string_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

string_name! {
    /// The key of a service in the Compose file: `[a-zA-Z0-9._-]+`.
    ServiceName
}

string_name! {
    /// The name of a session: all workers of one `up` or `run`. It follows the rule
    /// of the Compose Specification for project names, because it becomes the
    /// prefix of every container, network and volume: `[a-z0-9][a-z0-9_-]*`.
    SessionName
}

impl SessionName {
    /// The session that belongs to a project where it lives: `parts-3fa9c1`.
    ///
    /// Two working copies of one project have the same project name, and often the same
    /// folder name; the digest of `directory` (absolute, without symbolic links) keeps
    /// their containers, networks, volumes and built images apart.
    pub fn of(project: &Self, directory: &Path) -> Self {
        let digest = Sha256::digest(directory.as_os_str().as_encoded_bytes());
        let [a, b, c] = [digest[0], digest[1], digest[2]];
        Self(format!("{project}-{a:02x}{b:02x}{c:02x}"))
    }
}

impl FromStr for ServiceName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !name.is_empty() && name.chars().all(legal) {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidName {
                kind: "service",
                name: name.to_owned(),
                rule: "only letters, digits, `.`, `_` and `-` are allowed",
            })
        }
    }
}

impl FromStr for SessionName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if starts_well && name.chars().all(legal) {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidName {
                kind: "project",
                name: name.to_owned(),
                rule: "it must start with a lower-case letter or a digit and hold only \
                       lower-case letters, digits, `_` and `-`",
            })
        }
    }
}

/// The number of a worker, from 0. Prints as `w0`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct WorkerId(pub u32);

impl WorkerId {
    /// The first `count` workers.
    pub fn first(count: u32) -> impl Iterator<Item = Self> {
        (0..count).map(Self)
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("w{}", self.0))
    }
}
