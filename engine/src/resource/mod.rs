//! What is scarce, each with one owner: memory in flight, rates, worker threads.

pub mod budget;
pub mod cancel;
pub mod gate;
pub mod limiter;
pub mod rates;
pub mod timetable;
pub mod tuner;
pub mod workers;
