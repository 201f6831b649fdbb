//! The words of a statement as SQLite reads them: enough to find the parts of a `CREATE TABLE`.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A bare word: a keyword or a name.
    Word,
    /// A name in quotes of any kind.
    Name,
    /// A text in single quotes.
    Text,
    /// Anything else, character by character; a number may be several.
    Mark,
}

/// A token: what it is, where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub sort: Sort,
    /// Its bytes in the statement.
    pub at: Range<usize>,
}

impl Token {
    /// Its text.
    #[must_use]
    pub fn text<'a>(&self, sql: &'a str) -> &'a str {
        sql.get(self.at.clone()).unwrap_or_default()
    }

    /// Whether it is this bare word, in any case.
    #[must_use]
    pub fn is(&self, sql: &str, word: &str) -> bool {
        self.sort == Sort::Word && self.text(sql).eq_ignore_ascii_case(word)
    }

    /// Whether it is this character.
    #[must_use]
    pub fn is_mark(&self, sql: &str, mark: &str) -> bool {
        self.sort == Sort::Mark && self.text(sql) == mark
    }

    /// The name it stands for: without quotes, doubled ones made single.
    #[must_use]
    pub fn name(&self, sql: &str) -> String {
        let text = self.text(sql);
        let Some(mark) = text.chars().next().filter(|_| self.sort != Sort::Word) else {
            return text.to_owned();
        };
        let end = if mark == '[' { ']' } else { mark };
        let inside = text.strip_prefix(mark).and_then(|text| text.strip_suffix(end));
        let inside = inside.unwrap_or_default();
        if mark == '[' {
            inside.to_owned()
        } else {
            inside.replace(&format!("{mark}{mark}"), &mark.to_string())
        }
    }
}

/// The tokens of a statement, without spaces and comments. Quotes that are not closed end with it.
#[must_use]
pub fn tokens(sql: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = sql.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = sql.get(at..).unwrap_or_default();
        let (sort, length) = match first {
            c if c.is_ascii_whitespace() => (None, 1),
            '-' if rest.starts_with("--") => {
                (None, rest.find('\n').map_or(rest.len(), |end| end + 1))
            }
            '/' if rest.starts_with("/*") => (
                None,
                rest.get(2..).and_then(|rest| rest.find("*/")).map_or(rest.len(), |end| end + 4),
            ),
            '\'' => (Some(Sort::Text), quoted(rest, '\'')),
            '"' | '`' => (Some(Sort::Name), quoted(rest, first)),
            '[' => (Some(Sort::Name), rest.find(']').map_or(rest.len(), |end| end + 1)),
            c if is_of_word(c) => {
                (Some(Sort::Word), rest.find(|c| !is_of_word(c)).unwrap_or(rest.len()))
            }
            c => (Some(Sort::Mark), c.len_utf8()),
        };
        if let Some(sort) = sort {
            found.push(Token { sort, at: at..at + length });
        }
        at += length;
    }
    found
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii()
}

/// Bytes of the quoted text at the front, its quotes included.
fn quoted(text: &str, mark: char) -> usize {
    let mut at = mark.len_utf8();
    while let Some(end) = text.get(at..).and_then(|rest| rest.find(mark)) {
        at += end + 1;
        if !text.get(at..).is_some_and(|rest| rest.starts_with(mark)) {
            return at;
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotes_and_comments_of_every_kind() {
        let sql = "a /* ) */ \"b\"\"c\" -- '\n [d e] `f``g` 'h''i' 1.5)";
        let names: Vec<_> = tokens(sql).iter().map(|token| token.name(sql)).collect();
        assert_eq!(names, ["a", "b\"c", "d e", "f`g", "h'i", "1", "", "5", ""]);
    }

    proptest! {
        #[test]
        fn every_token_lies_in_the_statement(sql in "\\PC*") {
            let mut end = 0;
            for token in tokens(&sql) {
                prop_assert!(token.at.start >= end && sql.get(token.at.clone()).is_some());
                let _ = token.name(&sql);
                end = token.at.end;
            }
        }
    }
}
