//! What is wrong with a file, as data: rendered for people, serialised for editors.

use std::{fmt, path::PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use super::{
    node::Span,
    source::{Text, Texts},
};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The project cannot be loaded.
    Error,
    /// The project can be loaded, but may not be what was meant.
    Warning,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// Where; the first one is the main place. Empty when no file is to blame.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Label {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters of this line are meant; 0 at the end of a line.
    pub length: usize,
    /// The line itself. Of a very long one, the part around the column.
    pub source: String,
    /// What is said about the place.
    pub text: Option<String>,
    /// Where `source` starts in the line, in characters.
    #[serde(skip)]
    offset: usize,
}

impl Diagnostic {
    /// The diagnostic as text with the source line and a caret, without a line break
    /// at its end.
    pub fn render(&self, color: Color) -> String {
        let renderer = match color {
            Color::Never => Renderer::plain(),
            Color::Always => Renderer::styled(),
        };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(self.message.as_str()));
        for (index, label) in self.labels.iter().enumerate() {
            group = group.element(label.snippet(index == 0));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Color::Never))
    }
}

/// Whether to colour what is rendered for a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Plain text.
    Never,
    /// ANSI escape sequences.
    Always,
}

impl Label {
    fn snippet(&self, primary: bool) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
        let kind = if primary {
            AnnotationKind::Primary
        } else {
            AnnotationKind::Context
        };
        let start = byte_index(&self.source, self.column - 1 - self.offset);
        let end = byte_index(&self.source, self.column - 1 - self.offset + self.length);
        Snippet::source(self.source.as_str())
            .path(self.file.to_string_lossy())
            .line_start(self.line)
            .annotation(kind.span(start..end).label(self.text.as_deref()))
    }

    /// The widest line that is kept whole. The renderer cuts what a terminal cannot
    /// show; beyond this, lines are machines' work and a part of them will do.
    const MAX_WIDTH: usize = 2000;

    fn new(text: &Text, span: Span, note: Option<String>) -> Self {
        let content = &*text.content;
        let start = floor_char_boundary(content, span.start as usize);
        let end = floor_char_boundary(content, span.end as usize).max(start);
        let line_start = content[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = content[start..]
            .find('\n')
            .map_or(content.len(), |at| start + at);
        let line = content[line_start..line_end].trim_end_matches('\r');
        let end = end.min(line_start + line.len()).max(start);

        let column = content[line_start..start].chars().count();
        let length = content[start..end].trim_end().chars().count();
        let offset = match line.chars().count() {
            0..=Self::MAX_WIDTH => 0,
            _ => column.saturating_sub(Self::MAX_WIDTH / 2),
        };
        Self {
            file: text.path.clone(),
            line: content[..line_start].matches('\n').count() + 1,
            column: column + 1,
            length: length.min(Self::MAX_WIDTH / 2),
            source: line.chars().skip(offset).take(Self::MAX_WIDTH).collect(),
            text: note,
            offset,
        }
    }
}

fn byte_index(text: &str, chars: usize) -> usize {
    text.char_indices()
        .nth(chars)
        .map_or(text.len(), |(index, _)| index)
}

fn floor_char_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

/// A diagnostic before its spans are looked up, as the phases produce it.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub severity: Severity,
    pub message: String,
    pub spans: Vec<(Span, Option<String>)>,
    pub help: Option<String>,
}

impl Problem {
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            spans: vec![(span, None)],
            help: None,
        }
    }

    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(span, message)
        }
    }

    /// The same, but no reason to give up.
    #[must_use]
    pub fn into_warning(self) -> Self {
        Self {
            severity: Severity::Warning,
            ..self
        }
    }

    /// Says something about the main place, beside the caret.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        if let Some((_, label)) = self.spans.first_mut() {
            *label = Some(text.into());
        }
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn and(mut self, span: Span, text: impl Into<String>) -> Self {
        self.spans.push((span, Some(text.into())));
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Asks whether the nearest of `known` was meant, if one is near.
    #[must_use]
    pub fn suggest<'a>(self, wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(wrong, known) {
            Some(right) => self.help(format!("did you mean `{right}`?")),
            None => self,
        }
    }

    /// Looks the spans up. Spans in no file, of defaults, are left out.
    pub fn locate(self, texts: &Texts) -> Diagnostic {
        let locate = |(span, note)| texts.of(span).map(|text| Label::new(text, span, note));
        Diagnostic {
            severity: self.severity,
            message: self.message,
            labels: self.spans.into_iter().filter_map(locate).collect(),
            help: self.help,
        }
    }
}

/// The candidate that a typing mistake most likely stands for.
pub(super) fn nearest<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // The first measure counts slips of the keyboard, the second favours a common
    // beginning, such as `env` for `environment`. Below these limits guesses look random.
    let wrong = wrong.to_lowercase();
    let score = |right: &str| {
        let right = right.to_lowercase();
        let slips = strsim::normalized_damerau_levenshtein(&wrong, &right);
        let beginning = strsim::jaro_winkler(&wrong, &right);
        if slips < 0.6 && beginning < 0.85 {
            0.0
        } else {
            slips.max(beginning)
        }
    };
    known
        .into_iter()
        .map(|right| (score(right), right))
        .filter(|(score, _)| *score > 0.0)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, right)| right)
}
