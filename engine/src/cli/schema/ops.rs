//! `ops.json`: the ops that are built.

use migration_protocol::message::BatchParams;
use schemars::{Schema, schema_for};
use serde_json::{Value, json};

use crate::command::COMMANDS;
use crate::serve::control::CONTROLS;

/// An op, and the schema of its own fields.
pub struct Op {
    /// Its name.
    pub name: &'static str,
    /// `job` where it is accepted and runs, `control` where it is answered at once.
    pub kind: &'static str,
    /// Its own fields.
    pub schema: Schema,
}

/// Every op that is built, by name.
#[must_use]
pub fn all() -> Vec<Op> {
    let jobs = COMMANDS.iter().map(|op| Op { name: op.op, kind: "job", schema: (op.schema)() });
    let controls = CONTROLS.iter();
    let controls = controls.map(|op| Op { name: op.op, kind: "control", schema: (op.schema)() });
    let batch = Op { name: "batch", kind: "job", schema: schema_for!(BatchParams) };
    let mut all: Vec<Op> = jobs.chain(controls).chain([batch]).collect();
    all.sort_unstable_by_key(|op| op.name);
    all
}

/// The document.
#[must_use]
pub fn list() -> Value {
    let entry = |op: Op| json!({ "op": op.name, "kind": op.kind, "stability": "stable" });
    all().into_iter().map(entry).collect()
}
