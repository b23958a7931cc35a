//! Building images.

use std::{fs, path::Path};

use futures::StreamExt;
use stackrun::{
    engine::{BuildProgress, BuildUpdate, EngineError, EngineKind},
    spec::{BuildContext, BuildSecret, BuildSpec, Secret, SecretSource},
};
use tempfile::TempDir;

use crate::support::{Scene, eventually, fixture};

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    directory
}

async fn try_to_build(
    scene: &Scene,
    spec: &BuildSpec,
) -> Result<Vec<BuildProgress>, (Vec<BuildProgress>, EngineError)> {
    let mut told = Vec::new();
    let mut steps = scene.engine.build(spec).await;
    while let Some(step) = steps.next().await {
        match step {
            Ok(step) => told.push(step),
            Err(error) => {
                assert!(steps.next().await.is_none(), "an error is the end");
                return Err((told, error));
            }
        }
    }
    Ok(told)
}

async fn build(scene: &Scene, spec: &BuildSpec) -> Vec<BuildProgress> {
    match try_to_build(scene, spec).await {
        Ok(told) => told,
        Err((told, error)) => panic!("no image: {error:#?} after {told:#?}"),
    }
}

async fn failure(scene: &Scene, spec: &BuildSpec) -> EngineError {
    let built = try_to_build(scene, spec).await;
    built.expect_err("no image").1
}

/// What the image's program prints, given these words.
async fn prints(scene: &Scene, spec: &BuildSpec, command: &str) -> String {
    let mut service = scene.service(command);
    service.image.clone_from(&spec.image);
    let name = format!("{:x}", rand());
    let ended = scene.run(&name, service).await;
    format!("{}{}", ended.output.stdout(), ended.output.stderr())
}

fn rand() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::hash::RandomState::new().build_hasher().finish()
}

fn lines(told: &[BuildProgress]) -> Vec<&str> {
    let lines = told.iter().filter_map(|it| match &it.update {
        BuildUpdate::Line { text, .. } => Some(text.as_str()),
        _ => None,
    });
    lines.collect()
}

fn has_buildkit(scene: &Scene) -> bool {
    scene.engine.info().capabilities.buildkit
}

#[tokio::test]
async fn arguments_stages_and_labels_are_honoured() {
    Scene::play(async |scene| {
        let dockerfile = format!(
            "FROM {} AS first\nARG WORD\nENV WORD=$WORD\nLABEL stage=first\n\
             FROM first AS second\nLABEL stage=second\n",
            scene.image
        );
        let context = directory(&[("sub/My.Dockerfile", &dockerfile)]);
        let mut spec = scene.build("args", context.path());
        spec.build.dockerfile = Some("sub/My.Dockerfile".to_owned());
        spec.build
            .args
            .insert("WORD".to_owned(), "a, b = c".to_owned());
        spec.build.target = Some("first".to_owned());
        spec.build
            .labels
            .insert("from.file".to_owned(), "yes, it = is".to_owned());
        let second = scene.image_name("second-name");
        spec.build.tags.push(second.clone());
        build(scene, &spec).await;

        assert_eq!(prints(scene, &spec, "env WORD").await, "a, b = c\n");
        let image = fixture::client(&*scene.engine).inspect_image(&second).await;
        let labels = image.expect("the other name").config.expect("a config");
        let labels = labels.labels.expect("labels");
        assert_eq!(labels["stage"], "first");
        assert_eq!(labels["from.file"], "yes, it = is");
        for (name, value) in scene.labels() {
            assert_eq!(labels[&name], value);
        }
    })
    .await;
}

#[tokio::test]
async fn a_dockerfile_may_be_given_as_text() {
    Scene::play(async |scene| {
        let context = directory(&[("Dockerfile", "FROM nowhere"), ("data/file", "content")]);
        let mut spec = scene.build("inline", context.path());
        spec.build.dockerfile_inline = Some(format!("FROM {}\nCOPY . /c/\n", scene.image));
        build(scene, &spec).await;
        assert_eq!(prints(scene, &spec, "read /c/data/file").await, "content\n");
        for own in [".dockerfile.stackrun", ".dockerignore"] {
            let found = prints(scene, &spec, &format!("exists /c/{own}")).await;
            assert!(found.contains("No such file"), "{found}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_dockerfile_may_be_outside_of_the_context() {
    Scene::play(async |scene| {
        let dockerfile = format!("FROM {}\nCOPY file /file\n", scene.image);
        let root = directory(&[("Other", &dockerfile), ("context/file", "content")]);
        let mut spec = scene.build("outside", &root.path().join("context"));
        spec.build.dockerfile = Some("../Other".to_owned());
        build(scene, &spec).await;
        assert_eq!(prints(scene, &spec, "read /file").await, "content\n");
    })
    .await;
}

#[tokio::test]
async fn ignored_files_are_not_sent() {
    Scene::play(async |scene| {
        let dockerfile = format!("FROM {}\nCOPY . /c/\n", scene.image);
        let context = directory(&[
            ("Dockerfile", &dockerfile),
            (".dockerignore", "# all but\n*\n!kept\n!deep/**/kept\n"),
            ("kept", "1"),
            ("ignored", "2"),
            ("deep/a/b/kept", "3"),
            ("deep/a/ignored", "4"),
        ]);
        let spec = scene.build("ignore", context.path());
        build(scene, &spec).await;
        let found = "read /c/kept then read /c/deep/a/b/kept then exists /c/ignored";
        let found = prints(scene, &spec, found).await;
        assert!(
            found.starts_with("1\n3\nexists /c/ignored: No such file"),
            "{found}"
        );
        let found = prints(scene, &spec, "exists /c/deep/a/ignored").await;
        assert!(found.contains("No such file"), "{found}");
    })
    .await;
}

#[tokio::test]
async fn the_dockerfiles_own_ignore_file_goes_first() {
    Scene::play(async |scene| {
        let dockerfile = format!("FROM {}\nCOPY . /c/\n", scene.image);
        let context = directory(&[
            ("D", &dockerfile),
            ("D.dockerignore", "one"),
            (".dockerignore", "two"),
            ("one", "1"),
            ("two", "2"),
        ]);
        let mut spec = scene.build("own-ignore", context.path());
        spec.build.dockerfile = Some("D".to_owned());
        build(scene, &spec).await;
        let found = prints(scene, &spec, "read /c/two then exists /c/one").await;
        assert!(
            found.starts_with("2\nexists /c/one: No such file"),
            "{found}"
        );
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn modes_and_links_arrive() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    Scene::play(async |scene| {
        let dockerfile = format!("FROM {}\nCOPY . /c/\nUSER 65534\n", scene.image);
        let context = directory(&[
            ("Dockerfile", &dockerfile),
            ("d/file", "x"),
            ("closed", "y"),
        ]);
        symlink("d/file", context.path().join("link")).expect("a link");
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(context.path().join("closed"), mode).expect("a mode");
        let big = "0123456789".repeat(100_000);
        fs::write(context.path().join("big"), &big).expect("a file");
        let spec = scene.build("modes", context.path());
        build(scene, &spec).await;
        let found = prints(scene, &spec, "read /c/link then read /c/closed").await;
        assert!(
            found.starts_with("x\nread /c/closed: Permission denied"),
            "{found}"
        );
        assert_eq!(prints(scene, &spec, "read /c/big").await.trim_end(), big);
    })
    .await;
}

#[tokio::test]
async fn a_changed_file_makes_a_new_image() {
    Scene::play(async |scene| {
        let dockerfile = format!("FROM {}\nCOPY file /file\n", scene.image);
        let context = directory(&[("Dockerfile", &dockerfile), ("file", "first")]);
        let spec = scene.build("changed", context.path());
        build(scene, &spec).await;
        assert_eq!(prints(scene, &spec, "read /file").await, "first\n");
        let first = scene.engine.image(&spec.image).await.expect("an answer");
        scene.remove_later(&first.expect("an image").id);
        fs::write(context.path().join("file"), "second, and longer").expect("a file");
        build(scene, &spec).await;
        assert_eq!(
            prints(scene, &spec, "read /file").await,
            "second, and longer\n"
        );
    })
    .await;
}

#[tokio::test]
async fn steps_and_what_they_write_are_told() {
    Scene::play(async |scene| {
        let dockerfile = format!(
            "FROM {}\nRUN [\"/fixture\", \"lines\", \"2\"]\n",
            scene.image
        );
        let context = directory(&[("Dockerfile", &dockerfile)]);
        let mut spec = scene.build("progress", context.path());
        spec.build.no_cache = true;
        let told = build(scene, &spec).await;
        let mut lines = lines(&told);
        lines.retain(|line| line.starts_with("out ") || line.starts_with("err "));
        lines.sort_unstable();
        assert_eq!(lines, ["err 0", "err 1", "out 0", "out 1"]);
        let started = told.iter().position(|it| {
            it.update == BuildUpdate::Started && it.step.contains("/fixture lines 2")
                || it.step.contains(r#"["/fixture", "lines", "2"]"#)
        });
        assert!(started.is_some(), "{told:#?}");

        // Once more, from the cache.
        spec.build.no_cache = false;
        let told = build(scene, &spec).await;
        assert!(
            told.iter().any(|it| it.update == BuildUpdate::Cached),
            "{told:#?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_step_that_fails_is_named_with_what_it_wrote() {
    Scene::play(async |scene| {
        let dockerfile = format!(
            "FROM {}\nRUN [\"/fixture\", \"complain\", \"out of luck\", \"then\", \"exit\", \"3\"]\n",
            scene.image
        );
        let context = directory(&[("Dockerfile", &dockerfile)]);
        let spec = scene.build("failing", context.path());
        let EngineError::Step { attempted, step, failure } = failure(scene, &spec).await else {
            panic!("another error");
        };
        assert_eq!(attempted, format!("build image `{}`", spec.image));
        assert!(step.contains("/fixture") && step.contains("out of luck"), "{step}");
        assert_eq!(failure.output, ["out of luck"]);
        assert!(failure.message.contains('3'), "{failure}");
        let image = scene.engine.image(&spec.image).await.expect("an answer");
        assert_eq!(image, None);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_begun_is_refused_in_words() {
    Scene::play(async |scene| {
        let mut spec = scene.build("missing", Path::new("/there/is/no/such/directory"));
        let error = failure(scene, &spec).await;
        assert!(matches!(error, EngineError::File { .. }), "{error:?}");

        let context = directory(&[("Dockerfile", "FORM x")]);
        spec.build.context = context.path().display().to_string();
        let error = stackrun::error::chain(&failure(scene, &spec).await);
        let words = match scene.engine.info().kind {
            EngineKind::Docker => "form",
            EngineKind::Podman => "no FROM statement found",
        };
        assert!(
            error.to_lowercase().contains(&words.to_lowercase()),
            "{error}"
        );

        spec.build.dockerfile = Some("Missing".to_owned());
        let error = stackrun::error::chain(&failure(scene, &spec).await);
        assert!(error.contains("Missing"), "{error}");

        let base = BuildContext::Service("base".parse().expect("a name"));
        spec.build
            .additional_contexts
            .insert("base".to_owned(), base);
        let error = failure(scene, &spec).await;
        assert!(
            matches!(error, EngineError::Unsupported { .. }),
            "{error:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_secret_reaches_the_step_that_asks_and_nothing_else() {
    Scene::play(async |scene| {
        let dockerfile = format!(
            "FROM {}\nRUN --mount=type=secret,id=one --mount=type=secret,id=two \
             [\"/fixture\", \"read\", \"/run/secrets/one\", \"then\", \"read\", \"/run/secrets/two\"]\n",
            scene.image
        );
        let context = directory(&[("Dockerfile", &dockerfile)]);
        let elsewhere = directory(&[("two", "from a file")]);
        let mut spec = scene.build("secret", context.path());
        spec.build.no_cache = true;
        spec.build.secrets = vec![
            BuildSecret {
                id: "one".to_owned(),
                source: SecretSource::Value(Secret::new("from a variable")),
            },
            BuildSecret {
                id: "two".to_owned(),
                source: SecretSource::File(elsewhere.path().join("two")),
            },
        ];
        if !has_buildkit(scene) {
            let error = failure(scene, &spec).await;
            assert!(error.to_string().contains("`secrets` needs BuildKit"), "{error}");
            return;
        }
        let told = build(scene, &spec).await;
        let lines = lines(&told);
        assert!(
            lines.contains(&"from a variable") && lines.contains(&"from a file"),
            "{lines:?}"
        );
        let found = prints(scene, &spec, "read /run/secrets/one").await;
        assert!(!found.contains("from a variable"), "{found}");
    })
    .await;
}

#[tokio::test]
async fn further_contexts_are_honoured_or_refused() {
    Scene::play(async |scene| {
        let dockerfile = "FROM base\nCOPY --from=tools tool /tool\n";
        let context = directory(&[("Dockerfile", dockerfile)]);
        let tools = directory(&[("tool", "a tool")]);
        let mut spec = scene.build("contexts", context.path());
        let contexts = &mut spec.build.additional_contexts;
        let tools = BuildContext::Directory(tools.path().to_owned());
        contexts.insert("tools".to_owned(), tools);
        contexts.insert("base".to_owned(), BuildContext::Image(scene.image.clone()));
        match try_to_build(scene, &spec).await {
            Ok(_) => assert_eq!(prints(scene, &spec, "read /tool").await, "a tool\n"),
            Err((_, EngineError::Unsupported { why, .. })) => {
                assert!(why.contains("`additional_contexts` needs"), "{why}");
                let api = &scene.engine.info().api_version;
                let minor: u32 = api.trim_start_matches("1.").parse().expect("a version");
                assert!(minor < 42 || !has_buildkit(scene), "this engine has them");
            }
            Err((_, error)) => panic!("{error:?}"),
        }
    })
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_build_ends_with_its_stream() {
    Scene::play(async |scene| {
        let mark = format!("mark-{:x}", rand());
        // Podman does not go on without its client, but leaves the step that runs alone.
        let is_podman = scene.engine.info().kind == EngineKind::Podman;
        let last = if is_podman {
            r#""pause", "2000""#
        } else {
            r#""sleep""#
        };
        let dockerfile = format!(
            "FROM {}\nRUN [\"/fixture\", \"print\", \"{mark}\", \"then\", {last}]\n",
            scene.image
        );
        let context = directory(&[("Dockerfile", &dockerfile)]);
        let spec = scene.build("cancelled", context.path());
        let mut steps = scene.engine.build(&spec).await;
        let mut told = Vec::new();
        while !lines(&told).contains(&mark.as_str()) {
            told.push(steps.next().await.expect("a step").expect("no error"));
        }
        let runs = || is_running(&mark);
        // The engine's processes are seen where it is on this machine.
        assert!(runs() || !scene.engine.info().local, "the step runs");
        drop(steps);
        eventually("the step's end", async || (!runs()).then_some(())).await;
        let image = scene.engine.image(&spec.image).await.expect("an answer");
        assert_eq!(image, None);
    })
    .await;
}

/// Whether a process has this among its arguments, this one aside.
#[cfg(target_os = "linux")]
fn is_running(mark: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("processes");
    let lines = processes.filter_map(|it| fs::read(it.ok()?.path().join("cmdline")).ok());
    let marked = |line: &Vec<u8>| {
        let line = String::from_utf8_lossy(line);
        line.contains("/fixture") && line.contains(mark)
    };
    lines.into_iter().any(|line| marked(&line))
}
