//! Tabs between the values of a YAML file.
//!
//! The parser takes a tab for white space wherever no indentation depends on it.
//! Compose's parser refuses one wherever a key could start: at the start of a line,
//! even of an empty one, and behind a dash. What lies between two events of the parser
//! is enough to tell.

use std::ops::Range;

use granit_parser::ScalarStyle;

/// Walks through a text from event to event.
pub(super) struct Tabs<'a> {
    text: &'a str,
    /// Where the last token ends.
    end: usize,
    /// The collections around: the column of a block, `None` in flow style.
    around: Vec<Option<usize>>,
    /// Whether the last token is a scalar without quotes, which takes the empty lines
    /// behind it.
    behind_open: bool,
}

impl<'a> Tabs<'a> {
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            end: 0,
            around: Vec::new(),
            behind_open: false,
        }
    }

    /// Enters a collection, or says where a tab is in the way.
    pub fn open(&mut self, range: &Range<usize>) -> Result<(), usize> {
        self.step(range, false)?;
        let flow = self.text[range.clone()].starts_with(['[', '{']);
        let line = self.text[..range.start].rfind('\n').map_or(0, |at| at + 1);
        self.around.push((!flow).then_some(range.start - line));
        Ok(())
    }

    /// Leaves a collection.
    pub fn close(&mut self, range: &Range<usize>) -> Result<(), usize> {
        self.step(range, false)?;
        self.around.pop();
        Ok(())
    }

    /// Passes a scalar.
    pub fn scalar(&mut self, range: &Range<usize>, style: ScalarStyle) -> Result<(), usize> {
        let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        if block {
            self.block_scalar(range)?;
        }
        let open = block || style == ScalarStyle::Plain;
        self.step(range, open && !range.is_empty())
    }

    /// Passes anything, or nothing: a range may be empty.
    pub fn step(&mut self, range: &Range<usize>, open: bool) -> Result<(), usize> {
        let in_flow = self.around.last().is_some_and(Option::is_none);
        if range.start > self.end {
            if !in_flow {
                self.gap(self.end..range.start)?;
            }
            self.behind_open = false;
        }
        if range.end > self.end {
            self.end = range.end;
            self.behind_open = open;
        }
        Ok(())
    }

    /// Finds the first tab of a gap where a key could start.
    fn gap(&self, gap: Range<usize>) -> Result<(), usize> {
        let indent = self.around.last().copied().flatten().map_or(0, |it| it + 1);
        let mut in_scalar = self.behind_open;
        let mut key_allowed = gap.start == 0;
        let mut commented = false;
        let mut at = gap.start;
        for line in self.text[gap].split_inclusive('\n') {
            let text = line.split_once(" #").map_or(line, |(text, _)| text);
            let blank = line.len() - line.trim_start().len();
            let comment = line[blank..].starts_with('#');
            // Comments behind the first one are read together with it.
            let checked = key_allowed && !(comment && commented);
            let in_place = |tab: &usize| !in_scalar || *tab < indent;
            if let Some(tab) = line[..blank].find('\t').filter(in_place)
                && checked
            {
                return Err(at + tab);
            }
            if !comment && let Some(tab) = tab_behind_dash(text) {
                return Err(at + tab);
            }
            commented |= comment && key_allowed;
            in_scalar &= line.trim().is_empty();
            key_allowed = true;
            at += line.len();
        }
        Ok(())
    }

    /// The indentation of a block scalar is found from its first line with text; no tab
    /// may stand before that text. The range starts behind the indentation.
    fn block_scalar(&self, range: &Range<usize>) -> Result<(), usize> {
        // An empty scalar may lie before the end of what was seen.
        let header = self.text.get(self.end..range.start).unwrap_or_default();
        let header = header.lines().next();
        let header = header.and_then(|line| line.rsplit(['|', '>']).next());
        let explicit = header.is_some_and(|it| it.contains(|c: char| c.is_ascii_digit()));
        let text = &self.text[range.clone()];
        let blank = text.len() - text.trim_start().len();
        match text[..blank].find('\t').filter(|_| !explicit) {
            Some(tab) => Err(range.start + tab),
            None => Ok(()),
        }
    }
}

/// The tab behind a dash that starts an item.
fn tab_behind_dash(line: &str) -> Option<usize> {
    let dash = line.find("-\t").or_else(|| line.find("- "))?;
    let alone = line[..dash]
        .chars()
        .next_back()
        .is_none_or(char::is_whitespace);
    let behind = &line[dash + 1..];
    let blank = behind.len() - behind.trim_start().len();
    let tab = behind[..blank].find('\t').filter(|_| alone)?;
    Some(dash + 1 + tab)
}

#[cfg(test)]
mod tests {
    use crate::compose::parse::parse;

    #[test]
    fn a_tab_is_refused_where_a_key_could_start() {
        for text in [
            "\t\na: b\n",
            "a: b\n\t\nc: d\n",
            "a: 'b'\n  \t\nc: d\n",
            "a:\n  b: c\n  \t# d\n",
            "a: b # c\n\t# d\n",
            "a:\n  -\tb\n",
            "a:\n  - \tb\n",
            "a: |\n  \tb\n",
            "a: b\n\t",
        ] {
            let problem = parse(0, text).unwrap_err();
            let at = problem.spans[0].0.start as usize;
            assert_eq!(&text[at..=at], "\t", "{text:?}");
        }
    }

    #[test]
    fn a_tab_elsewhere_is_white_space() {
        for text in [
            "a:\tb\t# c\nd:\t'e'\t\n",
            "a: [\tb,\t{ c:\td }\t]\t\n",
            "a: b\n   \t\nc: d\n",
            "a: 'b\n\tc'\n",
            "a: |\n  b\n  \tc\n  \t\n",
            "a: |2\n  \tb\n",
            "a: &b\tc\nd: !!str\te\n",
            "a: b-\t# c\n",
            "# a\tb\na: b\n",
            "|",
            "a: b\n# c\n\t# d\n",
        ] {
            assert!(parse(0, text).is_ok(), "{text:?}");
        }
    }
}
