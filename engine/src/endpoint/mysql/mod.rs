//! MySQL and MariaDB, by a client of their text protocol.
//!
//! - [`config`] reads a location; [`packet`], [`cut`], [`login`], [`auth`] and [`session`] are the
//!   protocol; [`error`] says what a server's refusal means.
//! - [`catalog`], [`types`], [`keys`], [`extras`] and [`value`] read what is there; [`snapshot`],
//!   [`split`], [`census`], [`reader`], [`facts`], [`decode`], [`column`] and [`calendar`] its rows.
//! - [`home`], [`dialect`], [`prepare`], [`removal`] and [`sink`] make tables; [`writer`], [`merge`], [`load`],
//!   [`insert`], [`encode`] and [`escape`] fill them.
//!
//! # Sessions
//! Every session runs in UTC, in strict mode, with `utf8mb4` for statements, and gets results as they
//! are stored: text is decoded here by its column's character set, so that no byte becomes a question
//! mark on the way. `NO_BACKSLASH_ESCAPES` is off: `LOAD DATA` names its escape with a backslash, and
//! every text of a statement goes through [`escape`]. `NO_ZERO_DATE` is on for sessions that write
//! rows, and off for those that make tables, whose defaults may be zero dates.

mod auth;
mod calendar;
mod catalog;
mod census;
mod column;
mod config;
mod cut;
mod decode;
mod dialect;
mod encode;
mod error;
mod escape;
mod extras;
mod facts;
mod home;
mod insert;
mod keys;
mod load;
mod login;
mod merge;
mod packet;
mod prepare;
mod reader;
mod removal;
mod session;
mod sink;
mod snapshot;
mod source;
mod split;
mod types;
mod value;
mod writer;

use crate::endpoint::Database;

/// The registry's entry.
pub const DATABASE: Database = Database {
    schemes: &["mysql", "mariadb"],
    options: &["tls_ca", "tls_insecure"],
    source: source::open,
    sink: sink::open,
};
