//! `plan SRC DST`, or `plan --command JSON`.

use std::ffi::OsString;

use clap::Args;
use migration_protocol::fault::{Code, Fault};
use migration_protocol::frame;
use serde_json::{Map, Value};

use crate::cli::arguments::PairArgs;
use crate::cli::draft::Draft;
use crate::cli::verb::copy::CopyOptions;

/// The flags of `plan`.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// Where a copy would come from
    #[arg(required_unless_present = "command", requires = "dst")]
    src: Option<OsString>,
    /// Where it would go to
    #[arg(required_unless_present = "command")]
    dst: Option<OsString>,
    #[command(flatten)]
    options: CopyOptions,
    /// Plan this command of the protocol instead of a copy
    #[arg(long, value_name = "JSON", conflicts_with_all = ["src", "dst"])]
    command: Option<String>,
}

impl PlanArgs {
    /// The command.
    ///
    /// # Errors
    /// A `--command` that is no JSON object.
    pub fn command(self) -> Result<Map<String, Value>, Fault> {
        let planned = match (self.command, self.src, self.dst) {
            (None, Some(src), Some(dst)) => {
                let mut copy = self.options.draft(&PairArgs { src, dst }).finish();
                copy.remove("id");
                copy
            }
            (text, _, _) => parse(&text.unwrap_or_default())?,
        };
        Ok(Draft::new("plan").with("command", planned).finish())
    }
}

fn parse(text: &str) -> Result<Map<String, Value>, Fault> {
    let parsed = frame::parse(text.as_bytes())?;
    parsed.ok_or_else(|| Fault::new(Code::Parse, "the command is empty").at_field("--command"))
}
