//! Defaults as the server writes them, in words that no engine owns.

use crate::model::catalog::DefaultValue;
use crate::model::kind::ColumnType;

/// Reads a default; `None` where it is NULL.
pub(super) fn read(text: &str, kind: &ColumnType) -> Option<DefaultValue> {
    let expression = || Some(DefaultValue::Expression(text.to_owned()));
    match text {
        "" | "NULL" => return None,
        "true" => return Some(DefaultValue::Bool(true)),
        "false" => return Some(DefaultValue::Bool(false)),
        "now()" | "CURRENT_TIMESTAMP" | "transaction_timestamp()" | "LOCALTIMESTAMP" => {
            return Some(DefaultValue::Now(6));
        }
        "CURRENT_DATE" => return Some(DefaultValue::Today),
        _ => {}
    }
    if text.strip_prefix("NULL::").is_some_and(is_type) {
        return None;
    }
    if let Some(digits) = text
        .strip_prefix("CURRENT_TIMESTAMP(")
        .or_else(|| text.strip_prefix("LOCALTIMESTAMP("))
        .and_then(|rest| rest.strip_suffix(')'))
        .and_then(|digits| digits.parse().ok())
    {
        return Some(DefaultValue::Now(digits));
    }
    let (value, cast) = match unquoted(text) {
        Some(found) => found,
        None if is_number(text) => return Some(DefaultValue::Number(text.to_owned())),
        None => match text.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            Some((number, cast)) if is_number(number) && is_cast(cast) => {
                return Some(DefaultValue::Number(number.to_owned()));
            }
            _ => return expression(),
        },
    };
    if !is_cast(cast) {
        return expression();
    }
    match kind {
        ColumnType::Int(_)
        | ColumnType::Unsigned(_)
        | ColumnType::Float32
        | ColumnType::Float64
        | ColumnType::Decimal(_)
            if is_number(&value) =>
        {
            Some(DefaultValue::Number(value))
        }
        ColumnType::Text(_)
        | ColumnType::Char(_)
        | ColumnType::Enum(_)
        | ColumnType::Date
        | ColumnType::Time
        | ColumnType::Timestamp
        | ColumnType::Json
        | ColumnType::JsonParsed
        | ColumnType::Uuid => Some(DefaultValue::Text(value)),
        _ => expression(),
    }
}

/// The text of a literal at the beginning, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    // One with a backslash is written in another style, and stays an expression.
    let mut rest = text.strip_prefix('\'')?;
    let mut value = String::new();
    loop {
        let (part, behind) = rest.split_once('\'')?;
        value.push_str(part);
        match behind.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => return Some((value, behind)),
        }
    }
}

fn is_cast(text: &str) -> bool {
    text.is_empty() || text.strip_prefix("::").is_some_and(is_type)
}

/// Whether this is a type's name and nothing else.
fn is_type(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || " _.\"(),[]".contains(c);
    !text.is_empty() && text.chars().all(plain)
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    all(whole) && all(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_read_or_kept_as_they_are() {
        let text = |value: &str| Some(DefaultValue::Text(value.to_owned()));
        let number = |value: &str| Some(DefaultValue::Number(value.to_owned()));
        let words = |value: &str| Some(DefaultValue::Expression(value.to_owned()));
        let varchar = ColumnType::Text(Some(9));
        for (written, kind, read_as) in [
            ("'it''s'::character varying", varchar.clone(), text("it's")),
            ("''::text", ColumnType::Text(None), text("")),
            ("'a'::public.mood", ColumnType::Enum(vec![]), text("a")),
            ("'-5'::integer", ColumnType::Int(32), number("-5")),
            ("(-5)", ColumnType::Int(32), number("-5")),
            ("1.50", ColumnType::Decimal(None), number("1.50")),
            ("(0)::numeric", ColumnType::Decimal(None), number("0")),
            ("true", ColumnType::Bool, Some(DefaultValue::Bool(true))),
            ("now()", ColumnType::TimestampTz, Some(DefaultValue::Now(6))),
            ("CURRENT_TIMESTAMP(3)", ColumnType::TimestampTz, Some(DefaultValue::Now(3))),
            ("CURRENT_DATE", ColumnType::Date, Some(DefaultValue::Today)),
            ("NULL::character varying", varchar.clone(), None),
            ("('a'::text || 'b'::text)", ColumnType::Text(None), words("('a'::text || 'b'::text)")),
            ("'a'::text || 'b'::text", varchar, words("'a'::text || 'b'::text")),
            ("'\\x00'::bytea", ColumnType::Bytes(None), words("'\\x00'::bytea")),
            ("gen_random_uuid()", ColumnType::Uuid, words("gen_random_uuid()")),
        ] {
            assert_eq!(read(written, &kind), read_as, "{written}");
        }
    }
}
