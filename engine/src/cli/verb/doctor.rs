//! `doctor`: checks with what was found and how to mend it.

use std::ffi::OsString;

use clap::Args;
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::doctor::check::{Check, Health};
use crate::cli::doctor::examine;
use crate::cli::screen::Colour;
use crate::serve::exit;

/// The flags of `doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// Whether this secret can be read: env:NAME or file:PATH (repeatable)
    #[arg(long, value_name = "REFERENCE")]
    secret: Vec<OsString>,
}

impl DoctorArgs {
    /// Runs the checks. Returns the exit code: 4 where one of them failed.
    #[must_use]
    pub fn run(&self, context: &Context) -> u8 {
        let checks = examine(context, &self.secret);
        let worst = checks.iter().map(|check| check.status).max().unwrap_or(Health::Ok);
        if context.json {
            let all = json!({ "status": worst, "checks": checks });
            context.screen.line(all.to_string());
        } else {
            checks.iter().for_each(|check| show(context, check));
        }
        let printed = context.screen.end_listing();
        if printed == exit::OK && worst == Health::Fail { exit::FAILED } else { printed }
    }
}

fn show(context: &Context, check: &Check) {
    if context.quiet && check.status == Health::Ok {
        return;
    }
    let (word, colour) = match check.status {
        Health::Ok => ("ok  ", Colour::Green),
        Health::Warn => ("warn", Colour::Yellow),
        Health::Fail => ("fail", Colour::Red),
    };
    let word = context.screen.paint_out(colour, word);
    context.screen.line(format!("{word}  {:<30} {}", check.id, check.detail));
    if let Some(fix) = &check.fix {
        context.screen.line(format!("      {:<30} fix: {fix}", ""));
    }
}
