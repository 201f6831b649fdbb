//! The one object the assistant reads.

use migration_protocol::event::Outcome;
use migration_protocol::fault::printable;
use migration_protocol::message::Status;
use serde_json::{Value, json};

use crate::cli::screen::Screen;
use crate::serve::exit;

/// What an operation answers.
#[derive(Debug)]
pub struct Answer {
    data: Value,
    error: Option<String>,
}

impl Answer {
    /// Done.
    #[must_use]
    pub fn ok(data: Value) -> Self {
        Self { data, error: None }
    }

    /// Not done, with what is known of it.
    #[must_use]
    pub fn failed(data: Value, error: impl AsRef<str>) -> Self {
        Self { data, error: Some(printable(error.as_ref())) }
    }

    /// Prints the object, and the error on standard error too. Returns the exit code: 1 for what
    /// was not done, whatever the reason.
    #[must_use]
    pub fn print(&self, screen: &Screen) -> u8 {
        let object = json!({
            "success": self.error.is_none(),
            "data": self.data,
            "error": self.error.as_deref().unwrap_or_default(),
        });
        screen.line(object.to_string());
        screen.flush();
        if let Some(error) = &self.error {
            screen.note(&format!("error: {error}"));
        }
        match (&self.error, screen.is_lost()) {
            (_, true) => exit::OUTPUT_LOST,
            (Some(_), _) => exit::INTERNAL,
            (None, _) => exit::OK,
        }
    }
}

/// Why a command did not end well, in one line; `None` where it did.
#[must_use]
pub fn error_of(outcome: &Outcome) -> Option<String> {
    if outcome.status == Status::Ok {
        return None;
    }
    let Some(error) = &outcome.error else {
        return Some("it was not run".to_owned());
    };
    let path = error.at.as_ref().and_then(|at| at.path.as_ref()).map(|path| path.path.as_str());
    let place = path.filter(|path| !path.is_empty());
    let place = place.map_or_else(String::new, |path| format!(" ({path})"));
    Some(format!("{}: {}{place}; {}", error.code.name(), error.message, error.hint))
}

/// A rate in MiB each second.
#[must_use]
pub fn mebibytes_per_s(bytes: u64, millis: u64) -> f64 {
    let rate = bytes as f64 / (1 << 20) as f64 / (millis.max(1) as f64 / 1000.0);
    (rate * 100.0).round() / 100.0
}
