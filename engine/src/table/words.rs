//! Expressions in PostgreSQL's own words: whether they need things of a database that are not carried,
//! such as functions and types of its own.
//!
//! Its catalogue is read with no schema in the search path, so that everything beyond its own schema is
//! written with the schema in front.

/// A word, or a sign by itself.
#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Sign(char),
}

/// Whether an expression needs more than the engine itself: a function, a type, an operator or a
/// collation of a schema, or a sequence.
#[must_use]
pub fn needs_more(text: &str) -> bool {
    let tokens = tokens(text);
    let word = |at: usize| match tokens.get(at) {
        Some(Token::Word(word)) => word.as_str(),
        _ => "",
    };
    let is = |at: usize, sign: char| tokens.get(at) == Some(&Token::Sign(sign));
    (0..tokens.len()).any(|at| {
        let of_schema =
            |at: usize| is(at + 1, '.') && !word(at).is_empty() && word(at) != "pg_catalog";
        let called = of_schema(at) && !word(at + 2).is_empty() && is(at + 3, '(');
        let cast = is(at, ':') && is(at + 1, ':') && of_schema(at + 2);
        let collated = word(at) == "COLLATE" && of_schema(at + 1);
        let operator = word(at) == "OPERATOR" && is(at + 1, '(') && of_schema(at + 2);
        called || cast || collated || operator || (word(at) == "nextval" && is(at + 1, '('))
    })
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => {
                let mut word = String::new();
                while let Some(next) = chars.next() {
                    if next != c {
                        word.push(next);
                    } else if chars.next_if_eq(&c).is_some() {
                        word.push(c);
                    } else {
                        break;
                    }
                }
                // A literal is nobody's name.
                tokens.push(if c == '"' { Token::Word(word) } else { Token::Sign('\'') });
            }
            c if c.is_alphabetic() || c == '_' => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || "_$".contains(*c)) {
                    word.push(c);
                }
                tokens.push(Token::Word(word));
            }
            c if c.is_whitespace() => {}
            c => tokens.push(Token::Sign(c)),
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::needs_more;

    #[test]
    fn what_a_schema_holds_is_told_from_the_engines_own() {
        for text in [
            "public.f()",
            "\"Odd name\".\"f(\"(a, 1)",
            "(a)::public.mood",
            "nextval('s'::regclass)",
            "(a COLLATE public.loud)",
            "(a OPERATOR(public.=) b)",
            "lower(public.f(a))",
        ] {
            assert!(needs_more(text), "{text}");
        }
        for text in [
            "lower(a)",
            "'public.f()'::text",
            "(a)::pg_catalog.int8",
            "(a COLLATE pg_catalog.\"C\")",
            "CREATE INDEX i ON public.t USING btree (lower(a))",
            "'it''s public.f('::text",
            "(a > 1.5)",
            "",
            "'open",
        ] {
            assert!(!needs_more(text), "{text}");
        }
    }
}
