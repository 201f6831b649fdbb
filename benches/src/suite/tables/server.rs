//! The servers, asked by their own clients.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Engine;
use crate::machine;
use crate::suite::Setting;

/// Ticks of the kernel's processor time in a second.
const TICKS_PER_S: u64 = 100;

/// PostgreSQL and MariaDB of `TEST_PG_*` and `TEST_MARIA_*`.
#[derive(Debug)]
pub struct Servers {
    /// `postgres://USER@HOST:PORT`.
    pub postgres: String,
    /// `mysql://USER@HOST:PORT`.
    pub maria: String,
    /// The words by which MariaDB's programs find it.
    pub maria_words: String,
    /// Where data that are made once stay: as long as the servers, where they are ours.
    pub keep: PathBuf,
    /// Whether the servers are those of services.sh, and nobody else's.
    pub ours: bool,
    pid_files: Vec<PathBuf>,
}

impl Servers {
    /// The servers that the environment names.
    ///
    /// # Errors
    /// What is missing.
    pub fn find(setting: &Setting) -> io::Result<Self> {
        let variable = |name: &str| {
            std::env::var(name).map_err(|_| io::Error::other(format!("{name} is not set")))
        };
        let base = |url: String| -> io::Result<String> {
            let at = url.find("://").map_or(0, |at| at + 3);
            let end = url[at..].find('/').map_or(url.len(), |end| at + end);
            Ok(url[..end].to_owned())
        };
        let (postgres, maria) =
            (base(variable("TEST_PG_URL")?)?, base(variable("TEST_MARIA_URL")?)?);
        let ours = std::env::var_os("TEST_SERVICES_DIR").map(PathBuf::from);
        let pids = ["TEST_PG_PID_FILE", "TEST_MARIA_PID_FILE"];
        let servers = Self {
            maria_words: words(&maria).ok_or_else(|| io::Error::other("TEST_MARIA_URL is odd"))?,
            postgres,
            maria,
            keep: ours.as_ref().map_or(setting.scratch.clone(), |dir| dir.join("benches")),
            ours: ours.is_some(),
            pid_files: pids.into_iter().filter_map(std::env::var_os).map(PathBuf::from).collect(),
        };
        fs::create_dir_all(&servers.keep)?;
        Ok(servers)
    }

    /// Runs SQL and answers what it prints, columns between tabs.
    ///
    /// # Errors
    /// The last line of what the client says.
    pub fn sql(&self, engine: Engine, database: &str, sql: &str) -> io::Result<String> {
        let mut client = match engine {
            Engine::Postgres => {
                let mut psql = Command::new("psql");
                psql.args(["-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d"]);
                psql.arg(format!("{}/{database}", self.postgres)).arg("-c").arg(sql);
                psql
            }
            _ => {
                let mut mariadb = Command::new("mariadb");
                mariadb.args(self.maria_words.split(' ')).args(["-BN", "-e", sql, database]);
                mariadb
            }
        };
        let ran = client.env("PGSSLMODE", "disable").stdin(Stdio::null()).output()?;
        if !ran.status.success() {
            let said = String::from_utf8_lossy(&ran.stderr);
            let last = said.lines().next_back().unwrap_or_default().to_owned();
            return Err(io::Error::other(last));
        }
        Ok(String::from_utf8_lossy(&ran.stdout).trim_end().to_owned())
    }

    /// Makes a database that holds nothing.
    ///
    /// # Errors
    /// What the server answers.
    pub fn empty(&self, engine: Engine, database: &str) -> io::Result<()> {
        if engine == Engine::Postgres {
            let drop = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
            self.sql(engine, "postgres", &drop)?;
            let make = format!("CREATE DATABASE {database} TEMPLATE template0");
            return self.sql(engine, "postgres", &make).map(drop_text);
        }
        let make = format!(
            "DROP DATABASE IF EXISTS {database}; \
             CREATE DATABASE {database} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        );
        self.sql(engine, "", &make).map(drop_text)
    }

    /// Nothing of an earlier run is left to write; servers of ours forget their log of changes.
    ///
    /// # Errors
    /// What a server answers.
    pub fn settle(&self) -> io::Result<()> {
        self.sql(Engine::Postgres, "postgres", "CHECKPOINT")?;
        if self.ours {
            self.sql(Engine::Maria, "", "RESET MASTER")?;
        }
        Ok(())
    }

    /// The versions and what matters of the settings.
    ///
    /// # Errors
    /// What a server answers.
    pub fn describe(&self) -> io::Result<String> {
        let postgres = self.sql(
            Engine::Postgres,
            "postgres",
            "SELECT format('PostgreSQL %s (shared_buffers %s, wal_level %s, max_wal_size %s)', \
             current_setting('server_version'), current_setting('shared_buffers'), \
             current_setting('wal_level'), current_setting('max_wal_size'))",
        )?;
        let maria = self.sql(
            Engine::Maria,
            "",
            "SELECT concat('MariaDB ', version(), ' (innodb_buffer_pool_size ', \
             @@innodb_buffer_pool_size DIV 1048576, ' MiB, log_bin ', @@log_bin, ')')",
        )?;
        let sqlite = machine::output("sqlite3", &["--version"]);
        let sqlite = sqlite.split(' ').next().unwrap_or_default().to_owned();
        Ok(format!("{postgres}, {maria}, sqlite3 {sqlite}, all on this machine, without TLS"))
    }

    /// Processor time that both servers have used so far, with what their processes that ended had.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let pids = self.pid_files.iter().filter_map(|file| {
            fs::read_to_string(file).ok()?.split_whitespace().next()?.parse::<u32>().ok()
        });
        let roots: Vec<u32> = pids.collect();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let times = processes.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse::<u32>().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let fields: Vec<u64> = stat
                .rsplit(')')
                .next()?
                .split(' ')
                .map(|field| field.parse().unwrap_or(0))
                .collect();
            // After the name: a space, the state, the parent, and the 12th to 15th are times.
            let parent = *fields.get(2)? as u32;
            let own = fields.get(12..14)?.iter().sum::<u64>();
            let ended = fields.get(14..16)?.iter().sum::<u64>();
            match (roots.contains(&pid), roots.contains(&parent)) {
                (true, _) => Some(own + ended),
                (_, true) => Some(own),
                _ => None,
            }
        });
        Duration::from_millis(times.sum::<u64>() * 1000 / TICKS_PER_S)
    }
}

/// Processor time that this machine has used so far.
#[must_use]
pub fn busy() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let fields = line.split_whitespace().skip(1).map(|field| field.parse::<u64>().unwrap_or(0));
    // user, nice, system, idle, iowait, irq, softirq; what follows is within these, or the host's.
    let times = fields.take(7).enumerate().filter(|(at, _)| ![3, 4].contains(at));
    Duration::from_millis(times.map(|(_, ticks)| ticks).sum::<u64>() * 1000 / TICKS_PER_S)
}

fn words(url: &str) -> Option<String> {
    let (user, place) = url.split_once("://")?.1.split_once('@')?;
    let (host, port) = place.rsplit_once(':')?;
    let form = "--default-character-set=utf8mb4";
    Some(format!("--no-defaults -h{host} -P{port} -u{user} {form}"))
}

fn drop_text(_: String) {}
