//! Holds a document against the [`schema`](super::schema) and says everything that
//! is wrong with it.

use std::collections::HashMap;

use super::{
    diagnostic::{Problem, nearest},
    node::{Map, Node, Path, Span, Value},
    schema::{self, Keys, Kind, Type, Unknown},
};

/// How many problems are reported; the rest is most likely a consequence.
const MAX_PROBLEMS: usize = 20;

/// Checks a whole document.
pub(super) fn validate(document: &Node) -> Vec<Problem> {
    let mut checker = Checker {
        problems: Vec::new(),
    };
    checker.check(document, &schema::FILE, Path::ROOT, document.span);
    checker.problems.truncate(MAX_PROBLEMS);
    checker.problems
}

struct Checker {
    problems: Vec<Problem>,
}

impl Checker {
    /// `place` is what to point at: the value, or its key where the value is a block
    /// of many lines or nothing at all.
    fn check(&mut self, node: &Node, expected: &Type, path: Path<'_>, place: Span) {
        let place = match &node.value {
            Value::List(_) | Value::Map(_) | Value::Null => place,
            _ => node.span,
        };
        match (expected, &node.value) {
            (Type::Scalar(kinds), value) if kinds.iter().any(|kind| kind.accepts(value)) => {}
            (Type::OneOf(allowed), Value::String(text)) => self.one_of(text, allowed, path, place),
            (Type::Within(..), Value::String(_)) => {}
            (Type::Within(low, high), Value::Int(value)) if (low..=high).contains(&value) => {}
            #[expect(clippy::cast_precision_loss, reason = "the bounds are small")]
            (Type::Within(low, high), Value::Float(value))
                if value.fract() == 0.0 && (*low as f64..=*high as f64).contains(value) => {}
            (Type::Checked(check, _), Value::String(text)) if check(text) => {}
            (Type::Checked(_, what), Value::String(text)) => {
                self.error(place, format!("`{path}` must be {what}, not `{text}`"));
            }
            (Type::List(item) | Type::Set(item), Value::List(items)) => {
                for node in items {
                    self.check(node, item, path.item(), node.span);
                }
                if matches!(expected, Type::Set(_)) {
                    self.unique(items, path);
                }
            }
            (Type::Map(keys, value), Value::Map(map)) => self.map(map, *keys, value, path),
            (
                Type::Object {
                    fields,
                    required,
                    unknown,
                },
                Value::Map(map),
            ) => {
                self.object(map, fields, *unknown, path);
                self.required(map, required, path, place);
            }
            (Type::Either(alternatives), value) => {
                match alternatives
                    .iter()
                    .find(|alternative| alternative.fits(value))
                {
                    Some(alternative) => self.check(node, alternative, path, place),
                    None => self.mismatch(expected, value, path, place),
                }
            }
            (_, value) => self.mismatch(expected, value, path, place),
        }
    }

    fn error(&mut self, span: Span, message: String) {
        self.problems.push(Problem::error(span, message));
    }

    fn mismatch(&mut self, expected: &Type, found: &Value, path: Path<'_>, place: Span) {
        let expected = expected.describe();
        let found = found.describe();
        let what = if path.keys().is_empty() {
            "the file".to_owned()
        } else {
            format!("`{path}`")
        };
        self.error(place, format!("{what} must be {expected}, not {found}"));
    }

    fn one_of(&mut self, text: &str, allowed: &[&str], path: Path<'_>, place: Span) {
        if allowed.contains(&text) {
            return;
        }
        let list: Vec<_> = allowed.iter().map(|value| format!("`{value}`")).collect();
        let message = format!("`{path}` must be {}, not `{text}`", join_or(&list));
        self.problems
            .push(Problem::error(place, message).suggest(text, allowed.iter().copied()));
    }

    fn map(&mut self, map: &Map, keys: Keys, value: &Type, path: Path<'_>) {
        for (key, entry) in map.iter() {
            let legal = match keys {
                Keys::Any => true,
                Keys::NotEmpty => !key.is_empty(),
                Keys::Names => is_name(key),
            };
            if legal {
                self.check(&entry.node, value, path.key(key), entry.key);
            } else if keys == Keys::NotEmpty {
                self.error(entry.key, format!("a name in `{path}` is empty"));
            } else {
                let message = format!("`{key}` is not a legal name in `{path}`");
                self.problems.push(
                    Problem::error(entry.key, message)
                        .help("letters, digits, `.`, `_` and `-` are allowed"),
                );
            }
        }
    }

    fn object(
        &mut self,
        map: &Map,
        fields: &'static [(&'static str, Type)],
        unknown: Unknown,
        path: Path<'_>,
    ) {
        for (key, entry) in map.iter() {
            // The table is sorted where it is long, but short enough to walk.
            match fields.iter().find(|(name, _)| *name == key) {
                Some((_, expected)) => {
                    self.check(&entry.node, expected, path.key(key), entry.key);
                }
                None if unknown == Unknown::Ignored => {}
                None if unknown == Unknown::Extensions && key.starts_with("x-") => {}
                None => self.unknown_key(key, entry.key, fields, path),
            }
        }
    }

    fn unknown_key(
        &mut self,
        key: &str,
        span: Span,
        fields: &'static [(&'static str, Type)],
        path: Path<'_>,
    ) {
        let place = match path.keys() {
            [] => "at the top level of a Compose file".to_owned(),
            ["services", service] => format!("in service `{service}`"),
            _ => format!("in `{path}`"),
        };
        let problem = Problem::error(span, format!("unknown key `{key}` {place}"));
        let names = || fields.iter().map(|(name, _)| *name);
        let problem = match (nearest(key, names()), path.keys()) {
            (Some(name), _) => problem.help(format!("did you mean `{name}`?")),
            (None, []) if service_has(key) => problem.help(format!(
                "`{key}` is a key of a service; is it indented enough?"
            )),
            (None, _) => problem,
        };
        self.problems.push(problem);
    }

    fn required(&mut self, map: &Map, required: &[&str], path: Path<'_>, place: Span) {
        for key in required {
            if !map.contains(key) {
                self.error(place, format!("`{path}` needs the key `{key}`"));
            }
        }
    }

    fn unique(&mut self, items: &[Node], path: Path<'_>) {
        let mut seen = HashMap::new();
        for item in items {
            // Only scalars: what Compose's schema says of lists of mappings is
            // settled earlier, by what they stand for.
            let Some(text) = item.to_text() else { continue };
            if let Some(first) = seen.insert(
                (std::mem::discriminant(&item.value), text.clone()),
                item.span,
            ) {
                let message = format!("`{text}` is in `{path}` twice");
                self.problems
                    .push(Problem::error(item.span, message).and(first, "first here"));
            }
        }
    }
}

impl Type {
    /// Whether a value is of this type's kind, whatever is in it.
    fn fits(&self, value: &Value) -> bool {
        match self {
            Self::Scalar(kinds) => kinds.iter().any(|kind| kind.accepts(value)),
            Self::OneOf(_) | Self::Checked(..) => matches!(value, Value::String(_)),
            Self::Within(..) => {
                matches!(value, Value::String(_) | Value::Int(_) | Value::Float(_))
            }
            Self::List(_) | Self::Set(_) => matches!(value, Value::List(_)),
            Self::Map(..) | Self::Object { .. } => matches!(value, Value::Map(_)),
            Self::Either(alternatives) => alternatives.iter().any(|it| it.fits(value)),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Scalar(kinds) => {
                let names: Vec<_> = kinds.iter().filter_map(|kind| kind.name()).collect();
                if names.is_empty() {
                    "empty".to_owned()
                } else {
                    join_or(&names)
                }
            }
            Self::OneOf(_) => "a string".to_owned(),
            Self::Within(low, high) if *high > i128::from(u32::MAX) => {
                format!("an integer from {low} on")
            }
            Self::Within(low, high) => format!("a number from {low} to {high}"),
            Self::Checked(_, what) => (*what).to_owned(),
            Self::List(_) | Self::Set(_) => "a list".to_owned(),
            Self::Map(..) | Self::Object { .. } => "a mapping".to_owned(),
            Self::Either(alternatives) => {
                let names: Vec<_> = alternatives.iter().map(Self::describe).collect();
                let names: Vec<_> = names.into_iter().filter(|name| name != "empty").collect();
                join_or(&names)
            }
        }
    }
}

impl Kind {
    fn accepts(self, value: &Value) -> bool {
        match value {
            Value::Null => self == Self::Null,
            Value::Bool(_) => self == Self::Bool,
            Value::Int(_) => matches!(self, Self::Int | Self::Number),
            Value::Float(value) => {
                self == Self::Number || (self == Self::Int && value.fract() == 0.0)
            }
            Value::String(_) => self == Self::String,
            Value::Timestamp(_) | Value::List(_) | Value::Map(_) => false,
        }
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Self::Null => None,
            Self::Bool => Some("a boolean"),
            Self::Int => Some("an integer"),
            Self::Number => Some("a number"),
            Self::String => Some("a string"),
        }
    }
}

/// `a`, `a or b`, `a, b or c`.
fn join_or<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn is_name(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c))
}

/// Whether a service has a key, for a hint to those who forgot to indent.
fn service_has(key: &str) -> bool {
    let Type::Object { fields, .. } = &schema::FILE else {
        return false;
    };
    let services = fields.iter().find(|(name, _)| *name == "services");
    let Some((_, Type::Map(_, Type::Object { fields, .. }))) = services else {
        return false;
    };
    fields.iter().any(|(name, _)| *name == key)
}
