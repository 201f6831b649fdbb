//! `capabilities`: what a host would read in the first line of a session, and a little more.

use std::sync::Arc;

use migration_protocol::event::{Event, Hello};
use migration_protocol::fault::{Code, Fault};
use migration_protocol::vocabulary::Algorithm;
use serde_json::{Value, json};

use crate::cli::assistant::collect::Collector;
use crate::cli::context::Context;
use crate::serve::output::Output;
use crate::serve::session::{self, Input};

/// Prints them. Returns the exit code.
///
/// # Errors
/// A session that cannot begin.
pub fn run(context: &Context) -> Result<u8, Fault> {
    let hello = hello(context)?;
    if context.json {
        context.screen.line(facts(&hello).to_string());
        return Ok(context.screen.end_listing());
    }
    let line = |name: &str, text: String| context.screen.line(format!("{name:<12} {text}"));
    line("version", format!("{} {}", hello.engine.name, hello.engine.version));
    line("protocol", format!("{} to {}", hello.protocol_min, hello.protocol));
    line("ops", hello.ops.join(" "));
    line("features", hello.features.join(" "));
    line("digests", Algorithm::ALL.map(Algorithm::name).join(" "));
    line("memory cap", crate::cli::view::words::bytes(hello.limits.memory_cap));
    Ok(context.screen.end_listing())
}

fn facts(hello: &Hello) -> Value {
    json!({
        "engine": hello.engine,
        "backend": hello.backend,
        "protocol": hello.protocol,
        "protocol_min": hello.protocol_min,
        "features": hello.features,
        "limits": hello.limits,
        "ops": hello.ops,
        "digests": Algorithm::ALL,
    })
}

/// The first event of a session without commands.
fn hello(context: &Context) -> Result<Hello, Fault> {
    let collector = Arc::new(Collector::default());
    let output: Arc<dyn Output> = collector.clone();
    session::run(context.resolved.settings.clone(), Input::Commands(Vec::new()), output);
    let first = collector.take().into_iter().find_map(|event| match event {
        Event::Hello(hello) => Some(hello),
        _ => None,
    });
    first.ok_or_else(|| Fault::new(Code::Internal, "the session did not begin"))
}
