//! Env files: `.env`, `--env-file` and the services' `env_file`.
//!
//! The format is Compose's: `NAME=value`, `NAME: value`, `export NAME=value`, a bare
//! `NAME` that is taken from the environment, comments, single quotes for literal
//! text, double quotes with escapes, and templates everywhere but in single quotes.

use std::ops::Range;

use indexmap::IndexMap;

use super::template::{Expander, TemplateError};

/// What one env file says, in its order.
pub(super) type Variables = IndexMap<String, String>;

/// What is wrong with an env file, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EnvError {
    pub message: String,
    pub range: Range<usize>,
}

/// Finds a variable's value.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The variables that an env file can use.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// What is looked up before the file's own lines.
    pub first: Lookup<'a>,
    /// What is looked up after them: the files before this one.
    pub last: Lookup<'a>,
}

/// Reads an env file.
///
/// Returns as well which variables were used without being set.
pub(super) fn parse(text: &str, known: Known<'_>) -> Result<(Variables, Vec<String>), EnvError> {
    let mut parser = Parser {
        text,
        at: 0,
        known,
        variables: Variables::new(),
        unset: Vec::new(),
    };
    if text.starts_with('\u{feff}') {
        parser.at = '\u{feff}'.len_utf8();
    }
    while parser.skip_to_statement() {
        parser.statement()?;
    }
    Ok((parser.variables, parser.unset))
}

/// Reads an env file of `format: raw`: values are taken as they are, quotes, spaces
/// and dollars included.
pub(super) fn parse_raw(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Variables, EnvError> {
    let mut variables = Variables::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let range = start..start + line.trim_end_matches(['\r', '\n']).len();
        start += line.len();
        let line = text[range.clone()]
            .trim_start_matches('\u{feff}')
            .trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line, lookup(line)),
        };
        if name.is_empty() {
            return Err(EnvError {
                message: "a variable without a name".to_owned(),
                range,
            });
        }
        if name.contains(char::is_whitespace) {
            let message = format!("the name `{name}` contains a space");
            return Err(EnvError { message, range });
        }
        if let Some(value) = value {
            variables.insert(name.to_owned(), value);
        }
    }
    Ok(variables)
}

/// What a name ends with.
#[derive(PartialEq, Eq)]
enum NameEnd {
    /// Its value follows.
    Separator,
    /// Its value comes from the environment.
    Line,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    known: Known<'a>,
    variables: Variables,
    unset: Vec<String>,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, from: usize, message: String) -> EnvError {
        let end = self.text[from..]
            .find('\n')
            .map_or(self.text.len(), |found| from + found);
        EnvError {
            message,
            range: from..end,
        }
    }

    /// Skips blank lines and comments; false at the end of the file.
    fn skip_to_statement(&mut self) -> bool {
        loop {
            self.at = self.text.len() - self.rest().trim_start().len();
            if !self.rest().starts_with('#') {
                return !self.rest().is_empty();
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn statement(&mut self) -> Result<(), EnvError> {
        let start = self.at;
        if let Some(rest) = self.rest().strip_prefix("export")
            && rest.starts_with(is_blank)
        {
            self.at = self.text.len() - rest.trim_start_matches(is_blank).len();
        }
        if self.rest().is_empty() {
            return Err(self.error(start, "`export` is followed by no name".to_owned()));
        }
        let (name, end) = self.name(start)?;
        if name.contains(char::is_whitespace) {
            return Err(self.error(start, format!("the name `{name}` contains a space")));
        }
        if end == NameEnd::Line {
            if let Some(value) = (self.known.first)(&name) {
                self.variables.insert(name, value);
            }
            return Ok(());
        }
        self.at = self.text.len() - self.rest().trim_start_matches(is_blank).len();
        let value = self.value()?;
        self.variables.insert(name, value);
        Ok(())
    }

    /// Reads up to `=`, `:` or the end of the line.
    ///
    /// Compose looks for one of the three. A last line without any of them is the value
    /// of a variable whose name is empty.
    fn name(&mut self, start: usize) -> Result<(String, NameEnd), EnvError> {
        let rest = self.rest();
        let legal = |c: char| c.is_alphanumeric() || "_.-[]".contains(c) || is_blank(c);
        let length = rest.find(|c: char| !legal(c)).unwrap_or(rest.len());
        let end = match rest[length..].chars().next() {
            None => return Ok((String::new(), NameEnd::Separator)),
            Some('\n') => NameEnd::Line,
            Some('=' | ':') => NameEnd::Separator,
            Some(other) => {
                return Err(self.error(start, format!("`{other}` is not allowed in a name")));
            }
        };
        self.at += length + 1;
        Ok((rest[..length].trim_end().to_owned(), end))
    }

    fn value(&mut self) -> Result<String, EnvError> {
        match self.rest().chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            _ => self.unquoted(),
        }
    }

    fn unquoted(&mut self) -> Result<String, EnvError> {
        let start = self.at;
        let line = self.rest().split('\n').next().unwrap_or_default();
        self.at = (self.at + line.len() + 1).min(self.text.len());
        let value = line.split(" #").next().unwrap_or_default().trim_end();
        self.expand(value, start)
    }

    fn quoted(&mut self, quote: char) -> Result<String, EnvError> {
        let start = self.at;
        let mut raw = String::new();
        let mut escaped = false;
        for (index, c) in self.rest().char_indices().skip(1) {
            match (c, escaped) {
                ('\\', false) => escaped = true,
                (c, false) if c == quote => {
                    self.at += index + 1;
                    return match quote {
                        '"' => self.expand(&unescape(&raw), start),
                        _ => Ok(raw),
                    };
                }
                (c, _) => {
                    if escaped && c != quote {
                        raw.push('\\');
                    }
                    escaped = false;
                    raw.push(c);
                }
            }
        }
        Err(self.error(start, "a quoted value is never closed".to_owned()))
    }

    fn expand(&mut self, template: &str, start: usize) -> Result<String, EnvError> {
        let variables = &self.variables;
        let lookup = |name: &str| {
            (self.known.first)(name)
                .or_else(|| variables.get(name).cloned())
                .or_else(|| (self.known.last)(name))
        };
        let mut expander = Expander::new(&lookup);
        let result = expander.expand(template);
        let unset = expander.unset;
        self.unset.extend(unset);
        result.map_err(|error| {
            self.error(
                start,
                match error {
                    TemplateError::Missing { name, reason, .. } if reason.is_empty() => {
                        format!("the required variable `{name}` is not set")
                    }
                    TemplateError::Missing { name, reason, .. } => {
                        format!("the required variable `{name}` is not set: {reason}")
                    }
                    TemplateError::Invalid { range } => {
                        format!("`{}` is not a valid template", &template[range])
                    }
                    TemplateError::TooDeep => "the template is nested too deep".to_owned(),
                    TemplateError::TooLarge => "the value is too large".to_owned(),
                },
            )
        })
    }
}

/// White space that does not end a line.
fn is_blank(c: char) -> bool {
    c.is_whitespace() && c != '\n'
}

/// Resolves the escapes of a double-quoted value. Unknown ones stay as they are, and
/// `\$` becomes `$$` for the expansion that follows.
fn unescape(text: &str) -> String {
    let mut unescaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        unescaped.push_str(&rest[..at]);
        let (replacement, length) = match rest.as_bytes().get(at + 1) {
            Some(b'n') => ("\n", 2),
            Some(b'r') => ("\r", 2),
            Some(b't') => ("\t", 2),
            Some(b'a') => ("\u{7}", 2),
            Some(b'b') => ("\u{8}", 2),
            Some(b'f') => ("\u{c}", 2),
            Some(b'v') => ("\u{b}", 2),
            Some(b'"') => ("\"", 2),
            Some(b'\\') => ("\\", 2),
            Some(b'$') => ("$$", 2),
            _ => ("", 0),
        };
        rest = &rest[at..];
        if length > 0 {
            unescaped.push_str(replacement);
            rest = &rest[length..];
        } else if let Some(octal) = octal(rest) {
            unescaped.push(octal);
            rest = &rest[5..];
        } else {
            unescaped.push('\\');
            rest = &rest[1..];
        }
    }
    unescaped.push_str(rest);
    unescaped
}

/// The character of `\0` and three octal digits.
fn octal(text: &str) -> Option<char> {
    let digits = text.get(2..5).filter(|_| text.starts_with("\\0"))?;
    let octal = digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    octal
        .then(|| u8::from_str_radix(digits, 8).ok().map(char::from))
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "SET" => Some("val".to_owned()),
            "OS" => Some("os".to_owned()),
            _ => None,
        }
    }

    fn parse(text: &str) -> Result<(Variables, Vec<String>), EnvError> {
        let last = |name: &str| matches!(name, "A" | "LAST").then(|| "last".to_owned());
        super::parse(
            text,
            Known {
                first: &lookup,
                last: &last,
            },
        )
    }

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().0.into_iter().collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(read(text), expected, "{text:?}");
    }

    #[test]
    fn names_and_separators() {
        check(
            "A = 1 \nB: 2\r\nexport C=3\nexport   D = 4\n",
            &[("A", "1"), ("B", "2"), ("C", "3"), ("D", "4")],
        );
        check("#c\n\n  # d\n A.b-c[0]=x", &[("A.b-c[0]", "x")]);
        check("SET\nUN\n", &[("SET", "val")]);
        check("A=1\nSET", &[("A", "1"), ("", "SET")]);
        check("\u{feff}é=1\n1A=2", &[("é", "1"), ("1A", "2")]);
        check("A==x", &[("A", "=x")]);
    }

    #[test]
    fn comments_need_a_space() {
        check(
            "A=1 # c\nB=1# c\nC=#c\nD= #c\n",
            &[("A", "1"), ("B", "1# c"), ("C", "#c"), ("D", "#c")],
        );
        check("A=\"x # y\" # z\nB='x'#y", &[("A", "x # y"), ("B", "x")]);
    }

    #[test]
    fn quotes_decide_what_is_expanded() {
        check(
            "A='$SET'\nB=\"$SET\"\nC=$SET",
            &[("A", "$SET"), ("B", "val"), ("C", "val")],
        );
        check(r#"A="a\nb\tc" "#, &[("A", "a\nb\tc")]);
        check(r"A='a\nb'", &[("A", r"a\nb")]);
        check(r"A=a\nb", &[("A", r"a\nb")]);
        check("A=\"a\nb\"", &[("A", "a\nb")]);
        check("A='a\r\nb'", &[("A", "a\r\nb")]);
        check(r#"A="a\"b\$SET\\n\q\0101""#, &[("A", "a\"b$SET\\n\\qA")]);
        check(r"A='a\'b'", &[("A", "a'b")]);
        check(r#"A=a"b"c"#, &[("A", "a\"b\"c")]);
    }

    #[test]
    fn templates_see_the_environment_before_the_lines_above() {
        check(
            "OS=file\nA=$OS\nB=$A-${UN:-d}",
            &[("OS", "file"), ("A", "os"), ("B", "os-d")],
        );
        check(
            "B=$LAST$A\nA=1\nC=$A",
            &[("B", "lastlast"), ("A", "1"), ("C", "1")],
        );
        let (_, unset) = parse("A=$UN").unwrap();
        assert_eq!(unset, ["UN"]);
    }

    #[test]
    fn mistakes_are_found_on_their_line() {
        let cases = [
            ("A=1\nA b=1", 4..9, "the name `A b` contains a space"),
            ("export ", 0..7, "`export` is followed by no name"),
            ("A!=1", 0..4, "`!` is not allowed in a name"),
            ("A=\"x\nB=2", 2..4, "a quoted value is never closed"),
            (
                "A=${UN:?bad}",
                2..12,
                "the required variable `UN` is not set: bad",
            ),
            ("A=${", 2..4, "`${` is not a valid template"),
        ];
        for (text, range, message) in cases {
            let expected = EnvError {
                message: message.to_owned(),
                range,
            };
            assert_eq!(parse(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn raw_values_are_taken_as_they_are() {
        let text = "#c\nA=\"x\" # y\r\n  B=$SET\nSET\nUN\nC= x";
        let variables = parse_raw(text, &lookup).unwrap();
        let variables: Vec<_> = variables
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            variables,
            [
                ("A", "\"x\" # y"),
                ("B", "$SET"),
                ("SET", "val"),
                ("C", " x")
            ]
        );
        assert!(parse_raw("A =1", &lookup).is_err() && parse_raw("=1", &lookup).is_err());
    }

    proptest! {
        #[test]
        fn single_quotes_protect_any_text(value in "[^'\\\\\r]*") {
            prop_assert_eq!(read(&format!("A='{value}'\n")), [("A".to_owned(), value)]);
        }

        #[test]
        fn no_text_panics(text in "[A=:\"'\\\\$ {}#\né]{0,60}") {
            let _ = parse(&text);
            let _ = parse_raw(&text, &lookup);
        }
    }
}
