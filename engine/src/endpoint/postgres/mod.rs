//! PostgreSQL, from version 12 on, by a client of its own: blocking sessions, each one thread's.
//!
//! Rows leave and arrive by binary `COPY`. Between two PostgreSQL servers its frames go through as
//! they are ([`crate::model::rows::NATIVE_POSTGRES`]).

mod catalog;
mod census;
mod chrono;
mod columns;
mod config;
mod decode;
mod default;
mod dialect;
mod encode;
mod error;
mod home;
mod keys;
mod ledger;
mod native;
mod numeric;
mod others;
mod project;
mod reader;
mod replicas;
mod row;
mod session;
mod sink;
mod snapshot;
mod source;
mod split;
mod startup;
mod text;
mod types;
mod wire;
mod writer;

use crate::endpoint::Database;

/// The registry's entry.
pub const DATABASE: Database = Database {
    schemes: &["postgres", "postgresql"],
    options: &["tls_ca", "tls_insecure"],
    source: source::open,
    sink: sink::open,
};
