//! `serve`.

use clap::Args;
use migration_protocol::message::OnEof;

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
}

impl ServeArgs {
    /// Serves. Returns the exit code.
    #[must_use]
    pub fn run(self, context: Context) -> u8 {
        let mut settings = context.resolved.settings.clone();
        settings.parent_pid = self.parent_pid;
        if let Some(on_eof) = session::on_eof(self.on_eof.as_deref()) {
            settings.on_eof = on_eof;
        }
        session::as_lines(&context, settings, Input::Stdin)
    }
}
