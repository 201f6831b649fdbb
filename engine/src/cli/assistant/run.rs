//! From the assistant's arguments to its answer.

use std::ffi::OsString;
use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _};
use serde_json::json;

use crate::cli::assistant::arguments::{self, AssistantCli, Operation};
use crate::cli::assistant::envelope::Answer;
use crate::cli::assistant::{checksum, compress, copy, monitor as measurement, transfer};
use crate::cli::context::Context;
use crate::cli::screen::Screen;
use crate::cli::verb::version as build;
use crate::cli::{logging, start};

pub use arguments::is_meant;

/// Does what the arguments ask for. Returns the exit code.
#[must_use]
pub fn run(arguments: &[OsString], screen: &Arc<Screen>) -> u8 {
    let parsed = AssistantCli::command().try_get_matches_from(arguments);
    let parsed =
        parsed.and_then(|matches| Ok((AssistantCli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(both) => both,
        Err(error) if error.use_stderr() => return refuse(screen, &first_line(&error)),
        Err(help) => {
            screen.text(&help.to_string());
            return screen.end_listing();
        }
    };
    match start::context(&cli.globals, &matches, Arc::clone(screen)) {
        Err(error) => refuse(screen, &format!("{}; {}", error.message, error.hint)),
        Ok(context) => {
            logging::start(&context.resolved.log);
            operate(&context, &cli.operation).print(screen)
        }
    }
}

fn operate(context: &Context, operation: &Operation) -> Answer {
    match operation {
        Operation::Checksum { files } => checksum::run(context, files),
        Operation::Compress(ends) => compress::run(context, ends),
        Operation::Copy(ends) => copy::run(context, ends),
        Operation::Transfer { ends, method } => transfer::run(context, ends, method),
    }
}

fn refuse(screen: &Screen, why: &str) -> u8 {
    Answer::failed(json!({}), why).print(screen)
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned()
}

/// One measurement. Returns the exit code.
#[must_use]
pub fn monitor(context: &Context) -> u8 {
    measurement::run(context).print(&context.screen)
}

/// The version. Returns the exit code.
#[must_use]
pub fn version(context: &Context) -> u8 {
    Answer::ok(build::facts()).print(&context.screen)
}
