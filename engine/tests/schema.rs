//! The published schema: fresh, and true of every example in the protocol's text.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests read the repository and stop at the first surprise"
)]

use std::path::Path;

use jsonschema::Validator;
use migration_engine::cli::schema::{DOCUMENTS, commands, events};
use serde_json::{Value, json};

fn protocol() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol")
}

#[test]
fn the_published_documents_are_fresh() {
    for document in &DOCUMENTS {
        let path = protocol().join(format!("schema/v1/{}.json", document.name));
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            published == document.text(),
            "{} is stale: run `migration-engine schema --write protocol/schema/v1`",
            path.display()
        );
    }
}

/// Each line of each JSON block of PROTOCOL.md.
fn examples() -> Vec<Value> {
    let text = std::fs::read_to_string(protocol().join("PROTOCOL.md")).unwrap();
    let blocks = text.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.flat_map(str::lines).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn complaints(validator: &Validator, line: &Value) -> Vec<String> {
    validator.iter_errors(line).map(|error| format!("{}: {error}", error.instance_path)).collect()
}

#[test]
fn every_example_of_the_text_is_valid() {
    let command = jsonschema::validator_for(&commands::schema()).unwrap();
    let event = jsonschema::validator_for(&events::schema()).unwrap();
    let (mut seen_commands, mut seen_events) = (0, 0);
    for line in examples() {
        let is_event = line.get("type").is_some();
        let validator = if is_event { &event } else { &command };
        assert_eq!(complaints(validator, &line), Vec::<String>::new(), "{line}");
        *if is_event { &mut seen_events } else { &mut seen_commands } += 1;
    }
    assert!(seen_commands >= 17 && seen_events >= 11, "{seen_commands} {seen_events}");
}

/// Every op and every type of event has an example in the text.
#[test]
fn the_text_shows_everything() {
    let named = |schema: &Value, field: &str| -> Vec<String> {
        let branches = schema["oneOf"].as_array().unwrap().iter();
        let names = branches.map(|one| &one["properties"][field]["const"]);
        names.map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let examples = examples();
    let shown = |field: &str, name: &str| examples.iter().any(|line| line[field] == *name);
    for op in named(&commands::schema(), "op") {
        assert!(shown("op", &op), "PROTOCOL.md has no example of the op {op}");
    }
    for kind in named(&events::schema(), "type") {
        assert!(shown("type", &kind), "PROTOCOL.md has no example of the event {kind}");
    }
}

#[test]
fn commands_are_closed_and_events_are_open() {
    let command = jsonschema::validator_for(&commands::schema()).unwrap();
    let event = jsonschema::validator_for(&events::schema()).unwrap();
    let copy =
        json!({"op": "copy", "src": "a", "dst": {"b64": "Zm9v/w=="}, "x_trace": 1, "_meta": {}});
    assert!(command.is_valid(&copy));
    for bad in [
        json!({"op": "copy", "src": "a", "dst": "b", "chekcsum": "md5"}),
        json!({"op": "copy", "src": "a"}),
        json!({"op": "copy", "src": "a", "dst": "b", "on_exists": "maybe"}),
        json!({"op": "copi", "src": "a", "dst": "b"}),
        json!({"src": "a"}),
    ] {
        assert!(!command.is_valid(&bad), "{bad}");
    }
    let state = json!({"type": "state", "seq": 1, "ts": "2026-11-21T08:00:00.000Z", "id": 1, "state": "running", "later": 1});
    assert!(event.is_valid(&state));
    assert!(!event.is_valid(&json!({"type": "state", "id": 1, "state": "running"})));
}
