//! The log on standard error, and what is said of a panic.

use std::panic::PanicHookInfo;

use migration_protocol::fault::printable;
use tracing::level_filters::LevelFilter;

/// Starts the log at this level; a second start changes nothing.
pub fn start(level: &str) {
    let level = level.parse().unwrap_or(LevelFilter::WARN);
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_target(false)
        .with_writer(std::io::stderr);
    let _ = log.try_init();
}

/// Lets a panic say one bounded line in the log: what and where, and no value of the program.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|info| tracing::error!("{}", describe(info))));
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message = payload.downcast_ref::<&str>().copied().unwrap_or("a defect");
    let place = info.location().map_or_else(String::new, |at| format!(" at {at}"));
    printable(&format!("panic{place}: {message}"))
}
