//! `config show`.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use crate::cli::context::Context;

/// What is done about the settings.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print each setting in force
    Show {
        /// Also print where each came from
        #[arg(long)]
        origin: bool,
    },
}

impl ConfigVerb {
    /// Prints the settings. Returns the exit code.
    #[must_use]
    pub fn run(&self, context: &Context) -> u8 {
        let Self::Show { origin } = self;
        if context.json {
            context.screen.line(Value::Object(object(context, *origin)).to_string());
            return context.screen.end_listing();
        }
        for row in &context.resolved.rows {
            let from = if *origin { format!("  # {}", row.origin) } else { String::new() };
            context.screen.line(format!("{} = {}{from}", row.name, row.value));
        }
        context.screen.end_listing()
    }
}

fn object(context: &Context, origin: bool) -> Map<String, Value> {
    let rows = context.resolved.rows.iter().map(|row| {
        let value = if origin {
            json!({ "value": row.value, "origin": row.origin.to_string() })
        } else {
            row.value.clone()
        };
        (row.name.clone(), value)
    });
    rows.collect()
}
