//! The list of checks.

use std::ffi::OsString;

use crate::cli::context::Context;
use crate::cli::doctor::check::Check;
use crate::cli::doctor::{filesystem, places, process, secrets};

/// Runs every check.
#[must_use]
pub fn examine(context: &Context, references: &[OsString]) -> Vec<Check> {
    let settings = &context.resolved.settings;
    let mut checks = vec![
        process::protocol(),
        process::open_files(),
        process::memory(settings.memory_cap_bytes),
        process::digests(),
        process::stdout(),
    ];
    let state = settings.state_path();
    checks.push(places::state(state.as_deref()));
    if let Some(state) = &state {
        let bytes = state.as_os_str().as_encoded_bytes();
        checks.extend(places::space("state_dir", bytes));
        checks.extend(filesystem::features("state_dir", bytes));
    }
    checks.extend(places::space("working_dir", b"."));
    checks.extend(filesystem::features("working_dir", b"."));
    checks.extend(references.iter().map(|reference| secrets::check(reference)));
    checks
}
