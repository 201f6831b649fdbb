//! A session from its first line to its exit code.

use std::io::Read;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::job::Engine;
use crate::journal::state::StateDir;
use crate::limits::{MEMORY_OVERHEAD_BYTES, WORKERS_MAX};
use crate::platform::{clock, process};
use crate::resource::budget::Budget;
use crate::resource::rates::{RateChange, Rates};
use crate::resource::workers::Workers;
use crate::serve::admission::Admission;
use crate::serve::dispatch::{Dispatch, Event, Line};
use crate::serve::output::Output;
use crate::serve::{exit, reader, watch};
use crate::settings::Settings;

/// Where commands come from.
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(std::fs::File),
    /// These, as from a line each.
    Commands(Vec<Map<String, Value>>),
}

/// Events waiting for the dispatch loop.
const EVENTS_WAITING: usize = 1024;

/// Runs a session to its end. Returns the exit code.
pub fn run(settings: Settings, input: Input, output: Arc<dyn Output>) -> u8 {
    let (events, inbox) = crossbeam_channel::bounded(EVENTS_WAITING);
    let watched = watch::signals(events.clone()).and_then(|()| match settings.parent_pid {
        Some(pid) => watch::parent(pid, events.clone()),
        None => Ok(()),
    });
    if let Err(error) = watched {
        tracing::error!("failed to watch for signals: {error}");
        return exit::INTERNAL;
    }
    let admission = Arc::new(Admission::new(Arc::clone(&output)));
    let engine = engine(&settings);
    let mut dispatch =
        Dispatch::new(settings, engine, output, Arc::clone(&admission), events.clone());
    dispatch.hello();
    let feed = move || match input {
        Input::Stdin => reader::run(Stdin, process::stdin_hung_up, &events, &admission),
        Input::File(file) => reader::run(file, || false, &events, &admission),
        Input::Commands(commands) => {
            for (number, command) in (1..).zip(commands) {
                admission.take(1);
                let line = Line::of(command);
                if events.send(Event::Line(number, line)).is_err() || !admission.wait(|| true) {
                    break;
                }
            }
            let _ = events.send(Event::EndOfInput);
        }
    };
    // Not joined: a read that never returns must not keep the session from ending.
    if std::thread::Builder::new().name("reader".to_owned()).spawn(feed).is_err() {
        return exit::INTERNAL;
    }
    dispatch.run(&inbox)
}

/// What the jobs of a session share.
fn engine(settings: &Settings) -> Engine {
    let state = settings.state_path().and_then(|path| match StateDir::open(&path) {
        Ok(state) => Some(state),
        Err(error) => {
            tracing::warn!("{error}");
            None
        }
    });
    let data_bytes = settings.memory_cap_bytes.saturating_sub(MEMORY_OVERHEAD_BYTES);
    let rates = Rates::default();
    let change = RateChange {
        bytes: Some(settings.bytes_per_s),
        ops: Some(settings.ops_per_s),
        ..RateChange::default()
    };
    rates.change(change, clock::minute_of_week());
    Engine {
        budget: Budget::new(data_bytes.max(settings.memory_cap_bytes / 4)),
        workers: Workers::new(WORKERS_MAX),
        rates: Arc::new(rates),
        state,
        allow_secret_command: settings.allow_secret_command,
        totals: Arc::default(),
    }
}

/// Standard input without a buffer of its own.
struct Stdin;

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Ok(rustix::io::read(rustix::stdio::stdin(), buffer)?)
    }
}
