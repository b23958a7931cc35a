//! Which files are read, what the project is called, which variables it sees.

use stackrun::compose::{LoadError, LoadOptions, load_from};

use super::{memory, options};

const WEB: &str = "services: { web: { image: 'nginx:${TAG:-none}' } }";

/// Name of the project and image of `web`.
fn resolve(files: &[(&str, &str)], options: &LoadOptions) -> (String, String) {
    let loaded = load_from(&memory(files), options).unwrap();
    (
        loaded.project.name.to_string(),
        loaded.project.services["web"].image.clone(),
    )
}

fn env(options: &LoadOptions, variables: &[(&str, &str)]) -> LoadOptions {
    let mut options = options.clone();
    for (name, value) in variables {
        options
            .environment
            .insert((*name).to_owned(), (*value).to_owned());
    }
    options
}

#[test]
fn the_nearest_directory_with_a_file_is_the_project() {
    let files = [("compose.yaml", WEB), ("a/b/ignored.yaml", WEB)];
    let mut options = options(&[]);
    options.working_dir = "/project/a/b".into();
    let loaded = load_from(&memory(&files), &options).unwrap();
    assert_eq!(loaded.project.directory, std::path::Path::new("/project"));
    assert_eq!(
        loaded.project.files,
        [std::path::Path::new("/project/compose.yaml")]
    );
}

#[test]
fn an_override_file_lies_over_the_default_file() {
    let files = [
        ("compose.yaml", WEB),
        ("compose.override.yaml", "services: { web: { image: x } }"),
    ];
    assert_eq!(resolve(&files, &options(&[])).1, "x");
    // Not where files are named.
    assert_eq!(resolve(&files, &options(&["compose.yaml"])).1, "nginx:none");
}

#[test]
fn two_default_files_are_worth_a_warning() {
    let files = [
        ("compose.yaml", WEB),
        ("docker-compose.yml", "services: {}"),
    ];
    let loaded = load_from(&memory(&files), &options(&[])).unwrap();
    insta::assert_snapshot!(loaded.warnings[0], @"warning: both `compose.yaml` and `docker-compose.yml` are there; `compose.yaml` is used");
}

#[test]
fn no_file_at_all_says_where_it_was_looked_for() {
    let error = load_from(&memory(&[("x", "")]), &options(&[])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no Compose file in `/project` or any directory above it"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = load_from(&memory(&[("x", "")]), &options(&["nope.yaml"])).unwrap_err();
    assert_eq!(error.to_string(), "cannot read Compose file `nope.yaml`");
    assert!(matches!(error, LoadError::Read { .. }));
}

#[test]
fn standard_input_is_a_dash() {
    let memory = memory(&[]).with_stdin(WEB);
    let loaded = load_from(&memory, &options(&["-"])).unwrap();
    assert_eq!(loaded.project.name.as_str(), "project");
}

#[test]
fn the_name_is_given_or_named_or_that_of_the_directory() {
    let named = format!("name: from-file\n{WEB}");
    let files = [("compose.yaml", named.as_str())];
    let base = options(&[]);
    assert_eq!(resolve(&files, &base).0, "from-file");
    let from_env = env(&base, &[("COMPOSE_PROJECT_NAME", "from-env")]);
    assert_eq!(resolve(&files, &from_env).0, "from-env");
    let given = LoadOptions {
        project_name: Some("given".to_owned()),
        ..from_env
    };
    assert_eq!(resolve(&files, &given).0, "given");
    assert_eq!(resolve(&[("compose.yaml", WEB)], &base).0, "project");
    assert_eq!(
        resolve(
            &[("My App/compose.yaml", WEB)],
            &options(&["My App/compose.yaml"])
        )
        .0,
        "myapp"
    );
}

#[test]
fn a_name_in_the_file_is_made_legal_but_a_given_one_must_be() {
    let files = [(
        "compose.yaml",
        "name: My.App\nservices: { web: { image: '${COMPOSE_PROJECT_NAME}' } }",
    )];
    let loaded = load_from(&memory(&files), &options(&[])).unwrap();
    assert_eq!(loaded.project.services["web"].image, "myapp");
    insta::assert_snapshot!(loaded.warnings[0], @r"
    warning: the project name `My.App` is not legal; `myapp` is used
     --> compose.yaml:1:7
      |
    1 | name: My.App
      |       ^^^^^^
    ");
    let given = LoadOptions {
        project_name: Some("My.App".to_owned()),
        ..options(&[])
    };
    insta::assert_snapshot!(load_from(&memory(&files), &given).unwrap_err(), @r"
    error: invalid project name `My.App`: it must start with a lower-case letter or a digit and hold only lower-case letters, digits, `_` and `-`
     |
     = help: `myapp` would be legal
    ");
}

#[test]
fn the_environment_wins_over_env_files_and_later_ones_over_earlier_ones() {
    let files = [
        ("compose.yaml", WEB),
        (".env", "TAG=dot\n"),
        ("a.env", "TAG=a\n"),
        ("b.env", "TAG=b$TAG\n"),
    ];
    let base = options(&[]);
    assert_eq!(resolve(&files, &base).1, "nginx:dot");
    let given = LoadOptions {
        env_files: vec!["a.env".into(), "b.env".into()],
        ..base.clone()
    };
    assert_eq!(resolve(&files, &given).1, "nginx:ba");
    assert_eq!(
        resolve(&files, &env(&given, &[("TAG", "os")])).1,
        "nginx:os"
    );
    assert_eq!(
        resolve(&files, &env(&base, &[("COMPOSE_ENV_FILES", "a.env")])).1,
        "nginx:a"
    );
    assert_eq!(
        resolve(&files, &env(&base, &[("COMPOSE_DISABLE_ENV_FILE", "1")])).1,
        "nginx:none"
    );
}

#[test]
fn an_env_file_may_name_the_files_and_their_directory_has_one_too() {
    let files = [
        (".env", "COMPOSE_FILE=sub/a.yaml:sub/b.yaml\n"),
        ("sub/.env", "TAG=sub\n"),
        ("sub/a.yaml", WEB),
        ("sub/b.yaml", "services: { web: { user: me } }"),
    ];
    assert_eq!(
        resolve(&files, &options(&[])),
        ("sub".to_owned(), "nginx:sub".to_owned())
    );
    let separated = env(
        &options(&[]),
        &[
            ("COMPOSE_FILE", "sub/a.yaml;sub/b.yaml"),
            ("COMPOSE_PATH_SEPARATOR", ";"),
        ],
    );
    assert_eq!(resolve(&files, &separated).0, "sub");
}

#[test]
fn a_project_directory_moves_paths_but_not_files() {
    let files = [
        ("compose.yaml", "services: { web: { build: ./web } }"),
        ("other/x", ""),
    ];
    let options = LoadOptions {
        project_directory: Some("other".into()),
        ..options(&["compose.yaml"])
    };
    let loaded = load_from(&memory(&files), &options).unwrap();
    let build = loaded.project.services["web"].build.as_ref().unwrap();
    assert_eq!(build.context, "/project/other/web");
    assert_eq!(loaded.project.name.as_str(), "other");
}

#[test]
fn an_unset_variable_is_warned_about_once() {
    let text = "services: { web: { image: '$A-$A-${A}' }, api: { image: x$A } }";
    let loaded = load_from(&memory(&[("compose.yaml", text)]), &options(&[])).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    insta::assert_snapshot!(loaded.warnings[0], @r"
    warning: the variable `A` is not set; it is taken to be empty
     --> compose.yaml:1:28
      |
    1 | services: { web: { image: '$A-$A-${A}' }, api: { image: x$A } }
      |                            ^^
    ");
}

#[test]
fn a_mistake_in_an_env_file_is_shown_there() {
    let files = [("compose.yaml", WEB), (".env", "GOOD=1\nBAD NAME=2\n")];
    insta::assert_snapshot!(load_from(&memory(&files), &options(&[])).unwrap_err(), @r"
    error: the name `BAD NAME` contains a space
     --> /project/.env:2:1
      |
    2 | BAD NAME=2
      | ^^^^^^^^^^
    ");
}
