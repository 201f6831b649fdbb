//! The values of a flag, read from the vocabulary's own schema, so that help, completion and wire
//! cannot differ.

use clap::builder::{PossibleValue, PossibleValuesParser};
use schemars::JsonSchema;
use serde_json::Value;

/// A parser of the names of `T`.
#[must_use]
pub fn of<T: JsonSchema>() -> PossibleValuesParser {
    let schema = schemars::schema_for!(T);
    let described = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let described = described.filter_map(|one| {
        let value = PossibleValue::new(keep(one.get("const")?)?);
        Some(match one.get("description").and_then(keep) {
            Some(text) => value.help(text),
            None => value,
        })
    });
    let plain = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let plain = plain.filter_map(|name| Some(PossibleValue::new(keep(name)?)));
    PossibleValuesParser::new(described.chain(plain).collect::<Vec<_>>())
}

/// Clap takes names that live as long as the process; there are a few dozen, made once or twice.
fn keep(text: &Value) -> Option<&'static str> {
    text.as_str().map(|text| &*text.to_owned().leak())
}
