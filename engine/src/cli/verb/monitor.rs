//! `monitor`.

use clap::Args;
use migration_protocol::vocabulary::{Millis, Size};
use serde_json::{Map, Value};

use crate::cli::draft::Draft;

/// The flags of `monitor`.
#[derive(Clone, Debug, Default, Args)]
pub struct MonitorArgs {
    /// Measure again after this time, until interrupted, such as 1s
    #[arg(long, value_name = "TIME")]
    interval: Option<Millis>,
    /// Stop after this many measurements
    #[arg(long, value_name = "N", requires = "interval")]
    count: Option<u64>,
    /// Alert when more memory than this is in use
    #[arg(long, value_name = "PERCENT", requires = "interval")]
    memory_percent_above: Option<f64>,
    /// Alert when the processors are busier than this
    #[arg(long, value_name = "PERCENT", requires = "interval")]
    cpu_percent_above: Option<f64>,
    /// Alert when all jobs together are slower than this each second
    #[arg(long, value_name = "SIZE", requires = "interval")]
    bytes_per_s_below: Option<Size>,
    /// Alert when more items than this have failed
    #[arg(long, value_name = "N", requires = "interval")]
    errors_above: Option<u64>,
}

impl MonitorArgs {
    /// Whether it is asked for in its plainest form, as the assistant does.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.interval.is_none()
    }

    /// The command.
    #[must_use]
    pub fn command(self) -> Map<String, Value> {
        let mut alerts = Map::new();
        let mut alert = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                alerts.insert(name.to_owned(), value);
            }
        };
        alert("memory_percent_above", self.memory_percent_above.map(Value::from));
        alert("cpu_percent_above", self.cpu_percent_above.map(Value::from));
        alert("bytes_per_s_below", self.bytes_per_s_below.map(|size| size.0.into()));
        alert("errors_above", self.errors_above.map(Value::from));
        let draft = Draft::new("monitor")
            .maybe("interval_ms", self.interval.map(|time| time.0))
            .maybe("count", self.count);
        if alerts.is_empty() { draft.finish() } else { draft.with("alerts", alerts).finish() }
    }
}
