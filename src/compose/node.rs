//! The tree that all phases work on: YAML values that know where they come from.

use std::fmt;

use indexmap::IndexMap;

/// A range of bytes in one of the files that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    /// Number of the text in [`super::source::Texts`].
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// For what no file says, such as a default.
    pub const NONE: Self = Self {
        file: u32::MAX,
        start: 0,
        end: 0,
    };
}

/// A value and where it was written.
///
/// Two nodes are equal when their values are; where they come from does not count.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub value: Value,
    pub span: Span,
    pub tag: Tag,
}

/// Compose's own YAML tags. They matter until files are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Tag {
    #[default]
    None,
    /// `!reset`: remove what earlier files say here.
    Reset,
    /// `!override`: replace what earlier files say here instead of merging with it.
    Override,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// Any integer that fits an `i64` or a `u64`, as in go-yaml.
    Int(i128),
    Float(f64),
    /// What YAML 1.1 takes for a date. Compose has no key that accepts one.
    Timestamp(String),
    String(String),
    List(Vec<Node>),
    Map(Map),
}

/// A mapping in the order of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Map(IndexMap<String, Entry>);

/// A value of a mapping and where its key was written.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: Span,
    pub node: Node,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl Node {
    pub fn new(value: impl Into<Value>, span: Span) -> Self {
        Self {
            value: value.into(),
            span,
            tag: Tag::None,
        }
    }

    pub fn null(span: Span) -> Self {
        Self::new(Value::Null, span)
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub fn as_list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_list_mut(&mut self) -> Option<&mut Vec<Self>> {
        match &mut self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The mapping that this is; an empty one where it is none.
    pub fn into_map(self) -> Map {
        match self.value {
            Value::Map(map) => map,
            _ => Map::default(),
        }
    }

    /// The value of a key, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.get(key)
    }

    /// The value of a key, where this is a mapping that has it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        self.as_map_mut()?.get_mut(key)
    }

    /// The text of a key, where this is a mapping that has it as a string.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// How many nodes the tree has, this one included, and how many bytes of text.
    pub fn weigh(&self) -> (usize, usize) {
        let sum = |total: (usize, usize), (nodes, bytes)| (total.0 + nodes, total.1 + bytes);
        match &self.value {
            Value::String(text) | Value::Timestamp(text) => (1, text.len()),
            Value::List(items) => items.iter().map(Self::weigh).fold((1, 0), sum),
            Value::Map(map) => map
                .iter()
                .map(|(key, entry)| sum((0, key.len()), entry.node.weigh()))
                .fold((1, 0), sum),
            _ => (1, 0),
        }
    }

    /// A scalar as Compose writes it into a variable or a label; `None` for null,
    /// lists and mappings.
    pub fn to_text(&self) -> Option<String> {
        match &self.value {
            Value::Bool(value) => Some(value.to_string()),
            Value::Int(value) => Some(value.to_string()),
            Value::Float(value) => Some(float_text(*value)),
            Value::String(text) | Value::Timestamp(text) => Some(text.clone()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }
}

impl Map {
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.0.get(key).map(|entry| &entry.node)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.get_mut(key).map(|entry| &mut entry.node)
    }

    /// Where a key was written.
    pub fn key_span(&self, key: &str) -> Option<Span> {
        self.0.get(key).map(|entry| entry.key)
    }

    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Sets a key; a new one goes to the end.
    pub fn insert(&mut self, key: impl Into<String>, key_span: Span, node: Node) {
        self.0.insert(
            key.into(),
            Entry {
                key: key_span,
                node,
            },
        );
    }

    /// Sets a key that no file holds.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.insert(key, Span::NONE, Node::new(value, Span::NONE));
    }

    pub fn remove(&mut self, key: &str) -> Option<Node> {
        self.0.shift_remove(key).map(|entry| entry.node)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Entry)> {
        self.0.iter_mut().map(|(key, entry)| (key.as_str(), entry))
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut Entry) -> bool) {
        self.0.retain(|key, entry| keep(key, entry));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IntoIterator for Map {
    type Item = (String, Entry);
    type IntoIter = indexmap::map::IntoIter<String, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i128> for Value {
    fn from(value: i128) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<Vec<Node>> for Value {
    fn from(items: Vec<Node>) -> Self {
        Self::List(items)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

impl Value {
    /// The kind of value, for messages: `a list`, `the number 3`.
    pub fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("the boolean `{value}`"),
            Self::Int(value) => format!("the number `{value}`"),
            Self::Float(value) => format!("the number `{value}`"),
            Self::Timestamp(text) => format!("the date `{text}`"),
            Self::String(_) => "a string".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// A float as Go's `%v` prints it, which is what ends up in variables and labels:
/// the shortest digits that round-trip, `1e+06` from seven integer digits on.
fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// One more than the longest rule has keys. Deeper nodes share one path, which no rule
/// matches.
const DEPTH: usize = 10;

/// Where in the document a node is: the keys from the root, `[]` for an item of a
/// list. It is matched against Compose's rules as a slice.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    keys: [&'a str; DEPTH],
    len: usize,
}

impl<'a> Path<'a> {
    pub const ROOT: Self = Self {
        keys: [""; DEPTH],
        len: 0,
    };

    #[must_use]
    pub fn key(mut self, key: &'a str) -> Self {
        if self.len < DEPTH {
            self.keys[self.len] = key;
            self.len += 1;
        }
        self
    }

    #[must_use]
    pub fn item(self) -> Self {
        self.key("[]")
    }

    pub fn keys(&self) -> &[&'a str] {
        &self.keys[..self.len]
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.keys().iter().enumerate() {
            if index > 0 && *key != "[]" {
                f.write_str(".")?;
            }
            f.write_str(key)?;
        }
        Ok(())
    }
}
