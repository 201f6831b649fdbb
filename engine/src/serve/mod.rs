//! The session: lines in, commands run as jobs, events out.
//!
//! `session` starts the threads, `reader` turns input into events, `dispatch` owns the job table
//! and sees to every event (`requests`: a line's command; `turns`: whose turn it is), `runner` runs a
//! job on its thread, `writer` alone owns standard output.

pub mod admission;
pub mod batch;
pub mod control;
pub mod dispatch;
pub mod ending;
pub mod exit;
pub mod names;
pub mod output;
pub mod pace;
pub mod reader;
pub mod requests;
pub mod runner;
pub mod session;
pub mod turns;
pub mod watch;
pub mod writer;
