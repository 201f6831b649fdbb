//! `version`.

use serde_json::{Value, json};

use crate::cli::context::Context;

/// What is said of this build.
#[must_use]
pub fn facts() -> Value {
    json!({
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": migration_protocol::VERSION,
        "protocol_min": migration_protocol::VERSION_MIN,
        "backend": "native",
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
    })
}

/// Prints it. Returns the exit code.
#[must_use]
pub fn run(context: &Context) -> u8 {
    let facts = facts();
    if context.json {
        context.screen.line(facts.to_string());
        return context.screen.end_listing();
    }
    let text = |name: &str| facts.get(name).and_then(Value::as_str).unwrap_or_default();
    let (os, arch) = (text("os"), text("arch"));
    let protocol = migration_protocol::VERSION;
    let (name, version) = (text("name"), text("version"));
    context.screen.line(format!("{name} {version} (protocol {protocol}, {os} {arch})"));
    context.screen.end_listing()
}
