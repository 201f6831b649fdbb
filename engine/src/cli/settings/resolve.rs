//! Chooses each setting from the layers.

use std::path::PathBuf;

use clap::ArgMatches;
use migration_protocol::fault::{Code, Fault};
use migration_protocol::message::OnEof;
use migration_protocol::vocabulary::{Millis, Size};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::arguments::Globals;
use crate::cli::settings::layer::{Layer, Origin};
use crate::cli::settings::options::{LOG_LEVELS, Options, PROGRESS_STYLES};
use crate::cli::settings::{environment, files};
use crate::limits::{JOBS_RUNNING_MAX, MEMORY_CAP_BYTES_MIN};
use crate::settings::Settings;

/// Least time between two progress events, milliseconds.
const PROGRESS_MS_MIN: u64 = 50;

/// A setting as it is shown.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

/// Every setting of this run.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What the session needs.
    pub settings: Settings,
    /// Level of the log.
    pub log: String,
    /// How progress is shown.
    pub progress: String,
    /// All of them, by name.
    pub rows: Vec<Row>,
}

/// Resolves the settings.
///
/// # Errors
/// A bad configuration file, or a value out of range, with where it came from.
pub fn resolve(globals: &Globals, matches: &ArgMatches) -> Result<Resolved, Fault> {
    let mut layers = vec![Layer::of_flags(globals, matches), environment::layer()?];
    layers.extend(files::layers(globals.config.as_deref())?);
    choose(&layers)
}

fn choose(layers: &[Layer]) -> Result<Resolved, Fault> {
    let base = Settings::default();
    let mut picker = Picker { layers, rows: Vec::new() };
    let allow_secret_command =
        picker.pick("allow_secret_command", |o| o.allow_secret_command, base.allow_secret_command);
    let jobs = picker.pick("jobs", |o| o.jobs, base.jobs);
    picker.in_range(jobs as u64, 1, JOBS_RUNNING_MAX as u64)?;
    let log = picker.pick("log", |o| o.log.clone(), "warn".to_owned());
    picker.one_of(&log, &LOG_LEVELS)?;
    let memory_cap = picker.pick("memory_cap", |o| o.memory_cap, Size(base.memory_cap_bytes)).0;
    picker.in_range(memory_cap, MEMORY_CAP_BYTES_MIN, u64::MAX)?;
    let on_eof = picker.pick("on_eof", |o| o.on_eof, OnEof::default());
    let progress = picker.pick("progress", |o| o.progress.clone(), "auto".to_owned());
    picker.one_of(&progress, &PROGRESS_STYLES)?;
    let progress_ms = picker.pick("progress_ms", |o| o.progress_ms, Millis(base.progress_ms)).0;
    picker.in_range(progress_ms, PROGRESS_MS_MIN, u64::MAX)?;
    let state_dir = picker.state_dir(&base);
    let defaults = picker.defaults();
    let settings = Settings {
        memory_cap_bytes: memory_cap,
        jobs,
        state_dir,
        on_eof,
        progress_ms,
        defaults,
        allow_secret_command,
        ..base
    };
    Ok(Resolved { settings, log, progress, rows: picker.rows })
}

struct Picker<'a> {
    layers: &'a [Layer],
    rows: Vec<Row>,
}

impl Picker<'_> {
    fn pick<T: Serialize>(
        &mut self,
        name: &str,
        get: impl Fn(&Options) -> Option<T>,
        default: T,
    ) -> T {
        let found = self.layers.iter().find_map(|layer| Some((get(&layer.options)?, layer)));
        let (value, origin) = match found {
            Some((value, layer)) => (value, layer.origin(name)),
            None => (default, Origin::Default),
        };
        self.row(name, serde_json::to_value(&value).unwrap_or_default(), origin);
        value
    }

    fn row(&mut self, name: &str, value: Value, origin: Origin) {
        self.rows.push(Row { name: name.to_owned(), value, origin });
    }

    fn state_dir(&mut self, base: &Settings) -> Option<PathBuf> {
        let found = self.layers.iter().find_map(|l| Some((l.options.state_dir.clone()?, l)));
        let (path, origin) = match found {
            Some((path, layer)) => (Some(path), layer.origin("state_dir")),
            None => (None, Origin::Default),
        };
        let shown = path.clone().or_else(|| base.state_path());
        self.row("state_dir", shown.map(|path| path.to_string_lossy().into_owned()).into(), origin);
        path
    }

    /// Defaults of all layers together; each field from the first that has it.
    fn defaults(&mut self) -> Map<String, Value> {
        let mut chosen = Map::new();
        for layer in self.layers {
            for (field, value) in &layer.options.defaults {
                if !chosen.contains_key(field) {
                    let name = format!("defaults.{field}");
                    self.rows.push(Row { origin: layer.origin(&name), value: value.clone(), name });
                    chosen.insert(field.clone(), value.clone());
                }
            }
        }
        chosen
    }

    /// Refuses the value picked last, where it lies outside.
    fn in_range(&self, value: u64, least: u64, most: u64) -> Result<(), Fault> {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        let bound = if value < least { ("at least", least) } else { ("at most", most) };
        Err(self.refuse(&format!("must be {} {}", bound.0, bound.1)))
    }

    /// Refuses the value picked last, where it is none of these.
    fn one_of(&self, value: &str, known: &[&str]) -> Result<(), Fault> {
        if known.contains(&value) {
            return Ok(());
        }
        Err(self.refuse(&format!("must be one of {}", known.join(", "))))
    }

    fn refuse(&self, why: &str) -> Fault {
        let (name, origin) =
            self.rows.last().map_or(("", &Origin::Default), |row| (row.name.as_str(), &row.origin));
        Fault::new(Code::InvalidField, format!("{name} {why}"))
            .at_field(name)
            .hint(format!("it was set by: {origin}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(options: Options, file: &str) -> Layer {
        Layer::new(options, Origin::File(file.into()))
    }

    #[test]
    fn the_first_layer_that_has_a_value_wins() {
        let first = Options { jobs: Some(2), ..Options::default() };
        let defaults = |text: &str| serde_json::from_str(text).unwrap();
        let second = Options {
            jobs: Some(9),
            memory_cap: Some(Size(64 << 20)),
            defaults: defaults(r#"{"checksum":"md5","verify":"none"}"#),
            ..Options::default()
        };
        let third = Options { defaults: defaults(r#"{"checksum":"sha256"}"#), ..second.clone() };
        let chosen = choose(&[layer(first, "a"), layer(second, "b"), layer(third, "c")]).unwrap();
        assert_eq!((chosen.settings.jobs, chosen.settings.memory_cap_bytes), (2, 64 << 20));
        assert_eq!(chosen.settings.defaults["checksum"], "md5");
        let row = |name: &str| chosen.rows.iter().find(|row| row.name == name).unwrap();
        assert_eq!(row("jobs").origin, Origin::File("a".into()));
        assert_eq!(row("memory_cap").origin, Origin::File("b".into()));
        assert_eq!(row("log").origin, Origin::Default);
    }

    #[test]
    fn values_out_of_range_say_who_set_them() {
        let bad = Options { jobs: Some(0), ..Options::default() };
        let fault = choose(&[layer(bad, "/etc/x")]).unwrap_err();
        assert_eq!(fault.hint, "it was set by: file /etc/x");
        let bad = Options { progress: Some("fancy".into()), ..Options::default() };
        assert!(choose(&[layer(bad, "x")]).is_err());
    }
}
