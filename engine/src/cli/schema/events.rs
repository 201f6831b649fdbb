//! `events.json`: what a line of output may be. Open: readers ignore what they do not know.

use migration_protocol::event::Event;
use schemars::schema_for;
use serde_json::{Value, json};

/// The document: the events, each with the number and time that the writer adds.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schema_for!(Event).to_value();
    let branches = schema.get_mut("oneOf").and_then(Value::as_array_mut);
    branches.into_iter().flatten().for_each(add_stamp);
    schema
}

fn add_stamp(branch: &mut Value) {
    let Some(branch) = branch.as_object_mut() else {
        return;
    };
    let stamp = [
        (
            "seq",
            json!({
                "type": "integer", "minimum": 0,
                "description": "Strictly increasing over all lines of the process.",
            }),
        ),
        (
            "ts",
            json!({
                "type": "string", "format": "date-time",
                "description": "RFC 3339 in UTC with milliseconds.",
            }),
        ),
    ];
    for (name, schema) in stamp {
        if let Some(properties) = branch.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert(name.to_owned(), schema);
        }
        if let Some(required) = branch.get_mut("required").and_then(Value::as_array_mut) {
            required.push(json!(name));
        }
    }
}
