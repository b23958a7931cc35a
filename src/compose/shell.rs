//! Splits the string form of `command` and `entrypoint` into words, as Compose does.
//!
//! This is not a shell: nothing is expanded, and an operator such as `|` or `>` ends
//! the command without an error.

/// The words of a command line, or `None` where a quote or a parenthesis is not
/// closed.
pub(super) fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Words::default();
    for c in line.chars() {
        if !words.push(c)? {
            break;
        }
    }
    words.finish()
}

/// What the characters so far have opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Quote {
    #[default]
    None,
    Single,
    Double,
    Backtick,
    /// `$(…)`, which is kept as it is.
    Substitution,
}

#[derive(Default)]
struct Words {
    done: Vec<String>,
    word: String,
    /// Whether `word` is one although it may be empty, as in `''`.
    started: bool,
    quote: Quote,
    escaped: bool,
}

impl Words {
    /// Takes a character. False when it ends the command.
    fn push(&mut self, c: char) -> Option<bool> {
        if self.escaped {
            self.escaped = false;
            self.literal(c);
            return Some(true);
        }
        match (c, self.quote) {
            ('\\', quote) if quote != Quote::Single => self.escaped = true,
            (' ' | '\t' | '\r' | '\n', Quote::None) => self.end_word(),
            ('\'', Quote::None) => self.quote = Quote::Single,
            ('"', Quote::None) => self.quote = Quote::Double,
            ('\'', Quote::Single) | ('"', Quote::Double) => {
                self.quote = Quote::None;
                self.started = true;
            }
            ('`', Quote::None) => self.keep(c, Quote::Backtick),
            ('`', Quote::Backtick) | (')', Quote::Substitution) => self.keep(c, Quote::None),
            ('(', Quote::None) if self.word.ends_with('$') => self.keep(c, Quote::Substitution),
            ('(', Quote::None | Quote::Substitution) | (')', Quote::None) => return None,
            ('>', Quote::None) if self.word.starts_with(|c: char| c.is_ascii_digit()) => {
                // The number in `2>file` belongs to the redirection.
                self.started = false;
                return Some(false);
            }
            (';' | '&' | '|' | '<' | '>', Quote::None) => return Some(false),
            _ => self.literal(c),
        }
        Some(true)
    }

    fn literal(&mut self, c: char) {
        self.word.push(c);
        self.started = true;
    }

    fn keep(&mut self, c: char, quote: Quote) {
        self.literal(c);
        self.quote = quote;
    }

    fn end_word(&mut self) {
        if self.started {
            self.done.push(std::mem::take(&mut self.word));
            self.started = false;
        }
    }

    fn finish(mut self) -> Option<Vec<String>> {
        if self.quote != Quote::None || self.escaped {
            return None;
        }
        self.end_word();
        Some(self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &[&str]) {
        assert_eq!(split(line).unwrap(), expected, "{line}");
    }

    #[test]
    fn words_are_split_and_unquoted() {
        check("", &[]);
        check("  a  b\tc\n", &["a", "b", "c"]);
        check(
            r#"sh -c "a 'b' \"c\"" 'd "e" \'"#,
            &["sh", "-c", "a 'b' \"c\"", "d \"e\" \\"],
        );
        check(r"a\ b\tc", &["a btc"]);
        check(r#"a '' "" b"c"d"#, &["a", "", "", "bcd"]);
    }

    #[test]
    fn substitutions_are_kept() {
        check(
            "echo $X `ls -l` $(date +%s)",
            &["echo", "$X", "`ls -l`", "$(date +%s)"],
        );
    }

    #[test]
    fn operators_end_the_command() {
        for line in ["a b | c", "a b > c", "a b && c", "a b; c", "a b 2>c"] {
            check(line, &["a", "b"]);
        }
        check("a 'b|c'", &["a", "b|c"]);
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        for line in [
            "echo \"a", "echo 'a", "echo `a", "echo $(a", "echo (a)", "a)", "a\\",
        ] {
            assert_eq!(split(line), None, "{line}");
        }
    }
}
