//! Rows as Markdown.

use std::fmt::Write;
use std::time::Duration;

use crate::measure::{Sample, memory_of};
use crate::race::{Row, best_peer};

/// One suite's tables.
#[derive(Debug)]
pub struct Report {
    /// For people, and for BASELINE.md.
    pub markdown: String,
    /// Whether every contender that was there ran and made right copies.
    pub sound: bool,
}

/// A table of files copied or read: medians, ratios to the best peer of the table.
#[must_use]
pub fn files(rows: &[Row], bytes: u64) -> String {
    let synced = |sample: &Sample| sample.synced.unwrap_or(sample.wall);
    let best = (best_peer(rows, |sample| sample.wall), best_peer(rows, synced));
    let mut table = String::from(
        "| | wall s | min to max | MB/s | to best peer | with sync s | to best peer | CPU s | peak RSS MiB |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        let cells = match &row.outcome {
            Err(why) => format!("{} | | | | | | | ", escaped(why)),
            Ok(samples) => file_cells(row, samples, bytes, best),
        };
        let _ = writeln!(table, "| {} | {cells} |", name(row));
    }
    table
}

/// A table of objects moved or listed: what they cost in wall and processor time, in all and for
/// each gigabyte and thousand. Where nothing is moved `bytes` is 0; cells that say nothing are empty.
#[must_use]
pub fn objects(rows: &[Row], bytes: u64, count: u64) -> String {
    let synced = |sample: &Sample| sample.synced.unwrap_or(sample.wall);
    let best = (best_peer(rows, |sample| sample.wall), best_peer(rows, synced));
    let best_cpu = best_peer(rows, |sample| sample.cpu);
    let mut table = String::from(
        "| | wall s | min to max | MB/s | to best peer | with sync s | to best peer | CPU s | \
         to best peer | CPU s per GB | CPU s per 1,000 | peak RSS MiB |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        let cells = match &row.outcome {
            Err(why) => format!("{}{}", escaped(why), " | ".repeat(10)),
            Ok(samples) => {
                let wall = row.median(|sample| sample.wall);
                let walls = || samples.iter().map(|sample| sample.wall);
                let after = row.median(|sample| sample.synced).flatten();
                let cpu = row.median(|sample| sample.cpu);
                let each = |unit: f64, least: f64, all: u64| {
                    let cpu = cpu.filter(|_| all as f64 >= least)?;
                    Some(format!("{:.3}", cpu.as_secs_f64() * unit / all as f64))
                };
                let rate = wall.filter(|_| bytes > 0);
                let rate = rate.map(|w| format!("{:.0}", bytes as f64 / 1e6 / w.as_secs_f64()));
                [
                    seconds(wall),
                    format!("{} to {}", seconds(walls().min()), seconds(walls().max())),
                    rate.unwrap_or_default(),
                    ratio(wall, best.0),
                    seconds(after),
                    ratio(after, best.1),
                    seconds(cpu),
                    ratio(cpu, best_cpu),
                    each(1e9, 1.0, bytes).unwrap_or_default(),
                    each(1e3, 10.0, count).unwrap_or_default(),
                    row.median(|sample| sample.rss_bytes).map(memory).unwrap_or_default(),
                ]
                .join(" | ")
            }
        };
        let _ = writeln!(table, "| {} | {cells} |", name(row));
    }
    table
}

/// A table of rows copied from one database to another: what each contender's own processes cost,
/// and how busy the servers and others were meanwhile.
#[must_use]
pub fn rows(rows: &[Row], count: u64) -> String {
    let best = best_peer(rows, |sample| sample.wall);
    let best_cpu = best_peer(rows, |sample| sample.cpu);
    let mut table = String::from(
        "| | wall s | min to max | 1,000 rows/s | to best peer | CPU s | to best peer | \
         CPU us a row | peak RSS MiB | servers CPU s | others CPU s |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        let cells = match &row.outcome {
            Err(why) => format!("{}{}", escaped(why), " | ".repeat(9)),
            Ok(samples) => {
                let wall = row.median(|sample| sample.wall);
                let walls = || samples.iter().map(|sample| sample.wall);
                let cpu = row.median(|sample| sample.cpu);
                let rate = wall.map(|wall| count as f64 / 1e3 / wall.as_secs_f64());
                let each = cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / count as f64);
                [
                    seconds(wall),
                    format!("{} to {}", seconds(walls().min()), seconds(walls().max())),
                    rate.map(|rate| format!("{rate:.0}")).unwrap_or_default(),
                    ratio(wall, best),
                    seconds(cpu),
                    ratio(cpu, best_cpu),
                    each.map(|each| format!("{each:.3}")).unwrap_or_default(),
                    row.median(|sample| sample.rss_bytes).map(memory).unwrap_or_default(),
                    seconds(row.median(|sample| sample.around.map(|a| a.servers)).flatten()),
                    seconds(row.median(|sample| sample.around.map(|a| a.others)).flatten()),
                ]
                .join(" | ")
            }
        };
        let _ = writeln!(table, "| {} | {cells} |", name(row));
    }
    table
}

/// A table of files made from one: as of files copied, with the size of what was made.
#[must_use]
pub fn packed(rows: &[Row], bytes: u64) -> String {
    let best = best_peer(rows, |sample| sample.wall);
    let mut table = String::from(
        "| | wall s | min to max | MB/s | to best peer | with sync s | size | CPU s | peak RSS MiB |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        let cells = match &row.outcome {
            Err(why) => format!("{} | | | | | | | ", escaped(why)),
            Ok(samples) => {
                let wall = row.median(|sample| sample.wall);
                let walls = || samples.iter().map(|sample| sample.wall);
                let rate = wall.map(|w| format!("{:.0}", bytes as f64 / 1e6 / w.as_secs_f64()));
                let made = row.median(|sample| sample.made_bytes).flatten();
                let share = made.map(|made| format!("{:.2} %", made as f64 * 100.0 / bytes as f64));
                [
                    seconds(wall),
                    format!("{} to {}", seconds(walls().min()), seconds(walls().max())),
                    rate.unwrap_or_default(),
                    ratio(wall, best),
                    seconds(row.median(|sample| sample.synced).flatten()),
                    share.unwrap_or_default(),
                    seconds(row.median(|sample| sample.cpu)),
                    row.median(|sample| sample.rss_bytes).map(memory).unwrap_or_default(),
                ]
                .join(" | ")
            }
        };
        let _ = writeln!(table, "| {} | {cells} |", name(row));
    }
    table
}

fn file_cells(
    row: &Row,
    samples: &[Sample],
    bytes: u64,
    best: (Option<Duration>, Option<Duration>),
) -> String {
    let wall = row.median(|sample| sample.wall);
    let synced = row.copies.then(|| row.median(|sample| sample.synced).flatten()).flatten();
    let walls = || samples.iter().map(|sample| sample.wall);
    let rate = wall.map(|wall| format!("{:.0}", bytes as f64 / 1e6 / wall.as_secs_f64()));
    [
        seconds(wall),
        format!("{} to {}", seconds(walls().min()), seconds(walls().max())),
        rate.unwrap_or_default(),
        ratio(wall, best.0),
        seconds(synced),
        ratio(synced, best.1),
        seconds(row.median(|sample| sample.cpu)),
        row.median(|sample| sample.rss_bytes).map(memory).unwrap_or_default(),
    ]
    .join(" | ")
}

/// A table of short runs in milliseconds.
#[must_use]
pub fn starts(rows: &[Row]) -> String {
    let mut table = String::from(
        "| | wall ms | min to max | CPU ms | peak RSS MiB |\n|---|---:|---:|---:|---:|\n",
    );
    for row in rows {
        let cells = match &row.outcome {
            Err(why) => format!("{} | | | ", escaped(why)),
            Ok(samples) => {
                let walls = || samples.iter().map(|sample| sample.wall);
                [
                    milliseconds(row.median(|sample| sample.wall)),
                    format!("{} to {}", milliseconds(walls().min()), milliseconds(walls().max())),
                    milliseconds(row.median(|sample| sample.cpu)),
                    row.median(|sample| sample.rss_bytes).map(memory).unwrap_or_default(),
                ]
                .join(" | ")
            }
        };
        let _ = writeln!(table, "| {} | {cells} |", name(row));
    }
    table
}

/// Memory in MiB. What a child uses before it replaces this program's image counts as its own:
/// a figure no larger than this program's is only an upper bound.
#[must_use]
pub fn memory(bytes: u64) -> String {
    let floor = memory_of(std::process::id(), "VmHWM").unwrap_or(0);
    let bound = if bytes <= floor { "<= " } else { "" };
    format!("{bound}{:.1}", bytes as f64 / f64::from(1 << 20))
}

fn name(row: &Row) -> String {
    if row.ours { format!("**{}**", escaped(&row.name)) } else { escaped(&row.name) }
}

/// Text that stays inside one cell.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn seconds(time: Option<Duration>) -> String {
    time.map(|time| format!("{:.3}", time.as_secs_f64())).unwrap_or_default()
}

fn milliseconds(time: Option<Duration>) -> String {
    time.map(|time| format!("{:.2}", time.as_secs_f64() * 1e3)).unwrap_or_default()
}

fn ratio(time: Option<Duration>, best: Option<Duration>) -> String {
    let ratio = time.zip(best).map(|(time, best)| time.as_secs_f64() / best.as_secs_f64());
    ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, ours: bool, walls_ms: &[u64]) -> Row {
        let sample = |ms: &u64| Sample {
            wall: Duration::from_millis(*ms),
            synced: Some(Duration::from_millis(ms + 100)),
            made_bytes: None,
            cpu: Duration::from_millis(5),
            rss_bytes: 64 << 30,
            around: None,
        };
        let outcome = Ok(walls_ms.iter().map(sample).collect());
        Row { name: name.to_owned(), ours, copies: true, outcome }
    }

    #[test]
    fn ratios_are_to_the_best_peer_and_not_to_us() {
        let rows = [row("a|b", false, &[400, 200, 300]), row("engine", true, &[150, 150, 150])];
        let table = files(&rows, 3_000_000);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(
            lines[2],
            "| a\\|b | 0.300 | 0.200 to 0.400 | 10 | 1.00 | 0.400 | 1.00 | 0.005 | 65536.0 |"
        );
        assert!(
            lines[3]
                .starts_with("| **engine** | 0.150 | 0.150 to 0.150 | 20 | 0.50 | 0.250 | 0.62 ")
        );
    }

    #[test]
    fn who_did_not_run_is_named() {
        let absent = Row { outcome: Err("absent".to_owned()), ..row("xcp", false, &[]) };
        assert!(files(&[absent], 1).ends_with("| xcp | absent | | | | | | |  |\n"));
    }
}
