//! The binary: limits first, then whatever the arguments say.

use std::process::ExitCode;

use migration_engine::{cli, platform};

fn main() -> ExitCode {
    platform::process::prepare_limits();
    cli::report_panics();
    ExitCode::from(cli::run(std::env::args_os()))
}
