//! `.dockerignore`: which files of a context are not sent.
//!
//! The rules are those of Docker's own matcher, which are not those of `.gitignore`: a
//! pattern is about the whole path, `*.log` therefore about the top directory only, and
//! the last pattern that matches decides.

use std::io;

use regex::Regex;

/// Patterns, in the order in which they are applied.
#[derive(Debug, Default)]
pub(super) struct Patterns(Vec<Pattern>);

#[derive(Debug)]
struct Pattern {
    /// It begins with `!`: what it matches is not ignored after all.
    exception: bool,
    /// What comes before the first wildcard, in whole path components.
    literal: Vec<String>,
    /// Nothing comes after that.
    is_literal: bool,
    regex: Regex,
}

impl Patterns {
    /// Reads a `.dockerignore`.
    pub(super) fn parse(text: &str) -> io::Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self::new(lines)
    }

    /// Patterns one by one, as a builder sends them.
    pub(super) fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> io::Result<Self> {
        let patterns = patterns.into_iter().map(str::trim);
        patterns
            .filter(|pattern| !pattern.is_empty())
            .map(Pattern::parse)
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// Whether the path is matched, itself or by a directory above it.
    pub(super) fn matches(&self, path: &str) -> bool {
        let mut matched = false;
        for pattern in &self.0 {
            // An exception has nothing to do before something matched, and the others
            // nothing after.
            if pattern.exception == matched && pattern.matches(path) {
                matched = !pattern.exception;
            }
        }
        matched
    }

    /// Whether something below a directory may be excepted from what matches it.
    pub(super) fn may_except_below(&self, directory: &str) -> bool {
        let mut exceptions = self.0.iter().filter(|pattern| pattern.exception);
        exceptions.any(|pattern| pattern.may_match_below(directory))
    }

    /// Whether something below a directory may match.
    pub(super) fn may_match_below(&self, directory: &str) -> bool {
        let mut patterns = self.0.iter();
        patterns.any(|pattern| pattern.may_match_below(directory))
    }

    /// Whether there are no patterns at all.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Pattern {
    fn parse(text: &str) -> io::Result<Self> {
        let (exception, pattern) = match text.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, text),
        };
        let bad = || io::Error::other(format!("`{text}` is no pattern for files"));
        if pattern.is_empty() {
            return Err(bad());
        }
        let pattern = clean(pattern);
        let regex = Regex::new(&expression(&pattern).ok_or_else(bad)?).map_err(|_| bad())?;
        let components: Vec<&str> = pattern.split('/').collect();
        let literal = components
            .iter()
            .take_while(|component| !component.contains(['*', '?', '[', '\\']));
        let literal: Vec<String> = literal.map(|&component| component.to_owned()).collect();
        Ok(Self {
            exception,
            is_literal: literal.len() == components.len(),
            literal,
            regex,
        })
    }

    fn matches(&self, path: &str) -> bool {
        let mut ends = path.match_indices('/').map(|(at, _)| at);
        self.regex.is_match(path) || ends.any(|end| self.regex.is_match(&path[..end]))
    }

    fn may_match_below(&self, directory: &str) -> bool {
        let directories = directory.split('/');
        let literals = self.literal.iter();
        let agree = directories.clone().zip(literals).all(|(a, b)| a == b);
        agree && (!self.is_literal || self.literal.len() > directories.count())
    }
}

/// The path without `.`, `..`, and slashes that say nothing, as Go's `filepath.Clean`
/// leaves it, and relative to the context.
fn clean(pattern: &str) -> String {
    let mut cleaned: Vec<&str> = Vec::new();
    for component in pattern.split('/') {
        match component {
            "" | "." => {}
            ".." if cleaned.last().is_some_and(|last| *last != "..") => {
                cleaned.pop();
            }
            ".." if pattern.starts_with('/') => {}
            other => cleaned.push(other),
        }
    }
    if cleaned.is_empty() {
        return ".".to_owned();
    }
    cleaned.join("/")
}

/// The pattern as a regular expression.
fn expression(pattern: &str) -> Option<String> {
    let mut regex = String::from("(?s)^");
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                let slash = rest.next_if_eq(&'/').is_some();
                // Any number of directories, none as well. Docker takes `**` before a
                // name that has no wildcard for any beginning of that name.
                let name_follows = !slash && regex == "(?s)^" && !is_wild(rest.clone());
                regex += match rest.peek() {
                    Some(_) if !name_follows => "(?:.*/)?",
                    _ => ".*",
                };
            }
            '*' => regex += "[^/]*",
            '?' => regex += "[^/]",
            '[' => regex += &class(&mut rest)?,
            '\\' => regex += &regex::escape(&rest.next()?.to_string()),
            other => regex += &regex::escape(&other.to_string()),
        }
    }
    Some(regex + "$")
}

fn is_wild(rest: impl Iterator<Item = char>) -> bool {
    let mut rest = rest;
    rest.any(|c| "*?[\\".contains(c))
}

/// What comes after `[`, up to its `]`. What is special in a class of the `regex` crate
/// and not in a pattern is escaped.
fn class(rest: &mut impl Iterator<Item = char>) -> Option<String> {
    let mut class = String::from("[");
    loop {
        match rest.next()? {
            ']' if class.len() > 1 && class != "[^" => return Some(class + "]"),
            '^' if class == "[" => class.push('^'),
            '-' => class.push('-'),
            '\\' => class += &escaped(rest.next()?),
            other => class += &escaped(other),
        }
    }
}

fn escaped(c: char) -> String {
    if c.is_ascii_punctuation() {
        format!("\\{c}")
    } else {
        c.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(patterns: &str, cases: &[(&str, bool)]) {
        let parsed = Patterns::parse(patterns).expect("patterns");
        for (path, ignored) in cases {
            assert_eq!(parsed.matches(path), *ignored, "{patterns:?} on {path}");
        }
    }

    #[test]
    fn a_pattern_is_about_the_whole_path() {
        check(
            "*.log",
            &[("a.log", true), ("d/a.log", false), ("a.logs", false)],
        );
        check(
            "target",
            &[("target", true), ("target/x", true), ("d/target", false)],
        );
        check(
            "a/b",
            &[
                ("a/b", true),
                ("a/b/c", true),
                ("a", false),
                ("a/bc", false),
            ],
        );
        check(
            "*/temp*",
            &[("d/temporary", true), ("temp", false), ("a/b/temp", false)],
        );
        check(
            "temp?",
            &[("tempa", true), ("temp", false), ("temp/", false)],
        );
    }

    #[test]
    fn two_asterisks_are_any_number_of_directories() {
        check(
            "**/*.go",
            &[("a.go", true), ("d/e/a.go", true), ("a.goo", false)],
        );
        check(
            "a/**",
            &[
                ("a/b", true),
                ("a/b/c", true),
                ("a", false),
                ("ab/c", false),
            ],
        );
        check(
            "a/**/z",
            &[("a/z", true), ("a/b/c/z", true), ("a/bz", false)],
        );
        check("**", &[("a", true), ("a/b", true)]);
        check("**/foo", &[("foo", true), ("a/foo", true), ("afoo", false)]);
        check("**foo", &[("foo", true), ("a/xfoo", true), ("foox", false)]);
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        check("*.md\n!README.md", &[("a.md", true), ("README.md", false)]);
        check(
            "*.md\n!README*.md\nREADME-secret.md",
            &[("README.md", false), ("README-secret.md", true)],
        );
        check("!a\na", &[("a", true)]);
        check(
            "d\n!d/keep",
            &[("d/x", true), ("d/keep", false), ("d/keep/y", false)],
        );
        check(
            "*\n!src/**",
            &[("a", true), ("src", true), ("src/b/c", false)],
        );
    }

    #[test]
    fn what_says_nothing_is_ignored() {
        check("\u{feff}a", &[("a", true)]);
        check("# a\n\n  \nb", &[("a", false), ("# a", false), ("b", true)]);
        check(" #a ", &[("#a", true)]);
        check("/a/", &[("a", true), ("d/a", false)]);
        check("./a/../b//c", &[("b/c", true), ("a", false)]);
        check("! a\n", &[("a", false)]);
        check("a\n! a", &[("a", false)]);
        check(".", &[("a", false)]);
        check("a\r\nb\r\n", &[("a", true), ("b", true)]);
    }

    #[test]
    fn classes_and_escapes_are_those_of_go() {
        check("[a-c]x", &[("bx", true), ("dx", false)]);
        check("[^a-c]x", &[("bx", false), ("dx", true)]);
        check("\\*x", &[("*x", true), ("ax", false)]);
        check("a.b+(c)", &[("a.b+(c)", true), ("aXb+(c)", false)]);
        check("[&&~]", &[("&", true), ("~", true), ("[", false)]);
        for bad in ["[a", "!", "a\\"] {
            assert!(Patterns::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn directories_are_entered_for_what_is_excepted() {
        let patterns = Patterns::parse("*\n!src/app/main.rs\n!**/keep").expect("patterns");
        assert!(patterns.may_except_below("anything"));
        let patterns = Patterns::parse("*\n!src/app/main.rs").expect("patterns");
        assert!(patterns.may_except_below("src"));
        assert!(patterns.may_except_below("src/app"));
        assert!(!patterns.may_except_below("target"));
        assert!(!patterns.may_except_below("src/app/main.rs"));
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_and_what_is_below(path in "[a-z.+()]{1,6}(/[a-z$|]{1,6}){0,3}") {
            prop_assume!(clean(&path) == path);
            let patterns = Patterns::parse(&path).expect("a pattern");
            prop_assert!(patterns.matches(&path));
            let below = format!("{path}/below");
            let beside = format!("{path}-beside");
            prop_assert!(patterns.matches(&below));
            prop_assert!(!patterns.matches(&beside));
        }

        #[test]
        fn nothing_is_missed_by_not_entering(
            patterns in proptest::collection::vec("!?[ab*?]{1,2}(/[ab*?]{1,2}){0,2}", 1..4),
            path in "[ab]{1,2}(/[ab]{1,2}){1,2}",
        ) {
            let parsed = Patterns::new(patterns.iter().map(String::as_str)).expect("patterns");
            let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
            for parent in parents {
                // A directory that is ignored is left out with all that it holds, unless
                // an exception may be below.
                if parsed.matches(parent) && !parsed.may_except_below(parent) {
                    prop_assert!(parsed.matches(&path), "{patterns:?} {path}");
                }
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}", path in "\\PC{0,20}") {
            if let Ok(patterns) = Patterns::parse(&text) {
                patterns.matches(&path);
            }
        }
    }
}
