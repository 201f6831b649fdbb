//! Figures and names as people read them.

use migration_protocol::fault::is_hidden;
use migration_protocol::vocabulary::BytePath;

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A number of bytes with a unit.
#[must_use]
pub fn bytes(count: u64) -> String {
    let mut value = count as f64 / 1024.0;
    if value < 1.0 {
        return format!("{count} B");
    }
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while value >= 1024.0
        && let Some(next) = units.next()
    {
        value /= 1024.0;
        unit = Some(next);
    }
    format!("{value:.1} {}", unit.unwrap_or(&"KiB"))
}

/// A span of milliseconds.
#[must_use]
pub fn time(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        _ if millis < 1000 => format!("{millis} ms"),
        0..60 => format!("{:.1} s", millis as f64 / 1000.0),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A count with its noun, in the plural where it is not one.
#[must_use]
pub fn count(count: u64, noun: &str) -> String {
    match (noun.strip_suffix('y'), noun.ends_with("ch")) {
        _ if count == 1 => format!("1 {noun}"),
        (Some(stem), _) => format!("{count} {stem}ies"),
        (None, true) => format!("{count} {noun}es"),
        (None, false) => format!("{count} {noun}s"),
    }
}

/// A name with its control characters escaped: it cannot steer a terminal.
#[must_use]
pub fn name(path: &BytePath) -> String {
    let mut out = String::with_capacity(path.path.len());
    for c in path.path.chars() {
        if is_hidden(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_units() {
        assert_eq!([bytes(0), bytes(1023), bytes(1536)], ["0 B", "1023 B", "1.5 KiB"]);
        assert_eq!([bytes(3 << 30), bytes(u64::MAX)], ["3.0 GiB", "16.0 EiB"]);
        assert_eq!([time(999), time(1500), time(61_000)], ["999 ms", "1.5 s", "1 min 1 s"]);
        assert_eq!(time(7_260_000), "2 h 1 min");
        assert_eq!([count(1, "item"), count(0, "item")], ["1 item", "0 items"]);
        assert_eq!(
            [count(2, "directory"), count(2, "mismatch")],
            ["2 directories", "2 mismatches"]
        );
        assert_eq!(name(&BytePath::new(b"a\x1b[31m")), "a\\u{1b}[31m");
    }
}
