//! Promises of a session, each broken on purpose against the real binary.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "tests make and judge the files they use"
)]

mod archive;
mod cancel;
mod compare;
mod compress;
mod control;
mod delete;
mod hostile_tree;
mod keyed;
mod killed;
mod lease;
mod limits;
mod malformed;
mod manifest;
mod memory;
mod metadata;
mod races;
mod recode;
mod secrets;
mod session;
mod stalled;
mod storage;
mod timetable;
