//! `security_opt: [seccomp=FILE]`: engines want the profile's text, not its path.

use std::path::{Path, PathBuf};

use super::{
    defaults::resources,
    diagnostic::Problem,
    discover::Setting,
    load::{Context, Failure},
    node::{Map, Node},
    source::{clean, join},
};
use crate::spec::Project;

/// Puts the profiles that services name into their options. The printed project keeps
/// the paths, as in Compose, which reads the profiles when it creates containers: one
/// that cannot be read does not make the file invalid, and is left to the engine to
/// refuse.
pub(super) fn read_profiles(
    project: &mut Project,
    tree: &Map,
    setting: &Setting,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    for (name, _, node) in resources(tree, "services") {
        let options = node.get("security_opt").and_then(Node::as_list);
        for item in options.unwrap_or_default() {
            let Some((option, file)) = item.as_str().and_then(|it| Some((it, profile(it)?))) else {
                continue;
            };
            let text = match read(file, item, setting, context) {
                Ok(text) => text,
                Err(Failure::Problems(problems)) => {
                    let warnings = problems.into_iter().map(Problem::into_warning);
                    warnings.for_each(|warning| context.warn(warning));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let service = project.services.get_mut(name);
            let options = service.into_iter().flat_map(|it| &mut it.security_opt);
            for it in options.filter(|it| *it == option) {
                *it = format!("seccomp={text}");
            }
        }
    }
    Ok(())
}

/// The file that an option names, if it names one.
fn profile(option: &str) -> Option<&str> {
    let (name, value) = option.split_once('=').or_else(|| option.split_once(':'))?;
    let is_file = name == "seccomp" && !matches!(value, "" | "unconfined" | "builtin");
    is_file.then_some(value)
}

/// The profile on one line.
fn read(
    file: &str,
    item: &Node,
    setting: &Setting,
    context: &mut Context<'_>,
) -> Result<String, Failure> {
    let path = path(file, setting);
    let what = "seccomp profile";
    let (_, text) = context.read_text(&path, Path::new(file), what, Some(item.span))?;
    let profile: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
        Problem::error(
            item.span,
            format!("the {what} `{file}` is not JSON: {error}"),
        )
    })?;
    Ok(profile.to_string())
}

/// Relative paths start in the project's directory, whichever file they are in.
fn path(file: &str, setting: &Setting) -> PathBuf {
    let home = setting.environment.get("HOME");
    match (file.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => clean(&Path::new(home).join(rest)),
        _ => join(&setting.directory, file),
    }
}
