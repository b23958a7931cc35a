//! Log lines for people and for programs.

use std::fmt::Write as _;

use crate::logs::{LogLine, Source};

/// How log lines are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineFormat {
    /// Colour the prefix, and let the text's own colours through.
    pub color: bool,
    /// Show when each line was written.
    pub timestamps: bool,
    /// Width of the service's name, so that the bars line up.
    pub width: usize,
}

/// Colours of prefixes, taken in turn by worker.
const COLORS: [&str; 6] = ["36", "33", "32", "35", "34", "31"];

impl LineFormat {
    /// `w0 backend  | text`
    pub fn text(&self, line: &LogLine) -> String {
        let prefix = format!(
            "{} {:<width$} |",
            line.worker,
            line.service.as_str(),
            width = self.width
        );
        let time = if self.timestamps {
            format!(" {:.9}", line.at)
        } else {
            String::new()
        };
        let text = display_text(&line.text, self.color);
        if !self.color {
            return format!("{prefix}{time} {text}\n");
        }
        let color = COLORS[line.worker.0 as usize % COLORS.len()];
        let (dim, reset) = if line.source == Source::Meta {
            ("\x1b[2m", "\x1b[0m")
        } else {
            ("", "\x1b[0m")
        };
        format!("\x1b[{color}m{prefix}\x1b[0m{time} {dim}{text}{reset}\n")
    }

    /// A JSON object and a line feed.
    pub fn json(&self, line: &LogLine) -> String {
        let object = serde_json::json!({
            "at": line.at,
            "worker": line.worker,
            "service": line.service,
            "source": line.source,
            "text": String::from_utf8_lossy(&line.text),
        });
        format!("{object}\n")
    }
}

/// Text from a container, without anything that could control a terminal.
pub fn plain_text(text: &[u8]) -> String {
    display_text(text, false)
}

/// Text from a container, harmless: it may colour itself where `color` allows it, and
/// nothing else. A log must not be able to move the cursor, change the title or forge
/// lines of ours.
fn display_text(text: &[u8], color: bool) -> String {
    let text = String::from_utf8_lossy(text);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => {
                let sequence = escape_sequence(&mut rest);
                if color && is_color(&sequence) {
                    shown.push('\x1b');
                    shown.push_str(&sequence);
                }
            }
            '\t' => shown.push('\t'),
            '\r' => {}
            c if c.is_control() => {
                let _ = write!(shown, "{}", c.escape_unicode());
            }
            c => shown.push(c),
        }
    }
    shown
}

/// Takes what belongs to an escape: a control sequence up to its final byte, an
/// operating system command up to its terminator, or one character.
fn escape_sequence(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut sequence = String::new();
    match rest.peek() {
        Some('[') => {
            for c in rest.by_ref() {
                sequence.push(c);
                if sequence.len() > 1 && ('@'..='~').contains(&c) {
                    break;
                }
            }
        }
        Some(']' | 'P' | '^' | '_' | 'X') => {
            while let Some(c) = rest.next() {
                sequence.push(c);
                if c == '\x07' {
                    break;
                }
                if c == '\x1b' {
                    sequence.extend(rest.next());
                    break;
                }
            }
        }
        _ => sequence.extend(rest.next()),
    }
    sequence
}

/// Select Graphic Rendition: `[`, digits, `;` and `:`, `m`.
fn is_color(sequence: &str) -> bool {
    sequence
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix('m'))
        .is_some_and(|parameters| {
            parameters
                .chars()
                .all(|c| c.is_ascii_digit() || c == ';' || c == ':')
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_pass_and_everything_else_does_not() {
        let text =
            b"\x1b[31mred\x1b[0m \x1b[2Jwiped \x1b]0;title\x07 \x1b7 bell\x07 back\x08 a\tb\r";
        assert_eq!(
            display_text(text, true),
            "\x1b[31mred\x1b[0m wiped   bell\\u{7} back\\u{8} a\tb"
        );
        assert_eq!(
            display_text(text, false),
            "red wiped   bell\\u{7} back\\u{8} a\tb"
        );
    }

    proptest! {
        #[test]
        fn no_text_controls_the_terminal(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let shown = plain_text(&text);
            prop_assert!(shown.chars().all(|c| c == '\t' || !c.is_control()), "{shown:?}");
        }
    }
}
