//! The Compose loader from the outside: files in, project or diagnostics out.
//!
//! * `bad/NAME.yaml` is refused with exactly the text in `bad/NAME.snap`.
//! * `good/NAME.yaml` resolves to exactly the text in `good/NAME.snap`, which resolves
//!   to itself.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod discovery;
mod hash;
mod merging;
mod project;
mod robustness;
mod round_trip;

use std::{fs, path::Path};

use stackrun::compose::{LoadError, LoadOptions, Loaded, Memory, load_from};

/// Where the files are, as far as the loader knows.
const DIRECTORY: &str = "/project";

/// Options for files in [`DIRECTORY`], with an environment of two variables.
fn options(files: &[&str]) -> LoadOptions {
    let environment = [("HOME", "/home/me"), ("TOKEN", "secret")];
    LoadOptions {
        files: files.iter().map(Into::into).collect(),
        environment: environment
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        working_dir: DIRECTORY.into(),
        ..LoadOptions::default()
    }
}

/// Files in [`DIRECTORY`].
fn memory(files: &[(&str, &str)]) -> Memory {
    files.iter().fold(Memory::new(), |memory, (path, text)| {
        memory.with(Path::new(DIRECTORY).join(path), *text)
    })
}

/// Loads `compose.yaml` of a text.
fn load_text(text: &str) -> Result<Loaded, LoadError> {
    load_from(&memory(&[("compose.yaml", text)]), &options(&[]))
}

/// A folder of this test, as files in [`DIRECTORY`].
fn folder(path: &Path, below: &str, memory: Memory) -> Memory {
    let mut memory = memory;
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        let name = format!("{below}/{}", entry.file_name().unwrap().to_str().unwrap());
        memory = if entry.is_dir() {
            folder(&entry, &name, memory)
        } else {
            memory.with(name, fs::read(&entry).unwrap())
        };
    }
    memory
}

/// Loads every file of a folder of this test and snapshots what `show` makes of it.
fn snapshot_folder(name: &str, show: impl Fn(&Memory, Result<Loaded, LoadError>) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/compose")
        .join(name);
    let memory = folder(&path, DIRECTORY, Memory::new());
    let mut cases = 0;
    for entry in fs::read_dir(&path).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let result = load_from(
            &memory,
            &options(&[file.file_name().unwrap().to_str().unwrap()]),
        );
        let text = show(&memory, result);
        insta::with_settings!({
            snapshot_path => &path,
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(file.file_stem().unwrap().to_str().unwrap(), text);
        });
        cases += 1;
    }
    assert!(cases > 5, "the folder `{name}` is found");
}

#[test]
fn bad_files_are_refused_with_the_line_and_the_reason() {
    snapshot_folder("bad", |_, result| result.unwrap_err().to_string());
}

#[test]
fn good_files_resolve_to_a_text_that_resolves_to_itself() {
    snapshot_folder("good", |memory, result| {
        let loaded = result.unwrap();
        let text = loaded.canonical.to_yaml();
        for again in [text.clone(), loaded.canonical.to_json()] {
            let memory = memory
                .clone()
                .with(format!("{DIRECTORY}/again.yaml"), again);
            let mut again = load_from(&memory, &options(&["again.yaml"])).unwrap();
            assert_eq!(again.canonical.to_yaml(), text);
            again.project.files.clone_from(&loaded.project.files);
            assert_eq!(again.project, loaded.project);
        }
        loaded
            .warnings
            .iter()
            .fold(text, |text, warning| format!("{text}\n{warning}\n"))
    });
}
