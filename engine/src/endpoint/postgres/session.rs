//! A session: simple queries, and `COPY` both ways.

use std::time::Duration;

use crate::endpoint::postgres::config::Config;
use crate::endpoint::postgres::error::{Done, Fault, SqlError, garbled};
use crate::endpoint::postgres::row::Row;
use crate::endpoint::postgres::startup;
use crate::endpoint::postgres::wire::{Wire, message};
use crate::error::{EngineError, Kind};
use crate::limits::{DATABASE_ANSWER_BYTES_MAX, DATABASE_MESSAGE_BYTES_MAX};
use crate::remote::call::Class;
use crate::remote::settings::Patience;

/// Least version: 12.
const VERSION_LEAST: u32 = 120_000;

/// What every session is set to, so that texts mean the same whatever the server's own settings are.
const PINS: &str = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; \
    SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 3; SET search_path = ''; \
    SET bytea_output = 'hex'; SET standard_conforming_strings = on; SET lc_monetary = 'C'; \
    SET xmloption = 'content'; SET client_min_messages = error; SET idle_in_transaction_session_timeout = 0";
/// Time-outs that only newer servers know.
const NEWER_PINS: &str = "SELECT set_config(name, '0', false) FROM pg_catalog.pg_settings \
    WHERE name IN ('idle_session_timeout', 'transaction_timeout')";
/// How long statements and locks are waited for, whatever the role's own settings are: a default of
/// theirs would end a copy, or the building of an index, in its middle.
fn waits(patience: &Patience) -> String {
    let statement = patience.statement.map_or(0, |most| most.as_millis().max(1));
    let lock = patience.lock.as_millis().max(1);
    format!("SET statement_timeout = {statement}; SET lock_timeout = {lock}")
}

/// A session that reads modifies nothing; rows that a policy would hide are an error.
const READER_PINS: &str = "SET default_transaction_read_only = on; SET row_security = off";

/// A session. A call that fails by anything but the server's own refusal leaves it of no use.
#[derive(Debug)]
pub(super) struct Session {
    wire: Wire,
    /// `server_version_num`: 150018 for 15.18.
    pub(super) version: u32,
    /// The server's version in its own words.
    pub(super) version_text: String,
}

/// What a server says during `COPY … TO STDOUT`.
pub(super) enum Copied {
    /// Frames are held.
    More,
    /// The end, with the rows that the server counted.
    End(u64),
}

impl Session {
    /// Connects, and sets the session up.
    pub(super) fn open(config: &Config, reads: bool) -> Done<Self> {
        let (wire, greeting) = startup::connect(config)?;
        let mut session = Self { wire, version: 0, version_text: greeting.version };
        // What is too old may not answer what follows.
        if series(&session.version_text).is_some_and(|series| series < VERSION_LEAST / 10_000) {
            return Err(session.too_old());
        }
        let found = session.query("SHOW server_version_num")?;
        session.version = found.first().and_then(|row| row.number(0)).unwrap_or(0);
        if session.version < VERSION_LEAST {
            return Err(session.too_old());
        }
        session.run(PINS)?;
        session.query(NEWER_PINS)?;
        session.run(&waits(&config.ties.patience))?;
        if reads {
            session.run(READER_PINS)?;
        }
        Ok(session)
    }

    /// Sets how long a lock is waited for.
    pub(super) fn wait_for_locks(&mut self, most: Duration) -> Done<()> {
        self.run(&format!("SET lock_timeout = {}", most.as_millis().max(1))).map(drop)
    }

    fn too_old(&self) -> Fault {
        let message = format!("PostgreSQL {} is too old", self.version_text);
        EngineError::new(Kind::DatabaseVersion, message).hint("PostgreSQL 12 or newer").into()
    }

    /// Runs statements; the last one's tag, such as `INSERT 0 1`.
    pub(super) fn run(&mut self, sql: &str) -> Done<String> {
        self.ask(sql)?;
        let (_, tag) = self.answer()?;
        Ok(tag)
    }

    /// Runs a query.
    pub(super) fn query(&mut self, sql: &str) -> Done<Vec<Row>> {
        self.ask(sql)?;
        let (rows, _) = self.answer()?;
        Ok(rows)
    }

    /// Lets the server read one statement, which is not run; several are refused.
    pub(super) fn parse(&mut self, sql: &str) -> Done<()> {
        if sql.contains('\0') {
            return Err(EngineError::new(Kind::InvalidField, "a statement holds a NUL").into());
        }
        let mut frames = message(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"]);
        frames.extend_from_slice(&message(b'S', &[]));
        self.wire.write(&frames)?;
        self.answer().map(drop)
    }

    /// Sends statements without waiting for their answer.
    pub(super) fn ask(&mut self, sql: &str) -> Done<()> {
        if sql.contains('\0') {
            return Err(EngineError::new(Kind::InvalidField, "a statement holds a NUL").into());
        }
        self.wire.write(&message(b'Q', &[sql.as_bytes(), b"\0"]))
    }

    /// Waits until the server is ready again.
    pub(super) fn answer(&mut self) -> Done<(Vec<Row>, String)> {
        let (mut rows, mut tag) = (Vec::new(), String::new());
        let (mut refused, mut bytes) = (None, 0_usize);
        loop {
            let next = self.wire.next(DATABASE_MESSAGE_BYTES_MAX);
            let (kind, payload) = match (next, refused.is_some()) {
                (Ok(next), _) => next,
                // The server's own words say more than the end of the connection.
                (Err(_), true) => break,
                (Err(error), false) => return Err(error),
            };
            match kind {
                b'D' => {
                    bytes += payload.len();
                    if bytes > DATABASE_ANSWER_BYTES_MAX {
                        return Err(garbled("an answer that is too long"));
                    }
                    rows.push(Row::parse(payload)?);
                }
                b'C' => tag = tag_text(payload),
                b'E' => {
                    let error = SqlError::parse(payload);
                    let fatal = error.fatal;
                    refused = Some(error);
                    if fatal {
                        break;
                    }
                }
                b'Z' => break,
                b'T' | b'I' | b'N' | b'S' | b'A' | b'1' => {}
                // The end of a COPY whose beginning was refused, or that was given up.
                b'c' | b'd' if refused.is_some() => {}
                _ => return Err(garbled("an unexpected message in an answer")),
            }
        }
        match refused {
            Some(error) => Err(Fault::Sql(Box::new(error))),
            None => Ok((rows, tag)),
        }
    }

    /// Begins a `COPY`: `expects` is the message that says so.
    fn begin_copy(&mut self, sql: &str, expects: u8) -> Done<()> {
        self.ask(sql)?;
        loop {
            let (tag, payload) = self.wire.next(DATABASE_MESSAGE_BYTES_MAX)?;
            match tag {
                b'N' | b'S' | b'A' => {}
                b'E' => {
                    let error = SqlError::parse(payload);
                    return Err(self.after_refusal(error));
                }
                tag if tag == expects => return Ok(()),
                _ => return Err(garbled("an unexpected message in place of a COPY")),
            }
        }
    }

    fn after_refusal(&mut self, error: SqlError) -> Fault {
        if error.fatal {
            return Fault::Sql(Box::new(error));
        }
        match self.answer() {
            Ok(_) | Err(Fault::Sql(_)) => Fault::Sql(Box::new(error)),
            Err(lost) => lost,
        }
    }

    /// Begins to read rows.
    pub(super) fn copy_out(&mut self, sql: &str) -> Done<()> {
        self.begin_copy(sql, b'H')
    }

    /// Begins to write rows.
    pub(super) fn copy_in(&mut self, sql: &str) -> Done<()> {
        self.begin_copy(sql, b'G')
    }

    /// The connection, for whoever walks its frames.
    pub(super) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Takes the next message of a `COPY … TO STDOUT` that is no row.
    pub(super) fn copied(&mut self) -> Done<Copied> {
        let (tag, payload) = self.wire.next(DATABASE_MESSAGE_BYTES_MAX)?;
        match tag {
            b'N' | b'S' | b'A' => Ok(Copied::More),
            b'E' => {
                let error = SqlError::parse(payload);
                Err(self.after_refusal(error))
            }
            b'c' => {
                let (_, tag) = self.answer()?;
                counted(&tag).map(Copied::End)
            }
            _ => Err(garbled("an unexpected message among rows")),
        }
    }

    /// Sends bytes of a `COPY … FROM STDIN`, frames and all. An error that the server has told by
    /// now ends it.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Done<()> {
        if self.wire.is_readable() {
            loop {
                let (tag, payload) = self.wire.next(DATABASE_MESSAGE_BYTES_MAX)?;
                match tag {
                    b'E' => {
                        let error = SqlError::parse(payload);
                        return Err(self.after_refusal(error));
                    }
                    b'N' | b'S' | b'A' if self.wire.is_readable() => {}
                    b'N' | b'S' | b'A' => break,
                    _ => return Err(garbled("an unexpected message to rows")),
                }
            }
        }
        match self.wire.write(bytes) {
            // What the server said before it went says more.
            Err(Fault::Wire(lost)) if lost.class == Class::Transient => match self.answer() {
                Err(Fault::Sql(error)) => Err(Fault::Sql(error)),
                _ => Err(Fault::Wire(lost)),
            },
            result => result,
        }
    }

    /// Ends a `COPY … FROM STDIN`: the rows that the server took.
    pub(super) fn copy_done(&mut self) -> Done<u64> {
        self.send(&message(b'c', &[]))?;
        let (_, tag) = self.answer()?;
        counted(&tag)
    }

    /// Gives a `COPY … FROM STDIN` up. Its transaction is lost.
    pub(super) fn copy_fail(&mut self) -> Done<()> {
        self.wire.write(&message(b'f', &[b"given up\0"]))?;
        match self.answer() {
            Ok(_) => Err(garbled("a COPY that was given up was taken")),
            Err(Fault::Sql(error)) if error.state == "57014" => Ok(()),
            Err(other) => Err(other),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Politeness: nobody waits for it.
        drop(self.wire.write(&message(b'X', &[])));
    }
}

/// The first number of a version: 15 of `15.18 (Debian)`.
fn series(version: &str) -> Option<u32> {
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn tag_text(payload: &[u8]) -> String {
    let text = payload.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

fn counted(tag: &str) -> Done<u64> {
    tag.strip_prefix("COPY ")
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| garbled("the server did not count its rows"))
}
