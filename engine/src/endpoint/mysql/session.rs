//! A session: statements and what comes of them.

use std::time::Duration;

use crate::error::{EngineError, Kind};
use crate::limits::MYSQL_RESULT_BYTES_MAX;
use crate::remote::settings::Patience;
use crate::remote::socket::Socket;
use crate::remote::ties::Ties;

use super::config::Config;
use super::cut::Cut;
use super::error::{Asked, Fault};
use super::login::{self, Server};
use super::packet::{FULL, HEAD, Wire};

/// What every session that writes says.
const WRITES: &str = "unique_checks = 1, default_storage_engine = InnoDB";
/// Longest packet that is no row, bytes.
const PACKET_MAX: usize = 1 << 20;
/// Columns of a result at most: more than any server has.
const COLUMNS_MAX: u64 = 8192;
/// The file that `LOAD DATA LOCAL` names, which is none.
pub(super) const FILE: &str = "migration-engine";
const QUERY: u8 = 3;
const SETTINGS: &str = "wait_timeout = 604800, net_read_timeout = 86400, \
     net_write_timeout = 86400, max_error_count = 64, sql_notes = 1, sql_safe_updates = 0, \
     sql_select_limit = DEFAULT, sql_big_selects = 1, autocommit = 1";

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Reads, and can do nothing else.
    Read,
    /// Fills tables.
    Write,
    /// Makes tables.
    Define,
}

/// What came of a statement without a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub affected: u64,
    pub warnings: u16,
    /// The server's own count, such as `Records: 3  Deleted: 0  Skipped: 0  Warnings: 0`.
    pub info: String,
}

/// A row of a small result.
pub(super) type Line = Vec<Option<String>>;

/// A session of its own.
pub(super) struct Session {
    wire: Wire,
    pub server: Server,
    frame: Vec<u8>,
    /// Whether rows of a result are still to be read.
    open: bool,
    lost: bool,
}

/// Gives the next bytes of a load; none at its end.
type Feed<'a> = &'a mut dyn FnMut(&mut Vec<u8>);

impl Session {
    /// Connects, logs in, sets the session up.
    ///
    /// # Errors
    /// As [`login::login`].
    pub(super) fn open(config: &Config, ties: &Ties, role: Role) -> Asked<Self> {
        let socket = Socket::connect(&config.host, config.port, &config.settings, &ties.switch)
            .map_err(|failure| Fault::lost(&failure, "failed to connect to the database"))?;
        let mut wire = Wire::new(Box::new(socket), config.settings.waits.answer);
        let server = login::login(&mut wire, config, role == Role::Write)?;
        wire.patient();
        let mut session = Self { wire, server, frame: Vec::new(), open: false, lost: false };
        session.set_up(role, &ties.patience)?;
        Ok(session)
    }

    fn set_up(&mut self, role: Role, patience: &Patience) -> Asked<()> {
        let zero = if role == Role::Write { "NO_ZERO_IN_DATE,NO_ZERO_DATE," } else { "" };
        let mode = format!(
            "STRICT_ALL_TABLES,{zero}ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO,\
             NO_ENGINE_SUBSTITUTION"
        );
        let own = if self.server.maria {
            let most = patience.statement.map_or(0.0, |most| most.as_secs_f64());
            format!("max_statement_time = {most}, idle_transaction_timeout = 0")
        } else {
            let most = patience.statement.map_or(0, |most| most.as_millis());
            format!("max_execution_time = {most}, information_schema_stats_expiry = 0")
        };
        self.run("SET NAMES utf8mb4")?;
        self.run(&format!(
            "SET SESSION time_zone = '+00:00', sql_mode = '{mode}', character_set_results = NULL, \
             {SETTINGS}, {own}"
        ))?;
        self.wait_for_locks(patience.lock)?;
        self.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
        match role {
            Role::Read => self.run("SET SESSION TRANSACTION READ ONLY")?,
            // A key that is added later is checked against every row: only with this on.
            Role::Define => self.run(&format!("SET SESSION foreign_key_checks = 1, {WRITES}"))?,
            // A writer says for each table whether its keys are looked at.
            Role::Write => self.run(&format!("SET SESSION foreign_key_checks = 0, {WRITES}"))?,
        };
        Ok(())
    }

    /// Sets how long the locks of tables and rows are waited for.
    ///
    /// # Errors
    /// Those of the server.
    pub(super) fn wait_for_locks(&mut self, most: Duration) -> Asked<()> {
        let seconds = most.as_secs().max(1);
        self.run(&format!(
            "SET SESSION lock_wait_timeout = {seconds}, innodb_lock_wait_timeout = {seconds}"
        ))
        .map(drop)
    }

    /// Whether it is of no use any more.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whether a result is not read to its end.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Runs a statement; rows that it gives are dropped.
    ///
    /// # Errors
    /// Those of the server and the wire.
    pub(super) fn run(&mut self, sql: &str) -> Asked<Done> {
        let done = self.ask(sql.as_bytes(), None)?;
        while self.open && self.row(MYSQL_RESULT_BYTES_MAX)?.is_some() {}
        Ok(done)
    }

    /// Runs a statement without a result that is no text by itself.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub(super) fn run_bytes(&mut self, sql: &[u8]) -> Asked<Done> {
        self.ask(sql, None)
    }

    /// The rows of a small result.
    ///
    /// # Errors
    /// As [`Session::run`]; `RowTooLarge` for a result that is not small.
    pub(super) fn lines(&mut self, sql: &str) -> Asked<Vec<Line>> {
        self.ask(sql.as_bytes(), None)?;
        let (mut lines, mut left) = (Vec::new(), MYSQL_RESULT_BYTES_MAX);
        while self.open
            && let Some(row) = self.row(left)?
        {
            let mut cut = Cut(row);
            let mut line = Line::new();
            left = left.saturating_sub(row.len() + size_of::<Line>());
            while !cut.0.is_empty() {
                let cell = cut.cell().ok_or_else(|| Fault::garbled("a row is cut"))?;
                line.push(cell.map(|cell| String::from_utf8_lossy(cell).into_owned()));
            }
            lines.push(line);
        }
        Ok(lines)
    }

    /// The first value of a small result; `None` for NULL and for no row.
    ///
    /// # Errors
    /// As [`Session::lines`].
    pub(super) fn value(&mut self, sql: &str) -> Asked<Option<String>> {
        Ok(self.lines(sql)?.into_iter().next().and_then(|line| line.into_iter().next().flatten()))
    }

    /// Begins a result, which [`Session::row`] reads.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub(super) fn begin(&mut self, sql: &str) -> Asked<()> {
        self.ask(sql.as_bytes(), None).map(|_| ())
    }

    /// Loads a file that is in memory. `feed` appends what comes next, and nothing at the end.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub(super) fn load(&mut self, sql: &str, feed: Feed<'_>) -> Asked<Done> {
        self.ask(sql.as_bytes(), Some(feed))
    }

    fn ask(&mut self, sql: &[u8], feed: Option<Feed<'_>>) -> Asked<Done> {
        if self.lost {
            let message = "the connection to the database was lost before";
            return Err(EngineError::new(Kind::RemoteUnavailable, message).into());
        }
        if self.open {
            return Err(EngineError::new(Kind::Internal, "the session is not at rest").into());
        }
        let asked = self.exchange(sql, feed);
        self.settled(asked)
    }

    /// Remembers whether an error cost the connection.
    fn settled<T>(&mut self, asked: Asked<T>) -> Asked<T> {
        asked.inspect_err(|fault| {
            self.lost |= fault.is_lost();
            self.open = false;
        })
    }

    fn exchange(&mut self, sql: &[u8], feed: Option<Feed<'_>>) -> Asked<Done> {
        self.wire.anew();
        self.frame.clear();
        self.frame.extend_from_slice(&[0, 0, 0, 0, QUERY]);
        self.frame.extend_from_slice(sql);
        let mut frame = std::mem::take(&mut self.frame);
        self.wire.send(&mut frame)?;
        self.frame = frame;
        let packet = self.wire.packet(PACKET_MAX)?;
        match (packet.first(), feed) {
            (Some(0xff), _) => Err(refusal(packet)),
            (Some(0xfb), Some(feed)) => {
                if packet.get(1..) != Some(FILE.as_bytes()) {
                    return Err(Fault::garbled("the server asks for a file that nobody named"));
                }
                self.give(feed)
            }
            (Some(0xfb), None) => {
                Err(Fault::garbled("the server asks for a file of its own accord"))
            }
            (_, Some(_)) => {
                Err(Fault::garbled("the server took no rows for a statement that gives some"))
            }
            (Some(0), None) => done(packet),
            _ => {
                let count = Cut(packet).lenenc().filter(|count| *count <= COLUMNS_MAX);
                self.definitions(count.ok_or_else(|| Fault::garbled("a result is cut"))?)
            }
        }
    }

    fn definitions(&mut self, count: u64) -> Asked<Done> {
        for _ in 0..count {
            let packet = self.wire.packet(PACKET_MAX)?;
            if packet.first() == Some(&0xff) {
                return Err(refusal(packet));
            }
        }
        if !self.server.deprecates_eof && !is_end(self.wire.packet(PACKET_MAX)?) {
            return Err(Fault::garbled("a result has more columns than it said"));
        }
        self.open = true;
        Ok(Done::default())
    }

    fn give(&mut self, feed: Feed<'_>) -> Asked<Done> {
        let mut frame = std::mem::take(&mut self.frame);
        loop {
            frame.clear();
            frame.extend_from_slice(&[0; HEAD]);
            feed(&mut frame);
            self.wire.send(&mut frame)?;
            if frame.len() == HEAD {
                break;
            }
        }
        self.frame = frame;
        let packet = self.wire.packet(PACKET_MAX)?;
        match packet.first() {
            Some(0xff) => Err(refusal(packet)),
            Some(0) => done(packet),
            _ => Err(Fault::garbled("a load ends in no known way")),
        }
    }

    /// The next row of a result, as text values one after the other; `None` at its end.
    ///
    /// # Errors
    /// As [`Session::run`]; `RowTooLarge` for a row of more than `bound` bytes.
    #[inline]
    pub(super) fn row(&mut self, bound: usize) -> Asked<Option<&[u8]>> {
        // The end has its own bound: a row may be refused as too long, the end never is.
        let packet = match self.wire.packet(bound.max(PACKET_MAX)) {
            Ok(packet) => packet,
            Err(fault) => {
                (self.lost, self.open) = (true, false);
                return Err(fault);
            }
        };
        match packet.first() {
            // A first value of 16 MiB and more has the same first byte as the end.
            Some(0xfe) if packet.len() < FULL => {
                self.open = false;
                Ok(None)
            }
            Some(0xff) => {
                let fault = refusal(packet);
                self.open = false;
                self.lost |= fault.is_lost();
                Err(fault)
            }
            Some(_) => Ok(Some(packet)),
            None => {
                (self.lost, self.open) = (true, false);
                Err(Fault::garbled("a row is empty"))
            }
        }
    }

    /// What the server warned of in the last statement: number and text.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub(super) fn warnings(&mut self) -> Asked<Vec<(u16, String)>> {
        let lines = self.lines("SHOW WARNINGS")?;
        let warning = |line: Line| {
            let mut parts = line.into_iter().flatten();
            let number = parts.nth(1)?.parse().ok()?;
            Some((number, parts.next().unwrap_or_default()))
        };
        Ok(lines.into_iter().filter_map(warning).collect())
    }
}

fn is_end(packet: &[u8]) -> bool {
    packet.first() == Some(&0xfe) && packet.len() < 9
}

/// What an OK packet says.
fn done(packet: &[u8]) -> Asked<Done> {
    let parse = |packet| {
        let mut cut = Cut(packet);
        cut.u8()?;
        let affected = cut.lenenc()?;
        cut.lenenc()?;
        cut.uint(2)?;
        let warnings = cut.uint(2)? as u16;
        let rest = cut.0;
        let info = cut.sized().unwrap_or(rest);
        Some(Done { affected, warnings, info: String::from_utf8_lossy(info).into_owned() })
    };
    parse(packet).ok_or_else(|| Fault::garbled("an answer is cut"))
}

/// What an error packet says.
pub(super) fn refusal(packet: &[u8]) -> Fault {
    let mut cut = Cut(packet);
    cut.u8();
    let Some(number) = cut.uint(2) else { return Fault::garbled("a refusal is cut") };
    if cut.0.first() == Some(&b'#') {
        cut.bytes(6);
    }
    Fault::refused((number as u16).max(1), cut.0)
}

#[cfg(test)]
mod tests {
    use super::super::packet::tests::{packet, wire};
    use super::*;

    fn session(said: &[&[u8]]) -> Session {
        let numbered = said.iter().zip(1u8..).flat_map(|(said, at)| packet(at, said)).collect();
        let server = Server { deprecates_eof: true, ..Server::default() };
        let (wire, _) = wire(numbered, 5);
        Session { wire, server, frame: Vec::new(), open: false, lost: false }
    }

    fn kind<T: std::fmt::Debug>(asked: Asked<T>) -> Kind {
        asked.unwrap_err().error.kind()
    }

    #[test]
    fn files_that_nobody_offered_are_not_sent() {
        let mut asked = session(&[b"\xfb/etc/passwd"]);
        assert_eq!(kind(asked.run("SELECT 1")), Kind::RemoteAnswer);
        assert!(asked.is_lost());
        // Whoever asks on is told what to do about it, and not that the engine is broken.
        assert_eq!(kind(asked.run("SELECT 1")), Kind::RemoteUnavailable);
        let mut other = session(&[b"\xfb/etc/passwd"]);
        assert_eq!(kind(other.load("LOAD", &mut |_| {})), Kind::RemoteAnswer);
        assert_eq!(
            kind(session(&[b"\0\0\0\0\0\0\0"]).load("LOAD", &mut |_| {})),
            Kind::RemoteAnswer
        );
    }

    #[test]
    fn a_first_value_of_16_mib_is_no_end() {
        let mut row = vec![0xfe];
        row.extend_from_slice(&((FULL + 1) as u64).to_le_bytes());
        row.resize(9 + FULL + 1, b'x');
        let said = [
            packet(1, b"\x01"),
            packet(2, b"definition"),
            packet(3, &row[..FULL]),
            packet(4, &row[FULL..]),
            packet(5, b"\xfe\0\0\x02\0\0\0"),
        ];
        let (wire, _) = wire(said.concat(), 1 << 16);
        let server = Server { deprecates_eof: true, ..Server::default() };
        let mut session = Session { wire, server, frame: Vec::new(), open: false, lost: false };
        session.begin("SELECT").unwrap();
        let got = session.row(1 << 30).unwrap().unwrap();
        assert_eq!(Cut(got).cell().unwrap().unwrap().len(), FULL + 1);
        assert!(session.row(1 << 30).unwrap().is_none() && !session.is_open());
    }

    #[test]
    fn hostile_answers_are_errors() {
        let hostile: &[&[&[u8]]] = &[
            &[b""],
            &[b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"],
            &[b"\xfc\xff"],
            &[b"\0"],
            &[b"\xff"],
            &[b"\x01", b"d", b""],
            &[b"\x01", b"d", b"\x05ab"],
            &[b"\x01", b"d", b"\xfd\xff\xff\xff"],
        ];
        for said in hostile {
            let found = kind(session(said).lines("SELECT 1"));
            assert_eq!(found, Kind::RemoteAnswer, "{said:?}");
        }
        let mut refused = session(&[b"\x01", b"d", b"\xff\xbd\x04#40001deadlock"]);
        assert_eq!(kind(refused.lines("SELECT 1")), Kind::Deadlock);
        assert!(!refused.is_lost());
    }
}
