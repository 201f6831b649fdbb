//! Variables that stand for fields of commands, for verbs and sessions that have no such flag.

use std::collections::BTreeMap;

use migration_protocol::fault::{Code, Fault};
use migration_protocol::message::OnEof;
use serde_json::{Map, Value};

use crate::cli::settings::layer::{Layer, Origin, variable};
use crate::cli::settings::options::Options;

/// Fields that say how, and not what: a variable may set them for every command.
const FIELDS: [&str; 9] = [
    "checksum",
    "chunk_bytes",
    "compare",
    "durability",
    "on_exists",
    "parallel_files",
    "preserve",
    "symlinks",
    "verify",
];

/// The layer of these variables.
///
/// # Errors
/// A value that is none of those known.
pub fn layer() -> Result<Layer, Fault> {
    let set = FIELDS.iter().filter_map(|field| Some(((*field).to_owned(), read(field)?)));
    let defaults: Map<String, Value> =
        set.map(|(field, text)| (field.clone(), value(&field, &text))).collect();
    let origins = defaults.keys().map(|field| (format!("defaults.{field}"), origin(field)));
    let mut exceptions: BTreeMap<String, Origin> = origins.collect();
    exceptions.insert("on_eof".to_owned(), origin("on_eof"));
    let options = Options { defaults, on_eof: on_eof()?, ..Options::default() };
    Ok(Layer { options, origin: Origin::Default, exceptions })
}

fn read(option: &str) -> Option<String> {
    std::env::var(variable(option)).ok().filter(|text| !text.is_empty())
}

fn origin(option: &str) -> Origin {
    Origin::Environment(variable(option))
}

fn on_eof() -> Result<Option<OnEof>, Fault> {
    let parse = |text: String| serde_json::from_value(Value::String(text));
    read("on_eof").map(parse).transpose().map_err(|error| {
        Fault::new(Code::InvalidField, error.to_string())
            .at_field("on_eof")
            .hint(format!("it was set by: {}", origin("on_eof")))
    })
}

fn value(field: &str, text: &str) -> Value {
    match field {
        "preserve" => text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect(),
        "parallel_files" => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
        _ => text.into(),
    }
}
