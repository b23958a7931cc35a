//! YAML text to a tree of located nodes.
//!
//! Aliases are expanded here, within a budget: a file that doubles itself a hundred
//! times is refused before its copies are made. Merge keys (`<<`) are resolved, and
//! of Compose's tags `!reset` and `!override` are kept for the merging of files.

use std::{borrow::Cow, collections::HashMap, ops::Range};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, StrInput};

use super::{
    diagnostic::Problem,
    node::{Map, Node, Span, Tag, Value},
    scalar,
    tabs::Tabs,
};

/// How deep values may be nested, aliases included. Compose's own keys end at ten.
const MAX_DEPTH: usize = 100;

/// How many nodes a document may have, copies made for aliases included: about
/// fifty megabytes.
const MAX_NODES: usize = 400_000;

/// How many bytes of text the copies made for aliases may hold.
const MAX_COPIED_BYTES: usize = 16 << 20;

/// How many comments of a file may follow a value without a space between. Each of them
/// is found by reading the file once more.
const MAX_TOUCHING_COMMENTS: usize = 100;

/// Parses every document of a file; none where it holds nothing but comments.
pub(super) fn parse(file: u32, text: &str) -> Result<Vec<Node>, Problem> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..MAX_TOUCHING_COMMENTS {
        match parse_strictly(file, &text) {
            Err((_, Some(comment))) => text = without_comment(&text, comment).into(),
            Err((problem, None)) => return Err(problem),
            Ok(documents) => return Ok(documents),
        }
    }
    parse_strictly(file, &text).map_err(|(problem, _)| problem)
}

/// The text with spaces in the place of a comment, so that all else stays where it is.
fn without_comment(text: &str, start: usize) -> String {
    let end = text[start..].find(['\n', '\r']);
    let end = end.map_or(text.len(), |length| start + length);
    let spaces = " ".repeat(end - start);
    [&text[..start], &spaces, &text[end..]].concat()
}

/// Parses as the parser would. A comment right behind a value, which Compose reads, is a
/// mistake for the parser: where it is comes with the problem.
fn parse_strictly(file: u32, text: &str) -> Result<Vec<Node>, (Problem, Option<usize>)> {
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    // go-yaml has no limit of 1024 characters before the `:` of a key in flow style
    // JSON, but one that is far beyond it is a mistake or an attack.
    options.simple_key_max_lookahead = 4096;
    let events = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder {
        file,
        text,
        events,
        tabs: Tabs::new(text),
        anchors: HashMap::new(),
        cost: Cost::default(),
        touching_comment: None,
    };
    let documents = builder.stream();
    documents.map_err(|problem| (problem, builder.touching_comment))
}

struct Builder<'a> {
    file: u32,
    text: &'a str,
    events: Parser<'a, StrInput<'a>>,
    tabs: Tabs<'a>,
    anchors: HashMap<usize, Anchor>,
    cost: Cost,
    /// Where the comment starts that the parser stopped at.
    touching_comment: Option<usize>,
}

struct Anchor {
    node: Node,
    cost: Cost,
    depth: usize,
}

/// What a tree takes in memory.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    bytes: usize,
}

type Tagged<'a> = Option<Cow<'a, granit_parser::Tag>>;

impl<'a> Builder<'a> {
    fn stream(&mut self) -> Result<Vec<Node>, Problem> {
        let mut documents = Vec::new();
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(documents),
                (Event::DocumentStart(..), _) => {
                    let (event, span) = self.next()?;
                    let document = self.node(event, span, 0)?;
                    documents.push(document);
                    self.anchors.clear();
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        match self.events.next_event() {
            Some(Ok((event, span))) => {
                let range = span.byte_range().unwrap_or_default();
                self.check_tabs(&event, &range)?;
                Ok((event, self.span(range)))
            }
            Some(Err(error)) => Err(self.syntax_error(&error)),
            None => Ok((
                Event::StreamEnd,
                self.span(self.text.len()..self.text.len()),
            )),
        }
    }

    fn check_tabs(&mut self, event: &Event<'_>, range: &Range<usize>) -> Result<(), Problem> {
        let checked = match event {
            Event::Scalar(_, style, ..) => self.tabs.scalar(range, *style),
            Event::SequenceStart(..) | Event::MappingStart(..) => self.tabs.open(range),
            Event::SequenceEnd | Event::MappingEnd => self.tabs.close(range),
            _ => self.tabs.step(range, false),
        };
        checked.map_err(|at| {
            let message = "invalid YAML: a tab is in the place of indentation";
            Problem::error(self.span(at..at + 1), message).help("use spaces, or none at all")
        })
    }

    fn span(&self, range: Range<usize>) -> Span {
        let offset = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Span {
            file: self.file,
            start: offset(range.start),
            end: offset(range.end),
        }
    }

    fn syntax_error(&mut self, error: &granit_parser::ScanError) -> Problem {
        let at = error.marker().byte_offset().unwrap_or(self.text.len());
        if matches!(error.kind(), ErrorKind::CommentNotSeparated)
            && self.text[at..].starts_with('#')
        {
            self.touching_comment = Some(at);
        }
        Problem::error(self.span(at..at), format!("invalid YAML: {}", error.kind()))
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Problem> {
        if depth > MAX_DEPTH {
            return Err(too_deep(span));
        }
        if let Event::Alias(anchor) = event {
            return self.alias(anchor, span, depth);
        }
        self.spend(Cost { nodes: 1, bytes: 0 }, span)?;
        let (anchor, mut node) = match event {
            Event::Scalar(text, style, anchor, tag) => (anchor, scalar(&text, style, &tag, span)?),
            Event::SequenceStart(_, anchor, tag) => (anchor, self.list(span, depth, &tag)?),
            Event::MappingStart(_, anchor, tag) => (anchor, self.map(span, depth, &tag)?),
            _ => (0, Node::null(span)),
        };
        if node.tag == Tag::Reset {
            node.value = Value::Null;
        }
        if anchor != 0 {
            self.remember(anchor, &node, span)?;
        }
        Ok(node)
    }

    fn list(&mut self, span: Span, depth: usize, tag: &Tagged<'_>) -> Result<Node, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => break,
                (event, item) => {
                    let node = self.node(event, item, depth + 1)?;
                    if node.tag != Tag::Reset {
                        items.push(node);
                    }
                }
            }
        }
        Ok(Node {
            tag: compose_tag(tag),
            ..Node::new(items, span)
        })
    }

    fn map(&mut self, span: Span, depth: usize, tag: &Tagged<'_>) -> Result<Node, Problem> {
        let mut map = Map::default();
        let mut merges = false;
        loop {
            let (event, key_span) = match self.next()? {
                (Event::MappingEnd, _) => break,
                next => next,
            };
            let plain = matches!(event, Event::Scalar(_, ScalarStyle::Plain, ..));
            let key = self.node(event, key_span, depth + 1)?;
            let (event, value_span) = self.next()?;
            let value = self.node(event, value_span, depth + 1)?;
            let key = match key.value {
                Value::String(text) => text,
                other => return Err(not_a_string_key(&other, key_span)),
            };
            if let Some(first) = map.key_span(&key) {
                return Err(
                    Problem::error(key_span, format!("key `{key}` is given twice"))
                        .and(first, "first given here"),
                );
            }
            merges |= plain && key == "<<";
            map.insert(key, key_span, value);
        }
        if merges && let Some(value) = map.remove("<<") {
            merge_into(&mut map, value)?;
        }
        Ok(Node {
            tag: compose_tag(tag),
            ..Node::new(map, span)
        })
    }

    /// Copies what an anchor names. The copy keeps the anchor's place, so that an
    /// error in it points at the text that is wrong.
    fn alias(&mut self, anchor: usize, span: Span, depth: usize) -> Result<Node, Problem> {
        let Some(target) = self.anchors.get(&anchor) else {
            return Err(Problem::error(
                span,
                "the alias refers to a value that contains it",
            ));
        };
        if depth + target.depth > MAX_DEPTH {
            return Err(too_deep(span));
        }
        let cost = target.cost;
        self.spend(cost, span)?;
        Ok(self.anchors[&anchor].node.clone())
    }

    /// Keeps a copy for the aliases to come. It counts as well: anchors around anchors
    /// would otherwise multiply for free.
    fn remember(&mut self, anchor: usize, node: &Node, span: Span) -> Result<(), Problem> {
        let (nodes, bytes) = node.weigh();
        let cost = Cost { nodes, bytes };
        self.spend(cost, span)?;
        self.anchors.insert(
            anchor,
            Anchor {
                node: node.clone(),
                cost,
                depth: depth_of(node),
            },
        );
        Ok(())
    }

    fn spend(&mut self, cost: Cost, span: Span) -> Result<(), Problem> {
        self.cost.nodes += cost.nodes;
        self.cost.bytes += cost.bytes;
        if self.cost.nodes > MAX_NODES || self.cost.bytes > MAX_COPIED_BYTES {
            return Err(Problem::error(
                span,
                "the file is too large once its aliases are expanded",
            )
            .help(format!("at most {MAX_NODES} values are read from a file")));
        }
        Ok(())
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: &Tagged<'_>, span: Span) -> Result<Node, Problem> {
    let core = tag.as_ref().and_then(|tag| tag.core_suffix());
    let value = match core {
        None if tag.is_none() && style == ScalarStyle::Plain => Some(scalar::resolve(text)),
        None | Some("str" | "binary") => Some(Value::String(text.to_owned())),
        Some(kind) => typed_scalar(kind, text),
    };
    let Some(value) = value else {
        let kind = core.unwrap_or_default();
        return Err(Problem::error(
            span,
            format!("`{text}` is not of the type `!!{kind}`"),
        ));
    };
    Ok(Node {
        tag: compose_tag(tag),
        ..Node::new(value, span)
    })
}

/// The value of a scalar with one of YAML's own tags, if it is of that type.
fn typed_scalar(kind: &str, text: &str) -> Option<Value> {
    match (kind, scalar::resolve(text)) {
        ("float", Value::Int(value)) => scalar::float(&value.to_string()),
        ("int", value @ Value::Int(_))
        | ("float", value @ Value::Float(_))
        | ("bool", value @ Value::Bool(_))
        | ("null", value @ Value::Null)
        | ("timestamp", value @ Value::Timestamp(_)) => Some(value),
        _ => None,
    }
}

fn compose_tag(tag: &Tagged<'_>) -> Tag {
    match tag.as_ref().map(|tag| tag.original()).as_deref() {
        Some("!reset") => Tag::Reset,
        Some("!override") => Tag::Override,
        _ => Tag::None,
    }
}

/// Resolves one merge key: what the mapping says itself wins, then what was merged
/// first.
fn merge_into(map: &mut Map, value: Node) -> Result<(), Problem> {
    let span = value.span;
    let sources = match value.value {
        Value::List(items) => items,
        _ => vec![value],
    };
    for source in sources {
        let Value::Map(source) = source.value else {
            return Err(Problem::error(
                span,
                "only mappings can be merged with `<<`",
            ));
        };
        for (key, entry) in source {
            if !map.contains(&key) {
                map.insert(key, entry.key, entry.node);
            }
        }
    }
    Ok(())
}

/// How many levels a tree has below its root.
fn depth_of(node: &Node) -> usize {
    let below = match &node.value {
        Value::List(items) => items.iter().map(depth_of).max(),
        Value::Map(map) => map.iter().map(|(_, entry)| depth_of(&entry.node)).max(),
        _ => return 0,
    };
    below.map_or(0, |depth| depth + 1)
}

fn too_deep(span: Span) -> Problem {
    Problem::error(
        span,
        format!("values are nested more than {MAX_DEPTH} deep"),
    )
}

fn not_a_string_key(key: &Value, span: Span) -> Problem {
    let problem = Problem::error(
        span,
        format!("a key must be a string, not {}", key.describe()),
    );
    match key {
        Value::List(_) | Value::Map(_) => problem,
        _ => problem.help("put it in quotes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_one(text: &str) -> Node {
        let mut documents = parse(0, text).unwrap();
        assert_eq!(documents.len(), 1);
        documents.remove(0)
    }

    fn source(text: &str, span: Span) -> &str {
        &text[span.start as usize..span.end as usize]
    }

    #[test]
    fn keys_and_values_know_where_they_are() {
        let text = "# é\nweb:\n  image: \"nginx:1\"\n  ports: [80, 443]\n";
        let document = parse_one(text);
        let web = document.get("web").unwrap();
        assert_eq!(
            source(text, web.as_map().unwrap().key_span("image").unwrap()),
            "image"
        );
        assert_eq!(source(text, web.get("image").unwrap().span), "\"nginx:1\"");
        let ports = web.get("ports").unwrap().as_list().unwrap();
        assert_eq!(source(text, ports[1].span), "443");
    }

    #[test]
    fn quotes_and_tags_decide_the_type() {
        let document = parse_one("[1, '1', !!str 1, !!int '1', !custom 1, !!float 1, true, \"\"]");
        let values: Vec<_> = document
            .as_list()
            .unwrap()
            .iter()
            .map(|it| it.value.clone())
            .collect();
        let text = |text: &str| Value::String(text.to_owned());
        let one = Value::Int(1);
        assert_eq!(values[..3], [one.clone(), text("1"), text("1")]);
        assert_eq!(values[3..6], [one, text("1"), Value::Float(1.0)]);
        assert_eq!(values[6..], [Value::Bool(true), text("")]);
        assert!(parse(0, "!!int x").is_err());
    }

    #[test]
    fn merge_keys_add_what_is_not_said() {
        let text =
            "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], z: 3}\nd: {'<<': 1}\n";
        let document = parse_one(text);
        let c = document.get("c").unwrap();
        let numbers = ["x", "y", "z"].map(|key| c.get(key).unwrap().to_text().unwrap());
        assert_eq!(numbers, ["1", "1", "3"]);
        assert!(!c.as_map().unwrap().contains("<<"));
        assert!(document.get("d").unwrap().get("<<").is_some());
        assert!(parse(0, "a: {<<: 1}").is_err());
    }

    #[test]
    fn the_copy_of_an_alias_points_at_its_anchor() {
        let text = "a: &a {x: wrong}\nb: *a\n";
        let copy = parse_one(text).get("b").unwrap().get("x").unwrap().span;
        assert_eq!((source(text, copy), copy.start < 12), ("wrong", true));
    }

    #[test]
    fn tags_of_compose_are_kept() {
        let document = parse_one("a: !reset 1\nb: !override {c: 1}\nd: [x, !reset y]\n");
        assert_eq!(document.get("a").unwrap().tag, Tag::Reset);
        assert_eq!(document.get("b").unwrap().tag, Tag::Override);
        assert_eq!(document.get("d").unwrap().as_list().unwrap().len(), 1);
    }

    #[test]
    fn a_comment_may_touch_the_value_before_it() {
        let text = "a: 'b'# c é\nd: [e,# f\n  \"g\"#h\n]#i\nj: k#l\nm: |# n\n  #o\n";
        let document = parse_one(text);
        let text = |key: &str| document.get_str(key).unwrap_or_default().to_owned();
        assert_eq!(["a", "j", "m"].map(text), ["b", "k#l", "#o\n"]);
        assert_eq!(document.get("d").unwrap().as_list().unwrap().len(), 2);
        assert!(parse(0, &"- 'a'#b\n".repeat(MAX_TOUCHING_COMMENTS)).is_ok());
        assert!(parse(0, &"- 'a'#b\n".repeat(MAX_TOUCHING_COMMENTS + 1)).is_err());
    }

    #[test]
    fn documents_are_told_apart() {
        assert_eq!(parse(0, "a: 1\n---\nb: 2\n").unwrap().len(), 2);
        assert_eq!(parse(0, "# nothing\n").unwrap().len(), 0);
        assert_eq!(parse(0, "").unwrap().len(), 0);
    }
}
