//! The flags of `copy` that keep a destination in step with its source.

use clap::Args;
use migration_protocol::vocabulary::{Compare, Lock, Millis};
use serde_json::{Value, json};

use crate::cli::choices;
use crate::cli::draft::Draft;

/// What is the same, what goes, and who may write meanwhile.
#[derive(Clone, Debug, Args)]
pub struct MirrorArgs {
    /// How on-exists update tells that two files are the same
    #[arg(long, env = "MIGRATION_ENGINE_COMPARE", value_parser = choices::of::<Compare>())]
    compare: Option<String>,
    /// Remove from the destination what the source does not have, once all is copied
    #[arg(long)]
    delete: bool,
    /// The most that delete removes: a number of names, or a share such as 50%
    #[arg(long, value_name = "N|P%", value_parser = most)]
    max_delete: Option<Value>,
    /// Hold the lease on the destination directory [default: none, with --delete fail]
    #[arg(long, value_parser = choices::of::<Lock>())]
    lock: Option<String>,
    /// How long --lock wait waits, such as 10m
    #[arg(long, value_name = "TIME")]
    lock_timeout: Option<Millis>,
}

impl MirrorArgs {
    /// Adds them to a command.
    #[must_use]
    pub fn add(self, draft: Draft) -> Draft {
        draft
            .maybe("compare", self.compare)
            .switch("delete", self.delete)
            .maybe("max_delete", self.max_delete)
            .maybe("lock", self.lock)
            .maybe("lock_timeout", self.lock_timeout.map(|time| time.0))
    }
}

fn most(text: &str) -> Result<Value, String> {
    let (name, number) = match text.strip_suffix('%') {
        Some(percent) => ("percent", percent),
        None => ("count", text),
    };
    let number = number.parse::<u64>().map_err(|_| "expected a number, or a share such as 50%")?;
    Ok(json!({ name: number }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_shares_are_told_apart() {
        assert_eq!(most("12"), Ok(json!({"count": 12})));
        assert_eq!(most("50%"), Ok(json!({"percent": 50})));
        assert!(most("%").is_err() && most("-1").is_err() && most("5 %").is_err());
    }
}
