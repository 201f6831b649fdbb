//! `serve`.

use clap::{Args, Parser};
use migration_protocol::message::OnEof;

use crate::cli::arguments::RateArgs;
use crate::cli::choices;
use crate::cli::context::Context;
use crate::cli::session;
use crate::serve::session::Input;

/// The flags of `serve`.
#[derive(Clone, Debug, Default, Args)]
pub struct ServeArgs {
    /// Cancel the work and exit when this process is gone
    #[arg(long, value_name = "PID", env = "MIGRATION_ENGINE_PARENT_PID")]
    parent_pid: Option<u32>,
    /// What the end of input means for unfinished work [default: finish]
    #[arg(long, env = "MIGRATION_ENGINE_ON_EOF", value_parser = choices::of::<OnEof>())]
    on_eof: Option<String>,
    #[command(flatten)]
    rates: RateArgs,
}

/// What serves without a verb on the command line: the environment alone.
#[derive(Debug, Parser)]
struct Bare {
    #[command(flatten)]
    serve: ServeArgs,
}

impl ServeArgs {
    /// What the environment says.
    ///
    /// # Errors
    /// A variable whose value cannot be read.
    pub fn of_environment() -> Result<Self, clap::Error> {
        Bare::try_parse_from(["migration-engine"]).map(|bare| bare.serve)
    }

    /// Serves. Returns the exit code.
    #[must_use]
    pub fn run(self, context: Context) -> u8 {
        let mut settings = context.resolved.settings.clone();
        settings.parent_pid = self.parent_pid;
        self.rates.set(&mut settings);
        if let Some(on_eof) = session::on_eof(self.on_eof.as_deref()) {
            settings.on_eof = on_eof;
        }
        session::as_lines(&context, settings, Input::Stdin)
    }
}
