//! Configs and secrets: what is mounted from the host, and what is written into the
//! container.

use crate::spec::{
    FileMount, FileSource, Project, Service, SharedFile,
    desired::{FileBind, TextFile},
};

use super::PlanError;

/// Permission bits of a config or secret that asks for none.
const READABLE: u32 = 0o444;

/// The files of one container.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) binds: Vec<FileBind>,
    pub(super) texts: Vec<TextFile>,
}

/// Decides where the content of each config and secret of a service comes from.
pub(super) fn files(project: &Project, service: &Service) -> Result<Files, PlanError> {
    let mut files = Files::default();
    for (kind, mounts, declared) in kinds(project, service) {
        for mount in mounts {
            if let Some(shared) = declared.get(&mount.source) {
                files.add(kind, service, mount, shared)?;
            }
        }
    }
    Ok(files)
}

type Kind<'a> = (
    &'static str,
    &'a [FileMount],
    &'a indexmap::IndexMap<String, SharedFile>,
);

fn kinds<'a>(project: &'a Project, service: &'a Service) -> [Kind<'a>; 2] {
    [
        ("config", &service.configs, &project.configs),
        ("secret", &service.secrets, &project.secrets),
    ]
}

/// What the user should know about the files of all services.
pub(super) fn warnings(project: &Project) -> Vec<String> {
    let mut warnings = Vec::new();
    for service in project.services.values() {
        for (kind, mounts, declared) in kinds(project, service) {
            let is_mounted = |mount: &&FileMount| {
                let shared = declared.get(&mount.source);
                shared.is_some_and(|shared| matches!(shared.source, FileSource::File(_)))
            };
            let has_wishes = |mount: &&FileMount| {
                mount.uid.is_some() || mount.gid.is_some() || mount.mode.is_some()
            };
            for mount in mounts.iter().filter(is_mounted).filter(has_wishes) {
                warnings.push(format!(
                    "`uid`, `gid` and `mode` of {kind} `{}` in `{}` have no effect: it is a file of \
                     the host, which keeps its own",
                    mount.source, service.name
                ));
            }
        }
    }
    warnings
}

impl Files {
    fn add(
        &mut self,
        kind: &'static str,
        service: &Service,
        mount: &FileMount,
        shared: &SharedFile,
    ) -> Result<(), PlanError> {
        let refused = |why: String| PlanError::File {
            kind,
            name: mount.source.clone(),
            service: service.name.clone(),
            why,
        };
        let text = match &shared.source {
            FileSource::File(path) => {
                self.binds.push(FileBind {
                    source: path.clone(),
                    target: mount.target.clone(),
                });
                return Ok(());
            }
            FileSource::Environment { name, value: None } => {
                return Err(refused(format!("the variable `{name}` is not set")));
            }
            FileSource::External => {
                return Err(refused(
                    "it is external, and one host has no store for it".to_owned(),
                ));
            }
            FileSource::Environment {
                value: Some(text), ..
            }
            | FileSource::Content(text) => text,
        };
        if service.read_only {
            return Err(refused(
                "nothing can be written into a container that is `read_only`; only a `file` can be \
                 mounted there"
                    .to_owned(),
            ));
        }
        let id = |id: &Option<String>, what| match id {
            None => Ok(0),
            Some(id) => id
                .parse()
                .map_err(|_| refused(format!("its `{what}` must be a number, not `{id}`"))),
        };
        self.texts.push(TextFile {
            target: mount.target.clone(),
            text: text.clone(),
            uid: id(&mount.uid, "uid")?,
            gid: id(&mount.gid, "gid")?,
            mode: mount.mode.unwrap_or(READABLE),
        });
        Ok(())
    }
}
