//! Objects sent to, fetched from and listed in a real S3 server on the loopback.
//!
//! The server is the one that `TEST_GARAGE_*` names. It shares the machine's cores with whoever
//! talks to it, so processor time tells more than wall time. What is fetched and listed stays in its
//! bucket from run to run; what is sent is removed. The server keeps equal content once and content
//! that is fetched is the content that is sent: nobody waits for its disk.

mod ground;
mod peers;
mod server;

use std::io;
use std::path::{Path, PathBuf};

use migration_fixtures::SmallFiles;

use self::ground::{Down, List, Up};
use self::peers::{Task, contenders, listers};
use self::server::Server;
use super::Setting;
use crate::race::{Row, rounds};
use crate::table::{self, Report};

const SMALL_COUNT: u64 = 5_000;
const SMALL_BYTES: u64 = 100 << 10;
const MEDIUM_COUNT: u64 = 200;
const MEDIUM_BYTES: u64 = 10 << 20;
const FAN_OUT: u64 = 100;

/// What the S3 suites measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Sizes {
    /// Bytes of the object of s3_large.
    #[arg(long, default_value_t = 1 << 30)]
    pub object_bytes: u64,
    /// Keys that s3_list lists; made when they are not there.
    #[arg(long, default_value_t = 100_000)]
    pub keys: u64,
}

#[cfg(test)]
impl Default for Sizes {
    fn default() -> Self {
        Self { object_bytes: 1, keys: 1 }
    }
}

/// Races transfers of many small objects.
///
/// # Errors
/// What the system or the server answers about the data.
pub fn small(setting: &Setting) -> io::Result<Report> {
    trees(setting, "small", SMALL_COUNT, SMALL_BYTES)
}

/// Races transfers of objects of some megabytes.
///
/// # Errors
/// What the system or the server answers about the data.
pub fn medium(setting: &Setting) -> io::Result<Report> {
    trees(setting, "medium", MEDIUM_COUNT, MEDIUM_BYTES)
}

fn trees(setting: &Setting, name: &str, count: u64, each: u64) -> io::Result<Report> {
    let count = setting.scaled(count);
    let source = setting.scratch.join(name);
    let sizes = migration_fixtures::Sizes::Fixed(each);
    let bytes = SmallFiles { count, sizes, fan_out: FAN_OUT, seed: 1 }.build(&source)?;
    let load = Load { source, tree: true, bytes, count };
    let report = both_ways(setting, &format!("S3: {count} objects of {each} bytes"), &load);
    std::fs::remove_dir_all(&load.source)?;
    report
}

/// Races transfers of one large object.
///
/// # Errors
/// What the system or the server answers about the data.
pub fn large(setting: &Setting) -> io::Result<Report> {
    let bytes = setting.scaled(setting.s3.object_bytes);
    let source = setting.scratch.join("object");
    migration_fixtures::large_file(&source, bytes, 1)?;
    let load = Load { source, tree: false, bytes, count: 1 };
    let report = both_ways(setting, &format!("S3: one object of {bytes} bytes"), &load);
    std::fs::remove_file(&load.source)?;
    report
}

/// What is moved.
struct Load {
    source: PathBuf,
    tree: bool,
    bytes: u64,
    count: u64,
}

impl Load {
    /// The key of it under `prefix`: of a tree, with a slash at the end.
    fn key(&self, prefix: &str) -> String {
        let end = if self.tree { "/" } else { "" };
        format!("{prefix}/{}-of-{}{end}", self.count, self.bytes)
    }

    fn table(&self, rows: &[Row]) -> String {
        table::objects(rows, self.bytes, self.count)
    }
}

fn both_ways(setting: &Setting, title: &str, load: &Load) -> io::Result<Report> {
    let server = match Server::find(setting) {
        Ok(server) => server,
        Err(why) => return Ok(no_server(title, &why)),
    };
    let key = load.key("up");
    let up = Task { server: &server, key: &key, place: &load.source, tree: load.tree };
    let ground = Up { setting, task: &up, bytes: load.bytes };
    let sent = rounds(setting, &contenders(setting, &up, peers::Way::Up)?, &ground)?;
    server.judge(&["clear"], "up/", None)?;

    let (key, target) = (load.key("down"), setting.scratch.join("fetched"));
    server.keep(&key, &load.source)?;
    let down = Task { server: &server, key: &key, place: &target, tree: load.tree };
    let ground = Down { setting, task: &down, source: &load.source, bytes: load.bytes };
    let fetched = rounds(setting, &contenders(setting, &down, peers::Way::Down)?, &ground)?;
    clear_target(&target)?;
    let markdown =
        format!("## {title}\n\nUp:\n\n{}\nDown:\n\n{}", load.table(&sent), load.table(&fetched));
    let sound = sent.iter().chain(&fetched).all(Row::is_sound);
    Ok(Report { markdown, sound })
}

/// Races listings of many keys: their number and the sum of their sizes.
///
/// # Errors
/// What the system or the server answers about the data.
pub fn list(setting: &Setting) -> io::Result<Report> {
    let keys = setting.scaled(setting.s3.keys);
    let title = format!("S3: {keys} keys listed");
    let server = match Server::find(setting) {
        Ok(server) => server,
        Err(why) => return Ok(no_server(&title, &why)),
    };
    let prefix = format!("list-{keys}/");
    let bytes = server.keys(&prefix, keys)?;
    let output = setting.scratch.join("listing");
    let task = Task { server: &server, key: &prefix, place: &output, tree: true };
    let ground = List { output: &output, keys, bytes };
    let rows = rounds(setting, &listers(setting, &task)?, &ground)?;
    let markdown = format!("## {title}\n\n{}", table::objects(&rows, 0, keys));
    Ok(Report { markdown, sound: rows.iter().all(Row::is_sound) })
}

fn no_server(title: &str, why: &io::Error) -> Report {
    let markdown = format!("## {title}\n\nNot measured: {}\n", table::escaped(&why.to_string()));
    Report { markdown, sound: false }
}

/// Removes what was fetched, if it is there.
fn clear_target(target: &Path) -> io::Result<()> {
    let removed = match target.is_dir() {
        true => std::fs::remove_dir_all(target),
        false => std::fs::remove_file(target),
    };
    removed.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}
