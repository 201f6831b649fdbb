//! What every verb is given.

use std::sync::Arc;

use crate::cli::screen::Screen;
use crate::cli::settings::Resolved;

/// Settings and screen of this run.
#[derive(Clone, Debug)]
pub struct Context {
    /// What flags, environment and files say.
    pub resolved: Resolved,
    /// Where it is printed.
    pub screen: Arc<Screen>,
    /// JSON instead of text.
    pub json: bool,
    /// Errors only.
    pub quiet: bool,
}
