//! Compose's templates: `$X`, `${X}`, `${X:-default}`, `${X-default}`,
//! `${X:?error}`, `${X?error}`, `${X:+replacement}`, `${X+replacement}`, `$$`.
//!
//! As in Compose, the part after the operator is itself a template and is expanded
//! whether or not it is used, and a `$` that starts nothing stands for itself.

use std::ops::Range;

/// How deep defaults may be nested in defaults.
const MAX_DEPTH: usize = 32;

/// How many bytes all templates of one load may grow to.
pub(super) const MAX_EXPANDED_BYTES: usize = 32 << 20;

/// A template that cannot be expanded. Ranges are in the template's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TemplateError {
    /// `${` that is not followed by a name, an operator and `}`.
    Invalid { range: Range<usize> },
    /// A required variable is not set, or empty.
    Missing {
        name: String,
        reason: String,
        range: Range<usize>,
    },
    /// Deeper than anybody writes by hand.
    TooDeep,
    /// Larger than the memory that is granted.
    TooLarge,
}

/// Expands templates, and notes which variables were missing.
pub(super) struct Expander<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Names of variables that are not set and have no default, in order of use.
    pub unset: Vec<String>,
    budget: usize,
}

impl<'a> Expander<'a> {
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            lookup,
            unset: Vec::new(),
            budget: MAX_EXPANDED_BYTES,
        }
    }

    /// Expands one template.
    pub fn expand(&mut self, template: &str) -> Result<String, TemplateError> {
        self.expand_nested(template, 0, 0)
    }

    /// `offset` is where `template` starts in the outermost one.
    fn expand_nested(
        &mut self,
        template: &str,
        offset: usize,
        depth: usize,
    ) -> Result<String, TemplateError> {
        if depth > MAX_DEPTH {
            return Err(TemplateError::TooDeep);
        }
        let mut expanded = String::new();
        let mut at = 0;
        while let Some(dollar) = template[at..].find('$').map(|found| at + found) {
            expanded.push_str(&template[at..dollar]);
            let (value, next) = self.reference(template, dollar, offset, depth)?;
            expanded.push_str(&value);
            at = next;
            self.budget = self
                .budget
                .checked_sub(value.len())
                .ok_or(TemplateError::TooLarge)?;
        }
        expanded.push_str(&template[at..]);
        Ok(expanded)
    }

    /// What the `$` at `dollar` stands for, and where the text goes on.
    fn reference(
        &mut self,
        template: &str,
        dollar: usize,
        offset: usize,
        depth: usize,
    ) -> Result<(String, usize), TemplateError> {
        let rest = &template[dollar + 1..];
        if rest.starts_with('$') {
            return Ok(("$".to_owned(), dollar + 2));
        }
        if rest.starts_with('{') {
            let close = closing_brace(&template[dollar..]).map(|found| dollar + found);
            let end = close.map_or(template.len(), |close| close + 1);
            let range = offset + dollar..offset + end;
            let invalid = TemplateError::Invalid {
                range: range.clone(),
            };
            let Some(close) = close else {
                return Err(invalid);
            };
            let inner = dollar + 2;
            let body = Body::parse(&template[inner..close]).ok_or(invalid)?;
            let argument_offset = offset + close - body.argument.len();
            let value = self.braced(&body, range, argument_offset, depth)?;
            return Ok((value, end));
        }
        match name_length(rest) {
            0 => Ok(("$".to_owned(), dollar + 1)),
            length => Ok((self.value_or_unset(&rest[..length]), dollar + 1 + length)),
        }
    }

    fn braced(
        &mut self,
        body: &Body<'_>,
        range: Range<usize>,
        argument_offset: usize,
        depth: usize,
    ) -> Result<String, TemplateError> {
        let Some(operator) = body.operator else {
            return Ok(self.value_or_unset(body.name));
        };
        let argument = self.expand_nested(body.argument, argument_offset, depth + 1)?;
        let value = (self.lookup)(body.name);
        let value = value.filter(|value| !(body.empty_is_unset && value.is_empty()));
        match (operator, value) {
            (Operator::Replacement, Some(_)) | (Operator::Default, None) => Ok(argument),
            (Operator::Replacement, None) => Ok(String::new()),
            (Operator::Default | Operator::Required, Some(value)) => Ok(value),
            (Operator::Required, None) => {
                let name = body.name.to_owned();
                Err(TemplateError::Missing {
                    name,
                    reason: argument,
                    range,
                })
            }
        }
    }

    fn value_or_unset(&mut self, name: &str) -> String {
        (self.lookup)(name).unwrap_or_else(|| {
            if !self.unset.iter().any(|unset| unset == name) {
                self.unset.push(name.to_owned());
            }
            String::new()
        })
    }
}

/// What is between `${` and `}`.
struct Body<'a> {
    name: &'a str,
    operator: Option<Operator>,
    /// Whether the operator has a colon.
    empty_is_unset: bool,
    argument: &'a str,
}

#[derive(Clone, Copy)]
enum Operator {
    Default,
    Required,
    Replacement,
}

impl<'a> Body<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (name, rest) = text.split_at(name_length(text));
        if name.is_empty() {
            return None;
        }
        if rest.is_empty() {
            return Some(Self {
                name,
                operator: None,
                empty_is_unset: false,
                argument: "",
            });
        }
        let (empty_is_unset, rest) = match rest.strip_prefix(':') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let operator = match rest.bytes().next()? {
            b'-' => Operator::Default,
            b'?' => Operator::Required,
            b'+' => Operator::Replacement,
            _ => return None,
        };
        // Compose's own grammar ends at a line break.
        let argument = &rest[1..];
        let one_line = !argument.contains('\n');
        one_line.then_some(Self {
            name,
            operator: Some(operator),
            empty_is_unset,
            argument,
        })
    }
}

/// Length of the variable name that a text starts with; 0 where it starts with none.
fn name_length(text: &str) -> usize {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.bytes()
        .position(|byte| !legal(byte))
        .unwrap_or(text.len())
}

/// The `}` that closes the `${` at the start of a text. A lone `{` opens nothing.
fn closing_brace(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut open = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"${") {
            open += 1;
            at += 2;
            continue;
        }
        if bytes[at] == b'}' {
            open -= 1;
            if open == 0 {
                return Some(at);
            }
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expand(template: &str) -> Result<String, TemplateError> {
        let lookup = |name: &str| match name {
            "SET" => Some("val".to_owned()),
            "EMPTY" => Some(String::new()),
            "DOLLAR" => Some("a$b".to_owned()),
            _ => None,
        };
        Expander::new(&lookup).expand(template)
    }

    #[test]
    fn every_form_gives_what_compose_gives() {
        let cases = [
            ("$SET-${SET}", "val-val"),
            ("${UN:-d}${EMPTY:-d}${SET:-d}", "ddval"),
            ("${UN-d}${EMPTY-d}${SET-d}", "dval"),
            ("${UN:+r}${EMPTY:+r}${SET:+r}", "r"),
            ("${UN+r}${EMPTY+r}${SET+r}", "rr"),
            ("${EMPTY?no}${SET:?no}", "val"),
            ("$$SET $${SET} $$$SET", "$SET ${SET} $val"),
            ("$1 $ $(x) a$", "$1 $ $(x) a$"),
            ("${UN:-${EMPTY:-${SET}}}", "val"),
            ("${UN:-$SET}${UN:-$$}", "val$"),
            ("${UN:-{a}}", "{a}"),
            ("${UN:-a:-b?c}", "a:-b?c"),
            ("$DOLLAR ${UN:-$DOLLAR}", "a$b a$b"),
            ("$UN$_", ""),
        ];
        for (template, expected) in cases {
            assert_eq!(expand(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused_where_it_stands() {
        let cases = [
            ("${}", 0..3),
            ("x${1}", 1..5),
            ("${SET", 0..5),
            ("${SET }", 0..7),
            ("${SET:}", 0..7),
            ("${SET!x}", 0..8),
            ("${SET:-a\nb}", 0..11),
            ("${SET:-${}}", 7..10),
        ];
        for (template, range) in cases {
            assert_eq!(
                expand(template),
                Err(TemplateError::Invalid { range }),
                "{template}"
            );
        }
    }

    #[test]
    fn a_required_variable_says_why() {
        let missing = |range, reason: &str| {
            let (name, reason) = ("UN".to_owned(), reason.to_owned());
            Err(TemplateError::Missing {
                name,
                reason,
                range,
            })
        };
        assert_eq!(expand("a ${UN:?why $SET}"), missing(2..17, "why val"));
        assert_eq!(expand("${UN?}"), missing(0..6, ""));
        // Expanded although it is not needed, as Compose does.
        assert_eq!(expand("${SET:-${UN?}}"), missing(7..13, ""));
    }

    #[test]
    fn a_tower_of_defaults_is_refused() {
        let tower = format!("{}{}", "${A:-".repeat(100_000), "}".repeat(100_000));
        assert_eq!(expand(&tower), Err(TemplateError::TooDeep));
    }

    #[test]
    fn an_expansion_beyond_the_budget_is_refused() {
        let long = "x".repeat(1 << 20);
        let lookup = |_: &str| Some(long.clone());
        let result = Expander::new(&lookup).expand(&"$A".repeat(1000));
        assert_eq!(result, Err(TemplateError::TooLarge));
    }

    proptest! {
        #[test]
        fn text_without_dollars_stays_as_it_is(text in "[^$]*") {
            prop_assert_eq!(expand(&text), Ok(text));
        }

        #[test]
        fn doubled_dollars_escape_any_text(text in "\\PC*") {
            prop_assert_eq!(expand(&text.replace('$', "$$")), Ok(text));
        }

        #[test]
        fn no_text_panics(text in "[${}:?+A\\-é\n]{0,40}") {
            let _ = expand(&text);
        }
    }
}
