//! `run FILE|-`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use clap::Args;
use migration_protocol::fault::{Code, Fault};
use migration_protocol::message::OnEof;

use crate::cli::arguments::RateArgs;
use crate::cli::choices;
use crate::cli::context::Context;
use crate::cli::session;
use crate::cli::view::Listing;
use crate::platform::operator;
use crate::serve::session::Input;

/// The flags of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The file; - is standard input
    #[arg(value_name = "FILE")]
    file: OsString,
    /// What the end of the file means for unfinished work [default: finish]
    #[arg(long, env = "MIGRATION_ENGINE_ON_EOF", value_parser = choices::of::<OnEof>())]
    on_eof: Option<String>,
    #[command(flatten)]
    rates: RateArgs,
}

impl RunArgs {
    /// Runs the commands. Returns the exit code.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn run(self, mut context: Context) -> Result<u8, Fault> {
        let input = if self.file == "-" { Input::Stdin } else { Input::File(self.open()?) };
        self.rates.set(&mut context.resolved.settings);
        if let Some(on_eof) = session::on_eof(self.on_eof.as_deref()) {
            context.resolved.settings.on_eof = on_eof;
        }
        Ok(session::run(&context, input, Listing::Commands))
    }

    fn open(&self) -> Result<std::fs::File, Fault> {
        let bytes = self.file.as_bytes();
        operator::open_file(bytes).map_err(|error| {
            let code = if error.kind() == std::io::ErrorKind::NotFound {
                Code::SrcNotFound
            } else {
                Code::SrcRead
            };
            let fault = Fault::new(code, "failed to open the file of commands").at_path(bytes);
            fault.caused_by("open", error.raw_os_error())
        })
    }
}
