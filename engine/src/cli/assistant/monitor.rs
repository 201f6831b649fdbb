//! `monitor`.

use serde_json::Value;

use crate::cli::assistant::collect;
use crate::cli::assistant::copy::{answer, not_begun};
use crate::cli::assistant::envelope::{Answer, error_of};
use crate::cli::context::Context;
use crate::cli::draft::Draft;

/// One measurement. `go_runtime` is the name under which the assistant looks for figures of the
/// process.
#[must_use]
pub fn run(context: &Context) -> Answer {
    let (outcome, _) = collect::run_one(context, Draft::new("monitor").finish());
    let Some(outcome) = outcome else {
        return not_begun();
    };
    let error = error_of(&outcome);
    let mut data = outcome.data.unwrap_or_default();
    if let Some(figures) = data.as_object_mut() {
        let own = figures.remove("engine").unwrap_or(Value::Null);
        figures.insert("go_runtime".to_owned(), own);
    }
    answer(data, error)
}
