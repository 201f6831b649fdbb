//! What comes before and after each run, and is not timed.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use super::Engine;
use super::data::Data;
use super::server::{Servers, busy};
use crate::measure::{Around, Sample};
use crate::race::Ground;
use crate::tool::Contender;

/// The database that is written.
pub const TARGET: &str = "bench_target";

/// From one database to another: the target is new before, and holds what the source holds after.
pub struct Between<'a> {
    servers: &'a Servers,
    data: &'a Data,
    from: Engine,
    to: Engine,
    before: Cell<(Duration, Duration)>,
}

impl<'a> Between<'a> {
    /// The ground between two engines.
    #[must_use]
    pub fn new(servers: &'a Servers, data: &'a Data, (from, to): (Engine, Engine)) -> Self {
        Self { servers, data, from, to, before: Cell::default() }
    }

    /// What stands in the target is what stands in the source.
    fn judge(&self) -> io::Result<()> {
        let found = self.servers.sql(self.to, TARGET, &self.data.shape.digest(self.to))?;
        match found == self.data.digest {
            true => Ok(()),
            false => {
                let wanted = &self.data.digest;
                let text = format!("wrong copy: {found} where {wanted} is wanted");
                Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    text.replace('\t', " rows, digest "),
                ))
            }
        }
    }
}

impl Ground for Between<'_> {
    fn prepare(&self) -> io::Result<()> {
        self.servers.empty(self.to, TARGET)?;
        self.servers.settle()?;
        if self.from == Engine::Sqlite {
            io::copy(&mut std::fs::File::open(&self.data.file)?, &mut io::sink())?;
        } else {
            // Every page of the source is in memory.
            let column = &self.data.shape.columns.last().map_or("*", |(name, _)| name.as_str());
            let read = format!("SELECT count({column}) FROM {}", self.data.shape.table);
            self.servers.sql(self.from, &self.data.database, &read)?;
        }
        self.before.set((self.servers.cpu(), busy()));
        Ok(())
    }

    fn finish(&self, _: &Contender, mut sample: Sample, _: bool) -> io::Result<Sample> {
        let (servers, all) = self.before.get();
        let servers = self.servers.cpu().saturating_sub(servers);
        let others = busy().saturating_sub(all).saturating_sub(servers + sample.cpu);
        sample.around = Some(Around { servers, others });
        self.judge()?;
        Ok(sample)
    }
}

impl Servers {
    /// Removes what the races wrote.
    ///
    /// # Errors
    /// What the server answers.
    pub fn drop_target(&self, engine: Engine) -> io::Result<()> {
        let database = if engine == Engine::Postgres { "postgres" } else { "" };
        self.sql(engine, database, &format!("DROP DATABASE IF EXISTS {TARGET}")).map(drop)
    }
}
