//! `errors.json`: the registry of codes.

use migration_protocol::fault::Code;
use serde_json::{Value, json};

/// One code of the registry.
#[must_use]
pub fn entry(code: Code) -> Value {
    let spec = code.spec();
    json!({
        "code": spec.name,
        "n": spec.n,
        "class": spec.class,
        "retryable": spec.retryable,
        "hint": spec.hint,
        "explanation": spec.explanation,
    })
}

/// Every code, by number.
#[must_use]
pub fn list() -> Value {
    Code::ALL.iter().map(|code| entry(*code)).collect()
}
