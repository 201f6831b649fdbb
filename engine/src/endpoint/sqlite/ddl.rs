//! What no pragma tells of a table: its checks and the expressions of its generated columns, read
//! from its own statement.

use crate::endpoint::sqlite::tokens::{Sort, Token, tokens};

/// What a `CREATE TABLE` holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Checks: the name, empty for none, and the expression.
    pub checks: Vec<(String, String)>,
    /// Generated columns: the name and the expression.
    pub generated: Vec<(String, String)>,
}

/// Reads a `CREATE TABLE`.
#[must_use]
pub fn parts(sql: &str) -> Parts {
    let all = tokens(sql);
    let mut found = Parts::default();
    let Some(open) = all.iter().position(|token| token.is_mark(sql, "(")) else {
        return found;
    };
    let body = inside(sql, all.get(open..).unwrap_or_default());
    for item in split(sql, body) {
        read_item(sql, item, &mut found);
    }
    found
}

/// The condition of a partial index, from its `CREATE INDEX`.
#[must_use]
pub fn predicate(sql: &str) -> String {
    let all = tokens(sql);
    let mut depth = 0_usize;
    for token in &all {
        if token.is_mark(sql, "(") {
            depth += 1;
        } else if token.is_mark(sql, ")") {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && token.is(sql, "WHERE") {
            return sql.get(token.at.end..).unwrap_or_default().trim().to_owned();
        }
    }
    String::new()
}

/// The collations that a `CREATE TABLE` names, but for the usual one, each once.
#[must_use]
pub fn collations(sql: &str) -> Vec<String> {
    let all = tokens(sql);
    let mut found: Vec<String> = Vec::new();
    for pair in all.windows(2) {
        let [word, name] = pair else { continue };
        let collation = name.name(sql);
        let usual = collation.eq_ignore_ascii_case("BINARY");
        if word.is(sql, "COLLATE") && !usual && !found.contains(&collation) {
            found.push(collation);
        }
    }
    found
}

/// The tokens between the bracket at the front and the one that closes it.
fn inside<'a>(sql: &str, all: &'a [Token]) -> &'a [Token] {
    let mut depth = 0_usize;
    for (at, token) in all.iter().enumerate() {
        if token.is_mark(sql, "(") {
            depth += 1;
        } else if token.is_mark(sql, ")") {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return all.get(1..at).unwrap_or_default();
            }
        }
    }
    all.get(1..).unwrap_or_default()
}

/// The parts between commas that stand in no bracket.
fn split<'a>(sql: &str, all: &'a [Token]) -> Vec<&'a [Token]> {
    let mut depth = 0_usize;
    let comma = |token: &Token| {
        if token.is_mark(sql, "(") {
            depth += 1;
        } else if token.is_mark(sql, ")") {
            depth = depth.saturating_sub(1);
        }
        depth == 0 && token.is_mark(sql, ",")
    };
    all.split(comma).collect()
}

/// A column or a constraint of the table.
fn read_item(sql: &str, item: &[Token], found: &mut Parts) {
    let Some(first) = item.first() else { return };
    let words = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"];
    let is_constraint = words.iter().any(|word| first.is(sql, word));
    let column = (!is_constraint).then(|| first.name(sql));
    let mut name = String::new();
    let mut at = usize::from(!is_constraint);
    while let Some(token) = item.get(at) {
        let rest = item.get(at + 1..).unwrap_or_default();
        if token.is_mark(sql, "(") {
            at += inside(sql, item.get(at..).unwrap_or_default()).len() + 2;
            continue;
        }
        if token.is(sql, "CONSTRAINT") {
            name = rest
                .first()
                .filter(|t| t.sort != Sort::Mark)
                .map_or(String::new(), |t| t.name(sql));
            at += 2;
            continue;
        }
        let bracket = rest.first().is_some_and(|next| next.is_mark(sql, "("));
        if bracket && token.is(sql, "CHECK") {
            found.checks.push((std::mem::take(&mut name), between(sql, rest)));
        } else if let Some(column) = column.as_ref().filter(|_| bracket && token.is(sql, "AS")) {
            found.generated.push((column.clone(), between(sql, rest)));
        }
        at += 1;
    }
}

/// The text inside the bracket at the front.
fn between(sql: &str, all: &[Token]) -> String {
    let inside = inside(sql, all);
    let ends = inside.first().zip(inside.last()).map(|(first, last)| first.at.start..last.at.end);
    ends.and_then(|ends| sql.get(ends)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_and_generated_columns_are_found() {
        let sql = "CREATE TABLE \"t (\" (a INTEGER CHECK (a > (1)), \"b,c\" TEXT DEFAULT (')') \
             CONSTRAINT \"odd \"\"name\" CHECK(\"b,c\" <> 'x, CHECK (y)'), \
             d AS (a * 2) STORED, [e] INT GENERATED ALWAYS AS (a || ')' /* ( */), \
             CONSTRAINT k CHECK (a < d), FOREIGN KEY (a) REFERENCES u(x), CHECK (1)) STRICT";
        let found = parts(sql);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            found.checks,
            [
                pair("", "a > (1)"),
                pair("odd \"name", "\"b,c\" <> 'x, CHECK (y)'"),
                pair("k", "a < d"),
                pair("", "1"),
            ]
        );
        assert_eq!(found.generated, [pair("d", "a * 2"), pair("e", "a || ')'")]);
    }

    #[test]
    fn the_condition_of_an_index_is_found() {
        let sql = "CREATE INDEX \"where\" ON t (a, (b WHERE)) where a > 1 AND b = ' WHERE '";
        assert_eq!(predicate(sql), "a > 1 AND b = ' WHERE '");
        assert_eq!(predicate("CREATE INDEX i ON t (a)"), "");
    }

    #[test]
    fn what_is_no_statement_has_no_parts() {
        for sql in
            ["", "(", "CREATE TABLE t (a CHECK (", "CREATE VIRTUAL TABLE t USING x", "((((,)"]
        {
            let _ = parts(sql);
        }
    }
}
