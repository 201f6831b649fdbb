//! From arguments to an exit code: which face, which verb.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::sync::Arc;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};
use migration_protocol::fault::Fault;

use crate::cli::arguments::{Cli, Globals, Verb};
use crate::cli::context::Context;
use crate::cli::screen::Screen;
use crate::cli::view::{Listing, fault};
use crate::cli::{assistant, logging, session, settings, verb};
use crate::serve::exit;

/// Does what the arguments say. Returns the exit code.
#[must_use]
pub fn run(arguments: impl Iterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.collect();
    let screen = Arc::new(Screen::default());
    if assistant::is_meant(&arguments) {
        return assistant::run(&arguments, &screen);
    }
    let matches = match Cli::command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return usage(&screen, &error),
    };
    match Cli::from_arg_matches(&matches) {
        Ok(cli) => run_verb(cli, &matches, screen),
        Err(error) => usage(&screen, &error),
    }
}

fn run_verb(cli: Cli, matches: &ArgMatches, screen: Arc<Screen>) -> u8 {
    let context = match context(&cli.globals, matches, Arc::clone(&screen)) {
        Ok(context) => context,
        Err(error) => return refuse(&screen, &error),
    };
    logging::start(&context.resolved.log);
    let done = match cli.verb {
        Some(verb) => dispatch(verb, context),
        None if std::io::stdin().is_terminal() => return short_help(&screen),
        None => match verb::serve::ServeArgs::of_environment() {
            Ok(args) => Ok(args.run(context)),
            Err(error) => return usage(&screen, &error),
        },
    };
    done.unwrap_or_else(|error| refuse(&screen, &error))
}

/// What every verb is given.
///
/// # Errors
/// Settings that are not in order.
pub fn context(
    globals: &Globals,
    matches: &ArgMatches,
    screen: Arc<Screen>,
) -> Result<Context, Fault> {
    let resolved = settings::resolve(globals, matches)?;
    Ok(Context { resolved, screen, json: globals.json, quiet: globals.quiet })
}

fn dispatch(verb: Verb, context: Context) -> Result<u8, Fault> {
    let run = |command| Ok(session::run_one(&context, command, Listing::Nothing));
    match verb {
        Verb::Capabilities => verb::capabilities::run(&context),
        Verb::Checksum(args) => {
            let listing = args.listing();
            Ok(session::run_one(&context, args.command(), listing))
        }
        Verb::Cleanup(args) => run(args.command()),
        Verb::Completions(args) => Ok(args.run(&context.screen)),
        Verb::Compress(args) => run(args.command()),
        Verb::Config(args) => Ok(args.run(&context)),
        Verb::Copy(args) => run(args.command()),
        Verb::Decompress(args) => run(args.command()),
        Verb::Doctor(args) => Ok(args.run(&context)),
        Verb::Explain(args) => args.run(&context),
        Verb::Inspect(args) => run(args.command()),
        Verb::Monitor(args) if args.is_plain() && is_for_assistant(&context) => {
            Ok(assistant::monitor(&context))
        }
        Verb::Monitor(args) => run(args.command()),
        Verb::Plan(args) => run(args.command()?),
        Verb::Run(args) => args.run(context),
        Verb::Schema(args) => args.run(&context),
        Verb::Serve(args) => Ok(args.run(context)),
        Verb::Verify(args) => run(args.command()),
        Verb::Version if is_for_assistant(&context) => Ok(assistant::version(&context)),
        Verb::Version => Ok(verb::version::run(&context)),
    }
}

/// Whether a verb without flags is asked for by a program.
fn is_for_assistant(context: &Context) -> bool {
    !context.json && !context.screen.out_is_terminal()
}

fn refuse(screen: &Screen, error: &Fault) -> u8 {
    fault::print(screen, error);
    exit::USAGE
}

/// Help and version are answers; anything else is a usage error.
fn usage(screen: &Screen, error: &clap::Error) -> u8 {
    let text = error.render();
    if !error.use_stderr() {
        screen.text(&text.to_string());
        return screen.end_listing();
    }
    let text = if screen.colours_err() { text.ansi().to_string() } else { text.to_string() };
    screen.note(text.trim_end());
    exit::USAGE
}

fn short_help(screen: &Screen) -> u8 {
    screen.note(Cli::command().render_help().to_string().trim_end());
    exit::USAGE
}
