//! Everyone who takes part: pipes of the servers' own clients, programs made for the task, libraries
//! under Python, and the engine.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::process::{Command, Stdio};

use serde_json::json;

use super::Engine;
use super::data::{Data, copy_out, load_data};
use super::ground::TARGET;
use super::server::Servers;
use super::shape::Type;
use crate::suite::{Setting, engine};
use crate::tool::Contender;

const LIBRARIES: &str = include_str!("../../../peers/rows.py");

/// Statements of so many bytes are what mariadb-dump writes.
const INSERT_BYTES: u64 = 1 << 20;

/// A peer that is a line of bash, with the programs and modules without which it is absent.
struct Peer {
    name: &'static str,
    needs: &'static [&'static str],
    modules: &'static [&'static str],
    script: &'static str,
}

const fn peer(name: &'static str, needs: &'static [&'static str], script: &'static str) -> Peer {
    Peer { name, needs, modules: &[], script }
}

const PG_PG: &[Peer] = &[
    peer(
        "psql COPY binary | psql COPY binary, then the key",
        &["psql"],
        "psql -Xq -d $PG_TO -c \"$MAKE\"
        psql -Xq -d $PG_FROM -c \"COPY $T TO STDOUT (FORMAT binary)\" |
          psql -Xq -d $PG_TO -c \"COPY $T FROM STDIN (FORMAT binary)\"
        psql -Xq -d $PG_TO -c \"$KEY\"",
    ),
    peer(
        "psql COPY binary | psql COPY binary, the key first",
        &["psql"],
        "psql -Xq -d $PG_TO -c \"$MAKE_KEYED\"
        psql -Xq -d $PG_FROM -c \"COPY $T TO STDOUT (FORMAT binary)\" |
          psql -Xq -d $PG_TO -c \"COPY $T FROM STDIN (FORMAT binary)\"",
    ),
    peer(
        "pg_dump | psql",
        &["pg_dump", "psql"],
        "pg_dump -t $T -d $PG_FROM | psql -Xq -v ON_ERROR_STOP=1 -d $PG_TO",
    ),
    peer(
        "pgcopydb clone --table-jobs 4 --index-jobs 2",
        &["pgcopydb"],
        "rm -rf $SCRATCH/pgcopydb
        pgcopydb clone --source \"$PG_FROM\" --target \"$PG_TO\" --dir $SCRATCH/pgcopydb \
          --table-jobs 4 --index-jobs 2 --no-owner --no-acl",
    ),
];

const MYSQL_PG: &[Peer] = &[
    peer(
        "mariadb --quick --batch | psql COPY, then the key",
        &["mariadb", "psql"],
        "psql -Xq -d $PG_TO -c \"$MAKE\"
        mariadb $MY --quick --batch --skip-column-names -e \"SELECT $COLUMNS FROM $T\" $FROM |
          psql -Xq -d $PG_TO -c \"COPY $T FROM STDIN (NULL 'NULL')\"
        psql -Xq -d $PG_TO -c \"$KEY\"",
    ),
    peer(
        "mariadb --quick --batch | psql COPY, the key first",
        &["mariadb", "psql"],
        "psql -Xq -d $PG_TO -c \"$MAKE_KEYED\"
        mariadb $MY --quick --batch --skip-column-names -e \"SELECT $COLUMNS FROM $T\" $FROM |
          psql -Xq -d $PG_TO -c \"COPY $T FROM STDIN (NULL 'NULL')\"",
    ),
    peer("pgloader", &["pgloader"], PGLOADER),
    Peer {
        name: "ConnectorX, 4 partitions, to Arrow | COPY csv, then the key",
        needs: &["psql"],
        modules: &["connectorx", "pyarrow", "psycopg2"],
        script: "psql -Xq -d $PG_TO -c \"$MAKE\"
        $PYTHON $SCRATCH/rows.py connectorx
        psql -Xq -d $PG_TO -c \"$KEY\"",
    },
    Peer {
        name: "dlt, ConnectorX backend, csv, without a key",
        needs: &[],
        modules: &["connectorx", "dlt", "psycopg2"],
        script: "rm -rf $SCRATCH/dlt
        $PYTHON $SCRATCH/rows.py dlt",
    },
];

const SQLITE_PG: &[Peer] = &[
    peer("pgloader", &["pgloader"], PGLOADER),
    peer(
        "sqlite3 -csv | psql COPY csv, then the key",
        &["sqlite3", "psql"],
        "psql -Xq -d $PG_TO -c \"$MAKE\"
        sqlite3 -csv -nullvalue NULL $FILE \"SELECT $COLUMNS FROM $T\" |
          psql -Xq -d $PG_TO -c \"COPY $T FROM STDIN (FORMAT csv, NULL 'NULL')\"
        psql -Xq -d $PG_TO -c \"$KEY\"",
    ),
];

const PG_MYSQL: &[Peer] = &[
    peer(
        "pg_dump --inserts, 1 MiB each | mariadb",
        &["pg_dump", "mariadb"],
        "mariadb $MY -e \"$MAKE_KEYED\" $TO
        pg_dump --data-only --inserts --rows-per-insert=$INSERT_ROWS -t $T -d $PG_FROM |
          sed -e '/^SET /d' -e '/^SELECT pg_catalog/d' -e '/^\\\\/d' \
            -e 's/^INSERT INTO public\\./INSERT INTO /' $SED_BYTES |
          mariadb $MY --init-command=\"SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES', \
            unique_checks = 0, foreign_key_checks = 0\" $TO",
    ),
    peer(
        "psql COPY | mariadb LOAD DATA LOCAL",
        &["psql", "mariadb"],
        "mariadb $MY -e \"$MAKE_KEYED\" $TO
        psql -Xq -d $PG_FROM -c \"$COPY_OUT\" |
          mariadb $MY --local-infile=1 -e \"SET unique_checks = 0; $LOAD_DATA\" $TO",
    ),
];

const MYSQL_MYSQL: &[Peer] = &[
    peer(
        "mariadb-dump --single-transaction --quick | mariadb",
        &["mariadb-dump", "mariadb"],
        "mariadb-dump $MY --single-transaction --quick --hex-blob $FROM $T | mariadb $MY $TO",
    ),
    peer(
        "mydumper, then myloader, 4 threads each",
        &["mydumper", "myloader"],
        "rm -rf $SCRATCH/mydumper
        server=(--host=$MY_HOST --port=$MY_PORT --user=$MY_USER)
        mydumper ${server[@]} --database=$FROM --outputdir=$SCRATCH/mydumper --threads=4 \
          --rows=$SPAN_ROWS --trx-consistency-only --verbose=1
        myloader ${server[@]} --database=$TO --directory=$SCRATCH/mydumper --threads=4 \
          --verbose=1",
    ),
];

/// It ends well whatever happens: the digest tells.
const PGLOADER: &str = "rm -rf $SCRATCH/pgloader
    pgloader --root-dir $SCRATCH/pgloader $SCRATCH/pgloader.load";

/// Everyone who copies between two engines.
///
/// # Errors
/// What the system answers.
pub fn contenders(
    setting: &Setting,
    servers: &Servers,
    data: &Data,
    (from, to): (Engine, Engine),
) -> io::Result<Vec<Contender>> {
    let peers = match (from, to) {
        (Engine::Postgres, Engine::Postgres) => PG_PG,
        (Engine::Maria, Engine::Postgres) => MYSQL_PG,
        (Engine::Sqlite, _) => SQLITE_PG,
        (Engine::Postgres, _) => PG_MYSQL,
        (Engine::Maria, _) => MYSQL_MYSQL,
    };
    fs::write(setting.scratch.join("rows.py"), LIBRARIES)?;
    fs::write(setting.scratch.join("pgloader.load"), pgloader(servers, data, from))?;
    let variables = variables(setting, servers, data, (from, to));
    let mut contenders: Vec<_> =
        peers.iter().map(|peer| peer.contender(setting, &variables)).collect();
    let (source, target) =
        (location(servers, data, from), format!("{}/{TARGET}", base(servers, to)));
    let command = json!({ "op": "tables", "src": source, "dst": target });
    let mut one = command.clone();
    one["parallel_spans"] = 1.into();
    let mut proven = command.clone();
    proven["verify"] = "readback".into();
    for (name, command) in
        [("tables", command), ("tables, one span at once", one), ("tables, read back", proven)]
    {
        contenders.push(Contender { copies: true, ..engine::contender(setting, name, &command)? });
    }
    Ok(contenders)
}

impl Peer {
    fn contender(&self, setting: &Setting, variables: &[(&str, String)]) -> Contender {
        let there = self.needs.iter().all(|program| setting.tools.peer(program).is_some())
            && self.modules.iter().all(|module| imports(setting, module));
        let command = there.then(|| {
            let mut words = vec![OsString::from("env")];
            words.extend(variables.iter().map(|(name, value)| format!("{name}={value}").into()));
            words.extend(["bash", "-euo", "pipefail", "-c", self.script].map(OsString::from));
            words
        });
        let name = self.name.to_owned();
        Contender { name, ours: false, command, copies: true, unpack: None }
    }
}

fn imports(setting: &Setting, module: &str) -> bool {
    let python = setting.tools.python();
    python.is_some_and(|python| {
        let mut import = Command::new(python);
        import.args(["-c", &format!("import {module}")]).stderr(Stdio::null());
        import.status().is_ok_and(|status| status.success())
    })
}

/// What the scripts find in their environment.
fn variables(
    setting: &Setting,
    servers: &Servers,
    data: &Data,
    (from, to): (Engine, Engine),
) -> Vec<(&'static str, String)> {
    let shape = &data.shape;
    let scratch = setting.scratch.to_string_lossy().into_owned();
    let python = setting.tools.python().unwrap_or_default();
    let word = |option: &str| {
        let mut words = servers.maria_words.split(' ');
        words.find_map(|word| word.strip_prefix(option)).unwrap_or_default().to_owned()
    };
    let row_bytes = if shape.table == "wide" { 2200 } else { 160 };
    let bytes = shape.columns.iter().any(|(_, kind)| *kind == Type::Bytes);
    let sed_bytes = if bytes { r"-e s/'\\x\([0-9a-f]*\)'/0x\1/g" } else { "" };
    vec![
        ("PGSSLMODE", "disable".to_owned()),
        ("PG_FROM", format!("{}/{}", servers.postgres, data.database)),
        ("PG_TO", format!("{}/{TARGET}", servers.postgres)),
        ("MY", servers.maria_words.clone()),
        ("MY_HOST", word("-h")),
        ("MY_PORT", word("-P")),
        ("MY_USER", word("-u")),
        ("MY_FROM", format!("{}/{}", servers.maria, data.database)),
        ("FROM", data.database.clone()),
        ("TO", TARGET.to_owned()),
        ("FILE", data.file.to_string_lossy().into_owned()),
        ("T", shape.table.to_owned()),
        ("MAKE", shape.create(to, shape.table)),
        ("MAKE_KEYED", shape.create_keyed(to, shape.table)),
        ("KEY", format!("ALTER TABLE {} ADD PRIMARY KEY ({})", shape.table, shape.key)),
        ("COLUMNS", shape.list(|name, kind| printed(from, name, kind))),
        ("COPY_OUT", copy_out(shape)),
        ("LOAD_DATA", load_data(shape)),
        ("INSERT_ROWS", (INSERT_BYTES / row_bytes).to_string()),
        ("SED_BYTES", sed_bytes.to_owned()),
        ("SPAN_ROWS", (shape.rows / 8).max(1).to_string()),
        ("PYTHON", python.to_string_lossy().into_owned()),
        ("PARTITION", shape.columns[0].0.clone()),
        ("SCRATCH", scratch),
    ]
}

/// What a client selects so that PostgreSQL's COPY takes what it prints.
fn printed(from: Engine, name: &str, kind: Type) -> String {
    match (kind, from) {
        (Type::Bytes, Engine::Maria) => format!("concat('\\\\x', hex({name})) AS {name}"),
        (Type::Bytes, _) => format!("'\\x' || hex({name})"),
        _ => name.to_owned(),
    }
}

fn base(servers: &Servers, engine: Engine) -> &str {
    if engine == Engine::Postgres { &servers.postgres } else { &servers.maria }
}

fn location(servers: &Servers, data: &Data, engine: Engine) -> String {
    match engine {
        Engine::Sqlite => format!("sqlite://{}", data.file.display()),
        _ => format!("{}/{}", base(servers, engine), data.database),
    }
}

/// What pgloader is told: tables, keys, rows, with its defaults.
fn pgloader(servers: &Servers, data: &Data, from: Engine) -> String {
    let target = servers.postgres.replacen("postgres:", "postgresql:", 1);
    let schema = match from {
        Engine::Maria => format!(" ALTER SCHEMA '{}' RENAME TO 'public'", data.database),
        _ => String::new(),
    };
    format!(
        "LOAD DATABASE FROM {} INTO {target}/{TARGET}?sslmode=disable \
         WITH include no drop, create tables, create indexes, reset sequences{schema};\n",
        location(servers, data, from)
    )
}
