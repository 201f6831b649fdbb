//! Databases, each against the real engine.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests make and judge what they use"
)]

mod flat;
mod mysql;
mod postgres;
mod sqlite;
