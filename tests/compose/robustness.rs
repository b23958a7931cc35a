//! Hostile files are refused soon, in little memory, and nothing panics.

use std::fmt::Write as _;

use proptest::prelude::*;
use stackrun::compose::{LoadError, Memory, load_from};

use super::{load_text, memory, options};

fn message(text: &str) -> String {
    load_text(text).unwrap_err().diagnostics()[0]
        .message
        .clone()
}

#[test]
fn an_alias_bomb_is_refused_before_it_is_expanded() {
    let mut bomb = "x-0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..40 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        writeln!(bomb, "x-{level}: &a{level} [{below}]").unwrap();
    }
    let error = load_text(&bomb).unwrap_err();
    let diagnostic = &error.diagnostics()[0];
    assert_eq!(
        diagnostic.message,
        "the file is too large once its aliases are expanded"
    );
    assert_eq!(diagnostic.labels[0].line, 6);
}

#[test]
fn a_long_text_cannot_be_multiplied_by_aliases() {
    let text = format!(
        "x-a: &a {}\nx-b: [{}]\n",
        "x".repeat(100_000),
        "*a, ".repeat(10_000)
    );
    assert_eq!(
        message(&text),
        "the file is too large once its aliases are expanded"
    );
}

#[test]
fn anchors_around_anchors_are_not_free() {
    let text = format!(
        "x-a: {}[{}]{}",
        "&a [".repeat(60),
        "1, ".repeat(50_000),
        "]".repeat(60)
    );
    assert_eq!(
        message(&text),
        "the file is too large once its aliases are expanded"
    );
}

#[test]
fn deep_nesting_is_refused() {
    assert!(message(&format!("x-a: {}", "[".repeat(100_000))).contains("limit"));
    let mut block = String::new();
    for depth in 0..200 {
        writeln!(block, "{}a:", " ".repeat(depth)).unwrap();
    }
    assert_eq!(message(&block), "values are nested more than 100 deep");
    // Each alias is shallow, their sum is not.
    let mut tower = "x-0: &a0 [[[[[[[[[[x]]]]]]]]]]\n".to_owned();
    for level in 1..20 {
        writeln!(
            tower,
            "x-{level}: &a{level} [[[[[[[[[[*a{}]]]]]]]]]]",
            level - 1
        )
        .unwrap();
    }
    assert_eq!(message(&tower), "values are nested more than 100 deep");
}

#[test]
fn port_ranges_have_an_end() {
    let mut text = "services:\n".to_owned();
    for index in 0..50 {
        writeln!(text, "  s{index}: {{ image: x, ports: ['1-65535'] }}").unwrap();
    }
    assert_eq!(
        message(&text),
        "the services publish more than 100000 ports"
    );
}

#[test]
fn variables_cannot_fill_the_memory() {
    let mut options = options(&[]);
    options
        .environment
        .insert("LONG".to_owned(), "x".repeat(100_000));
    let text = format!("x-a: {}\n", "$LONG".repeat(1000));
    let error = load_from(&memory(&[("compose.yaml", &text)]), &options).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("too large once its variables are filled in"),
        "{error}"
    );
}

#[test]
fn a_chain_of_dependencies_may_be_long() {
    let mut text = "services:\n".to_owned();
    for index in 0..2000 {
        writeln!(
            text,
            "  s{index}: {{ image: x, depends_on: [s{}] }}",
            index + 1
        )
        .unwrap();
    }
    text.push_str("  s2000: { image: x }\n");
    assert_eq!(load_text(&text).unwrap().project.services.len(), 2001);
}

#[test]
fn includes_that_never_end_are_refused() {
    // Each file includes the next one twice: two to the power of a hundred loads, of
    // which only the first ones happen.
    let names: Vec<_> = (0..101).map(|index| format!("f{index}.yaml")).collect();
    let texts: Vec<_> = (1..101)
        .map(|next| format!("include: [f{next}.yaml, f{next}.yaml]\n"))
        .collect();
    let mut files: Vec<_> = names
        .iter()
        .zip(&texts)
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    files.push(("f100.yaml", "services: {}"));
    let error = load_from(&memory(&files), &options(&["f0.yaml"])).unwrap_err();
    assert!(error.to_string().contains("include"), "{error}");
}

#[test]
fn a_file_that_is_not_text_is_refused() {
    let memory = Memory::new().with("/project/compose.yaml", &b"services:\n  \xff\xfe: x\n"[..]);
    let error = load_from(&memory, &options(&[])).unwrap_err();
    insta::assert_snapshot!(error, @r"
    error: the Compose file is not UTF-8 text
     --> compose.yaml:2:3
      |
    2 |   ��: x
      |   ^
    ");
}

#[test]
fn a_huge_file_is_refused() {
    let memory = memory(&[("compose.yaml", &" ".repeat(9 << 20))]);
    let error = load_from(&memory, &options(&[])).unwrap_err();
    assert!(matches!(error, LoadError::Read { .. }));
}

#[test]
fn a_very_long_line_is_shown_in_part() {
    for length in [1_000, 1_000_000] {
        let text = format!(
            "services: {{ web: {{ image: {}, imge: x }} }}",
            "x".repeat(length)
        );
        let error = load_text(&text).unwrap_err();
        assert_eq!(error.diagnostics()[0].labels[0].column, length + 29);
        let shown = error.to_string();
        assert!(
            shown.len() < 1000 && shown.contains("did you mean `image`?"),
            "{shown}"
        );
    }
}

/// Words that mean something to Compose, to find more than a random text would.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("services:\n  a:\n    "),
        Just("image: x\n    "),
        Just("ports: ['80:80']\n    "),
        Just("- "),
        Just("${A:-"),
        Just("}"),
        Just("&a "),
        Just("*a"),
        Just("<<: "),
        Just("!reset "),
        Just("!override "),
        Just("[x, y]"),
        Just("{a: b}"),
        Just("extends: a\n    "),
        Just("include: [compose.yaml]\n"),
        Just("depends_on: [a]\n    "),
        Just("volumes: [a]\n    "),
        Just("\n"),
        Just("\n---\n"),
        Just("é: "),
        Just("\""),
        Just("x-stackrun: {ready: {tcp: 1}}\n    "),
    ]
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,80}") {
        let _ = load_text(&text).map_err(|error| error.to_string());
    }

    #[test]
    fn no_arrangement_of_words_panics(words in prop::collection::vec(word(), 0..14)) {
        let _ = load_text(&words.concat()).map_err(|error| error.to_string());
    }

    #[test]
    fn what_is_printed_is_read_again(
        values in prop::collection::vec("\\PC{0,20}", 1..6),
        lines in prop::collection::vec("[a-z :#'\"-]{0,12}", 0..5),
    ) {
        let mut service = serde_json::json!({ "image": "x", "labels": { "lines": lines.join("\n") } });
        for (index, value) in values.iter().enumerate() {
            service["labels"][format!("k{index}")] = value.replace('$', "$$").into();
            service["environment"][value.replace(['$', '='], "").trim_end()] = index.into();
        }
        if let Some(environment) = service["environment"].as_object_mut() {
            environment.remove("");
        }
        let text = serde_json::json!({ "name": "p", "services": { "a": service } }).to_string();
        let loaded = load_text(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        for again in [loaded.canonical.to_yaml(), loaded.canonical.to_json()] {
            let again = load_text(&again)
                .map_err(|error| TestCaseError::fail(format!("{error}\n{again}")))?;
            prop_assert_eq!(&again.project, &loaded.project);
        }
    }
}
