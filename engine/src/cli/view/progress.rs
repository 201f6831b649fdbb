//! Where jobs stand: bars on a terminal, a line now and then elsewhere.

use migration_protocol::event::Progress;
use migration_protocol::message::Id;

use crate::cli::screen::Screen;
use crate::cli::view::bars::Bars;
use crate::cli::view::plain::Plain;
use crate::cli::view::words;

/// How progress is shown.
pub enum Gauge {
    /// Not at all.
    Off,
    /// A line every few seconds.
    Plain(Plain),
    /// A bar for each running job.
    Bars(Bars),
}

impl Gauge {
    /// The gauge of this style: `auto`, `plain` or `none`.
    #[must_use]
    pub fn new(style: &str, screen: &Screen) -> Self {
        match style {
            "none" => Self::Off,
            "auto" if screen.err_is_terminal() => Self::Bars(Bars::default()),
            _ => Self::Plain(Plain::default()),
        }
    }

    /// Takes the newest figures of a job.
    pub fn update(&self, screen: &Screen, progress: &Progress) {
        match self {
            Self::Off => {}
            Self::Plain(plain) => plain.update(screen, progress),
            Self::Bars(bars) => bars.update(progress),
        }
    }

    /// A job ended.
    pub fn end(&self, id: &Id) {
        match self {
            Self::Off => {}
            Self::Plain(plain) => plain.end(id),
            Self::Bars(bars) => bars.end(id),
        }
    }

    /// Prints something while nothing of the gauge is on the screen.
    pub fn aside(&self, print: impl FnOnce()) {
        match self {
            Self::Bars(bars) => bars.aside(print),
            Self::Off | Self::Plain(_) => print(),
        }
    }
}

/// The figures beside a bar: items, rate, time left, what holds it down.
#[must_use]
pub fn figures(progress: &Progress) -> String {
    let items = match progress.items_total {
        Some(total) if !progress.total_is_estimate => format!("{}/{total}", progress.items_done),
        Some(total) => format!("{}/{total}+", progress.items_done),
        None => progress.items_done.to_string(),
    };
    let mut text = format!("{items} items, {}/s", words::bytes(progress.bytes_per_s));
    if let Some(eta) = progress.eta_s {
        text.push_str(&format!(", {} left", words::time((eta.max(0.0) * 1000.0) as u64)));
    }
    if progress.errors > 0 {
        text.push_str(&format!(", {} failed", progress.errors));
    }
    if let Some(throttled) = &progress.throttled {
        let percent = throttled.ratio * 100.0;
        text.push_str(&format!(", held down by {} ({percent:.0} %)", throttled.by));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_say_what_is_known() {
        let mut progress = json!({
            "id": "c", "phase": "transfer", "bytes_done": 5, "bytes_total": null,
            "total_is_estimate": true, "items_done": 1, "items_total": null,
            "bytes_per_s": 2048, "bytes_per_s_avg": 0, "eta_s": null, "elapsed_ms": 9,
            "retries": 0, "errors": 0, "throttled": null, "active": [],
        });
        let read =
            |value: &serde_json::Value| figures(&serde_json::from_value(value.clone()).unwrap());
        assert_eq!(read(&progress), "1 items, 2.0 KiB/s");
        progress["items_total"] = json!(9);
        progress["total_is_estimate"] = json!(false);
        progress["eta_s"] = json!(1.5);
        progress["errors"] = json!(2);
        progress["throttled"] = json!({"by": "bytes_per_s", "ratio": 0.31, "bytes_per_s_limit": 1});
        let expected =
            "1/9 items, 2.0 KiB/s, 1.5 s left, 2 failed, held down by bytes_per_s (31 %)";
        assert_eq!(read(&progress), expected);
    }
}
