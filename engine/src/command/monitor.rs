//! `monitor`: figures of this machine and this process, once or at an interval, with alerts.

use std::time::{Duration, Instant};

use migration_protocol::fault::{Code, Fault};
use migration_protocol::vocabulary::{LimitSpec, Millis, object};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sysinfo::{CpuRefreshKind, Disks, MemoryRefreshKind, Networks, RefreshKind, System};

use crate::command::{Answer, Command, Planned, Prepared, Work, fields};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::platform::process;

/// Least interval, and the time over which CPU use is measured.
const INTERVAL_MS_MIN: u64 = 200;

/// Bounds that raise an alert.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertParams {
    /// Memory in use, per cent.
    #[serde(default)]
    pub memory_percent_above: Option<f64>,
    /// Mean use of the processors, per cent.
    #[serde(default)]
    pub cpu_percent_above: Option<f64>,
    /// Bytes each second of all jobs together.
    #[serde(default)]
    pub bytes_per_s_below: Option<f64>,
    /// Failed items of all jobs since the engine began.
    #[serde(default)]
    pub errors_above: Option<f64>,
}

/// The fields of `monitor`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MonitorParams {
    /// Time between measurements, at least 200 ms. Default: one measurement.
    #[serde(default)]
    pub interval_ms: Option<Millis>,
    /// Measurements until it ends. Default: no bound.
    #[serde(default)]
    pub count: Option<u64>,
    /// Bounds. Default: none.
    #[serde(default, deserialize_with = "object")]
    pub alerts: AlertParams,
}

/// The registry's entry.
pub const COMMAND: Command = Command {
    op: "monitor",
    about: "Measure this machine and this process",
    schema: || schemars::schema_for!(MonitorParams),
    prepare,
};

fn prepare(map: Map<String, Value>) -> Result<Prepared, Fault> {
    let params: MonitorParams = fields::read(map)?;
    let interval = params.interval_ms.map(|interval| interval.0);
    if interval.is_some_and(|interval| interval < INTERVAL_MS_MIN) || params.count == Some(0) {
        let field = if params.count == Some(0) { "count" } else { "interval_ms" };
        return Err(Fault::new(Code::InvalidField, "too small").at_field(field));
    }
    let work = Monitor {
        interval: interval.map(Duration::from_millis),
        count: params.count,
        alerts: params.alerts,
    };
    Ok(Prepared { limits: LimitSpec::default(), work: Box::new(work) })
}

struct Monitor {
    interval: Option<Duration>,
    count: Option<u64>,
    alerts: AlertParams,
}

impl Work for Monitor {
    fn run(self: Box<Self>, job: &Job) -> Result<Answer> {
        let mut probe = Probe::new(job);
        let first_wait = Duration::from_millis(INTERVAL_MS_MIN);
        let Some(interval) = self.interval else {
            wait(job, first_wait)?;
            return Ok(Answer { data: Some(probe.measure(job)), ..Answer::default() });
        };
        let mut taken = 0;
        while self.count.is_none_or(|count| taken < count) {
            match wait(job, interval) {
                Err(error) if error.kind() == Kind::Cancelled => break,
                other => other?,
            }
            let metrics = probe.measure(job);
            job.listener.sample(&metrics, &self.alerts.crossed(&metrics));
            taken += 1;
        }
        Ok(Answer { data: Some(json!({ "samples": taken })), ..Answer::default() })
    }

    fn plan(self: Box<Self>, _job: &Job) -> Result<Planned> {
        Err(EngineError::new(Kind::Unsupported, "monitor cannot be planned"))
    }
}

fn wait(job: &Job, time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|d| !d.is_zero()) {
        job.switch.sleep(left)?;
    }
    job.pass()
}

impl AlertParams {
    /// The bounds that these figures cross: metric, value, threshold.
    fn crossed(&self, metrics: &Value) -> Vec<(String, f64, f64)> {
        let figure = |pointer: &str| metrics.pointer(pointer).and_then(Value::as_f64);
        let cores = metrics.pointer("/cpu/usage_percent").and_then(Value::as_array);
        let cpu = cores
            .filter(|cores| !cores.is_empty())
            .map(|cores| cores.iter().filter_map(Value::as_f64).sum::<f64>() / cores.len() as f64);
        let checks = [
            ("memory_percent", figure("/memory/used_percent"), self.memory_percent_above, true),
            ("cpu_percent", cpu, self.cpu_percent_above, true),
            ("bytes_per_s", figure("/engine/bytes_per_s"), self.bytes_per_s_below, false),
            ("errors", figure("/engine/errors"), self.errors_above, true),
        ];
        let crossed = checks.into_iter().filter_map(|(metric, value, threshold, above)| {
            let (value, threshold) = (value?, threshold?);
            let crossed = if above { value > threshold } else { value < threshold };
            crossed.then(|| (metric.to_owned(), value, threshold))
        });
        crossed.collect()
    }
}

/// Measures; figures over time are since the measurement before.
struct Probe {
    system: System,
    at: Instant,
    bytes: u64,
}

impl Probe {
    fn new(job: &Job) -> Self {
        let what = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::everything())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(what);
        Self { system, at: Instant::now(), bytes: job.engine.totals.bytes() }
    }

    fn measure(&mut self, job: &Job) -> Value {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        let elapsed = self.at.elapsed().as_secs_f64().max(1e-6);
        let bytes = job.engine.totals.bytes();
        let rate = bytes.saturating_sub(self.bytes) as f64 / elapsed;
        self.at = Instant::now();
        self.bytes = bytes;
        json!({
            "timestamp": crate::platform::clock::rfc3339_now(),
            "cpu": self.cpu(),
            "memory": self.memory(),
            "disk": disks(),
            "network": network(),
            "engine": {
                "pid": std::process::id(),
                "cpu_ms": process::cpu_time().as_millis() as u64,
                "rss_bytes": process::rss_bytes(),
                "peak_rss_bytes": process::peak_rss_bytes(),
                "threads": process::threads(),
                "jobs_running": job.engine.totals.running(),
                "bytes_per_s": rate as u64,
                "errors": job.engine.totals.errors(),
            },
        })
    }

    fn cpu(&self) -> Value {
        let cores = self.system.cpus();
        json!({
            "usage_percent": cores.iter().map(|core| round(f64::from(core.cpu_usage()))).collect::<Vec<_>>(),
            "count": cores.len(),
            "model_name": cores.first().map_or("", |core| core.brand()),
        })
    }

    fn memory(&self) -> Value {
        let (total, available) = (self.system.total_memory(), self.system.available_memory());
        let used = total.saturating_sub(available);
        json!({
            "total": total,
            "available": available,
            "used": used,
            "used_percent": percent(used, total),
            "free": self.system.free_memory(),
        })
    }
}

fn disks() -> Vec<Value> {
    let disks = Disks::new_with_refreshed_list();
    let entries = disks.iter().map(|disk| {
        let (total, free) = (disk.total_space(), disk.available_space());
        let used = total.saturating_sub(free);
        json!({
            "device": disk.name().to_string_lossy(),
            "mountpoint": disk.mount_point().to_string_lossy(),
            "fstype": disk.file_system().to_string_lossy(),
            "total": total,
            "free": free,
            "used": used,
            "used_percent": percent(used, total),
        })
    });
    crate::wire::sample(entries)
}

fn network() -> Value {
    let networks = Networks::new_with_refreshed_list();
    let mut totals = [0u64; 4];
    for (_, one) in &networks {
        let figures = [
            one.total_transmitted(),
            one.total_received(),
            one.total_packets_transmitted(),
            one.total_packets_received(),
        ];
        totals.iter_mut().zip(figures).for_each(|(total, figure)| *total += figure);
    }
    let [sent, received, packets_sent, packets_received] = totals;
    json!({
        "bytes_sent": sent,
        "bytes_recv": received,
        "packets_sent": packets_sent,
        "packets_recv": packets_received,
    })
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { round(part as f64 * 100.0 / whole as f64) }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
