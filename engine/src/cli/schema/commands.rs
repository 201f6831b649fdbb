//! `commands.json`: what a line of input may be.

use migration_protocol::message::Envelope;
use schemars::schema_for;
use serde_json::{Map, Value, json};

use crate::cli::schema::document::DIALECT;
use crate::cli::schema::ops::{self, Op};

/// The document: one branch for each op, told apart by `op`.
#[must_use]
pub fn schema() -> Value {
    let mut definitions = Map::new();
    let mut envelope = schema_for!(Envelope).to_value();
    take_definitions(&mut envelope, &mut definitions);
    let branches: Vec<Value> =
        ops::all().into_iter().map(|op| branch(op, &envelope, &mut definitions)).collect();
    json!({
        "$schema": DIALECT,
        "title": "Command",
        "description": "A line of input: the op's own fields and those of every command.",
        "oneOf": branches,
        "$defs": definitions,
    })
}

fn branch(op: Op, envelope: &Value, definitions: &mut Map<String, Value>) -> Value {
    let mut own = op.schema.to_value();
    take_definitions(&mut own, definitions);
    let mut properties = object(envelope, "properties");
    properties.extend(object(&own, "properties"));
    properties.insert("op".to_owned(), json!({ "const": op.name }));
    properties.insert("_meta".to_owned(), json!({ "description": "The host's own." }));
    let own_required = own.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let required: Vec<Value> = std::iter::once(json!("op")).chain(own_required).collect();
    json!({
        "title": op.name,
        "description": own.get("description").cloned().unwrap_or_default(),
        "type": "object",
        "properties": properties,
        "patternProperties": { "^x_": true },
        "additionalProperties": false,
        "required": required,
    })
}

fn object(schema: &Value, name: &str) -> Map<String, Value> {
    schema.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Moves a schema's definitions to those of the document: references name them from its root.
fn take_definitions(schema: &mut Value, definitions: &mut Map<String, Value>) {
    let taken = schema.as_object_mut().and_then(|schema| schema.remove("$defs"));
    if let Some(Value::Object(taken)) = taken {
        definitions.extend(taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_of_one_name_are_the_same() {
        let mut seen: Map<String, Value> = Map::new();
        for op in ops::all() {
            let mut own = Map::new();
            take_definitions(&mut op.schema.to_value(), &mut own);
            for (name, definition) in own {
                let first = seen.entry(name.clone()).or_insert_with(|| definition.clone());
                assert_eq!(*first, definition, "{name}");
            }
        }
    }

    #[test]
    fn no_op_has_a_field_of_the_envelope() {
        let envelope = object(&schema_for!(Envelope).to_value(), "properties");
        for op in ops::all() {
            let own = object(&op.schema.to_value(), "properties");
            assert!(own.keys().all(|name| !envelope.contains_key(name)), "{}", op.name);
        }
    }
}
