//! Defaults of columns, as the two families write them.

use crate::model::catalog::DefaultValue;
use crate::model::kind::ColumnType;

/// What a column is where a row does not say. `text` is `COLUMN_DEFAULT`, `extra` is `EXTRA`.
/// MariaDB writes an expression; MySQL a bare value, and says in `extra` when it is an expression.
pub(super) fn default(
    maria: bool,
    kind: &ColumnType,
    text: Option<&str>,
    extra: &str,
) -> Option<DefaultValue> {
    let extra = extra.to_ascii_lowercase();
    if extra.contains("on update") {
        let updated = "CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)";
        let begins = text.is_some_and(|text| now(text).is_some());
        let text = if begins { updated } else { "NULL ON UPDATE CURRENT_TIMESTAMP(6)" };
        return Some(DefaultValue::Expression(text.to_owned()));
    }
    let text = text?;
    if let Some(moment) = now(text) {
        return Some(moment);
    }
    if maria {
        return match text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
            _ if text == "NULL" => None,
            Some(inside) => Some(plain(kind, &unquoted(inside))),
            None => Some(plain_or_expression(kind, text)),
        };
    }
    if extra.contains("default_generated") {
        return Some(DefaultValue::Expression(format!("({})", text.replace("\\'", "'"))));
    }
    Some(match kind {
        ColumnType::Bits(_) => DefaultValue::Expression(text.to_owned()),
        _ => plain(kind, text),
    })
}

fn now(text: &str) -> Option<DefaultValue> {
    let lower = text.to_ascii_lowercase();
    if lower == "curdate()" {
        return Some(DefaultValue::Today);
    }
    let rest = lower.strip_prefix("current_timestamp")?;
    let digits = rest.trim_matches(|c| c == '(' || c == ')');
    let digits = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    Some(DefaultValue::Now(digits))
}

fn unquoted(text: &str) -> String {
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        out.push(match c {
            '\'' => chars.next().unwrap_or('\''),
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('0') => '\0',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    out
}

fn is_number(kind: &ColumnType) -> bool {
    use ColumnType::{Decimal, Float32, Float64, Int, Unsigned, Year};
    matches!(kind, Int(_) | Unsigned(_) | Float32 | Float64 | Decimal(_) | Year)
}

fn plain(kind: &ColumnType, text: &str) -> DefaultValue {
    match (kind, text) {
        (ColumnType::Bool, "0" | "1") => DefaultValue::Bool(text == "1"),
        _ if is_number(kind) && text.parse::<f64>().is_ok() => {
            DefaultValue::Number(text.to_owned())
        }
        _ => DefaultValue::Text(text.to_owned()),
    }
}

fn plain_or_expression(kind: &ColumnType, text: &str) -> DefaultValue {
    match plain(kind, text) {
        DefaultValue::Text(text) => DefaultValue::Expression(text),
        known => known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_read() {
        let text = ColumnType::Text(None);
        let of = |maria, kind: &ColumnType, value: &str, extra| {
            default(maria, kind, Some(value), extra).unwrap()
        };
        let words = |text: &str| DefaultValue::Text(text.to_owned());
        assert_eq!(of(true, &text, r"'it''s \\ '", ""), words(r"it's \ "));
        assert_eq!(of(false, &text, "it's", ""), words("it's"));
        assert_eq!(default(true, &text, Some("NULL"), ""), None);
        assert_eq!(of(true, &text, "uuid()", ""), DefaultValue::Expression("uuid()".to_owned()));
        let call = DefaultValue::Expression("(uuid())".to_owned());
        assert_eq!(of(false, &text, "uuid()", "DEFAULT_GENERATED"), call);
        assert_eq!(of(true, &ColumnType::Bool, "1", ""), DefaultValue::Bool(true));
        let number = DefaultValue::Number("1.50".to_owned());
        assert_eq!(of(false, &ColumnType::Decimal(None), "1.50", ""), number);
        let stamp = ColumnType::Timestamp;
        assert_eq!(of(true, &stamp, "current_timestamp(6)", ""), DefaultValue::Now(6));
        assert_eq!(
            of(false, &stamp, "CURRENT_TIMESTAMP", "DEFAULT_GENERATED"),
            DefaultValue::Now(0)
        );
    }
}
