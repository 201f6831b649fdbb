//! `explain CODE`.

use clap::Args;
use migration_protocol::fault::{Class, Code, Fault};
use serde_json::Value;

use crate::cli::context::Context;
use crate::cli::schema::errors;
use crate::command::fields;

/// The flags of `explain`.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// The code, such as DST_EXISTS, or its number
    #[arg(required_unless_present = "list")]
    code: Option<String>,
    /// List every code
    #[arg(long, conflicts_with = "code")]
    list: bool,
}

impl ExplainArgs {
    /// Prints the explanation. Returns the exit code.
    ///
    /// # Errors
    /// A code that is not known, with the nearest that is.
    pub fn run(&self, context: &Context) -> Result<u8, Fault> {
        let Some(name) = &self.code else {
            Code::ALL.iter().for_each(|code| list_one(context, *code));
            return Ok(context.screen.end_listing());
        };
        let code = find(name)?;
        if context.json {
            context.screen.line(errors::entry(code).to_string());
        } else {
            explain(context, code);
        }
        Ok(context.screen.end_listing())
    }
}

fn find(name: &str) -> Result<Code, Fault> {
    let upper = name.to_ascii_uppercase();
    let by_number = |code: &&Code| name.parse() == Ok(code.spec().n);
    if let Some(code) =
        Code::from_name(&upper).or_else(|| Code::ALL.iter().find(by_number).copied())
    {
        return Ok(code);
    }
    let fault = Fault::new(Code::InvalidField, format!("there is no code {name}"));
    Err(match fields::nearest(&upper, Code::ALL.iter().map(|code| code.name())) {
        Some(near) => fault.hint(format!("did you mean {near}?")),
        None => fault.hint("`migration-engine explain --list` lists them"),
    })
}

fn list_one(context: &Context, code: Code) {
    if context.json {
        context.screen.line(errors::entry(code).to_string());
    } else {
        let spec = code.spec();
        context.screen.line(format!("{}  {:<20} {}", spec.n, spec.name, spec.hint));
    }
}

fn explain(context: &Context, code: Code) {
    let spec = code.spec();
    let retry =
        if spec.retryable { "may succeed later unchanged" } else { "do not retry unchanged" };
    context.screen.line(format!("{} ({})", spec.name, spec.n));
    context.screen.line(format!("  {}", spec.explanation));
    context.screen.line(format!("  hint: {}", spec.hint));
    context.screen.line(format!("  class: {}; {retry}", class_name(spec.class)));
}

fn class_name(class: Class) -> String {
    let name = serde_json::to_value(class).ok();
    name.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
}
