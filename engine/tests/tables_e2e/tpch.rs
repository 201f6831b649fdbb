//! TPC-H from every engine to every other and back again. `TEST_TPCH_SCALE` makes it larger.

use std::collections::HashSet;
use std::fmt::Write as _;

use md5::{Digest as _, Md5};
use migration_fixtures::tpch;
use serde_json::{Value, json};

use crate::db::{Db, ENGINES, Engine};
use crate::session::Place;
use crate::{copied, same, schema};

/// Columns of each table: `i` integer, `d` decimal, `t` date, `c…` characters padded, `v…` text.
const COLUMNS: [(&str, &str, &str); 8] = [
    ("region", "r_regionkey i, r_name c25, r_comment v152", "r_regionkey"),
    ("nation", "n_nationkey i, n_name c25, n_regionkey i, n_comment v152", "n_nationkey"),
    (
        "part",
        "p_partkey i, p_name v55, p_mfgr c25, p_brand c10, p_type v25, p_size i, p_container c10, \
         p_retailprice d, p_comment v23",
        "p_partkey",
    ),
    (
        "supplier",
        "s_suppkey i, s_name c25, s_address v40, s_nationkey i, s_phone c15, s_acctbal d, \
         s_comment v101",
        "s_suppkey",
    ),
    (
        "partsupp",
        "ps_partkey i, ps_suppkey i, ps_availqty i, ps_supplycost d, ps_comment v199",
        "ps_partkey, ps_suppkey",
    ),
    (
        "customer",
        "c_custkey i, c_name v25, c_address v40, c_nationkey i, c_phone c15, c_acctbal d, \
         c_mktsegment c10, c_comment v117",
        "c_custkey",
    ),
    (
        "orders",
        "o_orderkey i, o_custkey i, o_orderstatus c1, o_totalprice d, o_orderdate t, \
         o_orderpriority c15, o_clerk c15, o_shippriority i, o_comment v79",
        "o_orderkey",
    ),
    (
        "lineitem",
        "l_orderkey i, l_partkey i, l_suppkey i, l_linenumber i, l_quantity d, l_extendedprice d, \
         l_discount d, l_tax d, l_returnflag c1, l_linestatus c1, l_shipdate t, l_commitdate t, \
         l_receiptdate t, l_shipinstruct c25, l_shipmode c10, l_comment v44",
        "l_orderkey, l_linenumber",
    ),
];

/// Foreign keys: table, columns, the other table, its columns.
const FOREIGN: [(&str, &str, &str, &str); 7] = [
    ("nation", "n_regionkey", "region", "r_regionkey"),
    ("supplier", "s_nationkey", "nation", "n_nationkey"),
    ("customer", "c_nationkey", "nation", "n_nationkey"),
    ("partsupp", "ps_partkey", "part", "p_partkey"),
    ("orders", "o_custkey", "customer", "c_custkey"),
    ("lineitem", "l_orderkey", "orders", "o_orderkey"),
    ("lineitem", "l_partkey, l_suppkey", "partsupp", "ps_partkey, ps_suppkey"),
];

fn scale() -> f64 {
    std::env::var("TEST_TPCH_SCALE").map_or(0.001, |scale| scale.parse().unwrap())
}

fn columns(table: &str) -> Vec<(&'static str, &'static str)> {
    let (_, columns, _) = COLUMNS.iter().find(|(name, ..)| *name == table).unwrap();
    columns.split(", ").map(|column| column.split_once(' ').unwrap()).collect()
}

/// A type in an engine's words: those whose values SQLite keeps as they are.
fn declared(engine: Engine, kind: &str) -> String {
    let lite = engine == Engine::Sqlite;
    match kind.split_at(1) {
        ("i", _) if engine == Engine::Maria => "int(11)".to_owned(),
        ("i", _) => "INTEGER".to_owned(),
        ("d", _) if lite => "DECIMAL_TEXT(15,2)".to_owned(),
        ("d", _) => "DECIMAL(15,2)".to_owned(),
        ("t", _) => "DATE".to_owned(),
        ("c", size) if lite => format!("BPCHAR({size})"),
        ("c", size) => format!("CHAR({size})"),
        (_, size) => format!("VARCHAR({size})"),
    }
}

fn definition(engine: Engine) -> String {
    let mut sql = String::new();
    for (table, _, key) in COLUMNS {
        let lines = columns(table);
        let lines =
            lines.iter().map(|(name, kind)| format!("{name} {} NOT NULL", declared(engine, kind)));
        let mut lines: Vec<String> = lines.collect();
        lines.push(format!("PRIMARY KEY ({key})"));
        for (number, (_, own, to, there)) in
            FOREIGN.iter().filter(|(from, ..)| *from == table).enumerate()
        {
            let name = format!("{table}_fkey{}", number + 1);
            lines.push(format!("CONSTRAINT {name} FOREIGN KEY ({own}) REFERENCES {to} ({there})"));
        }
        writeln!(sql, "CREATE TABLE {table} ({});", lines.join(", ")).unwrap();
    }
    sql + "CREATE INDEX lineitem_shipdate ON lineitem (l_shipdate);\n"
}

/// The rows of a table, every decimal with its two digits behind the point. Below the least scale of
/// the specification its formula gives a part one supplier twice: the first of them counts.
fn rows(table: &str, mut each: impl FnMut(&str)) {
    let columns = columns(table);
    let mut pairs = HashSet::new();
    tpch::rows(table, scale(), |row| {
        let mut fields = row.splitn(3, '|');
        let pair = (fields.next().unwrap().to_owned(), fields.next().unwrap().to_owned());
        if table == "partsupp" && !pairs.insert(pair) {
            return;
        }
        let values =
            row.split('|').zip(&columns).map(|(value, (_, kind))| match value.contains('.') {
                false if *kind == "d" => format!("{value}.00"),
                _ => value.to_owned(),
            });
        each(&values.collect::<Vec<_>>().join("|"));
    });
}

/// A database with the data, loaded by its maker's own means.
fn database(engine: Engine, place: &Place) -> Db {
    let db = Db::with(engine, place, &definition(engine));
    match engine {
        Engine::Sqlite => into_file(&db),
        Engine::Postgres => {
            let mut script = String::new();
            for table in tpch::TABLES {
                writeln!(script, "COPY {table} FROM STDIN (DELIMITER '|');").unwrap();
                rows(table, |row| writeln!(script, "{row}").unwrap());
                script.push_str("\\.\n");
            }
            db.client(script.as_bytes());
        }
        Engine::Maria => {
            let mut script = String::new();
            for table in tpch::TABLES {
                let path = place.path(table);
                let mut text = String::new();
                rows(table, |row| writeln!(text, "{row}").unwrap());
                std::fs::write(&path, text).unwrap();
                let path = path.to_str().unwrap();
                let from = format!("LOAD DATA LOCAL INFILE '{path}' INTO TABLE {table}");
                writeln!(script, "{from} FIELDS TERMINATED BY '|';").unwrap();
            }
            db.client(script.as_bytes());
        }
    }
    db
}

fn into_file(db: &Db) {
    let mut file = rusqlite::Connection::open(db.path()).unwrap();
    let loading = file.transaction().unwrap();
    for table in tpch::TABLES {
        let marks = vec!["?"; columns(table).len()].join(",");
        let mut insert = loading.prepare(&format!("INSERT INTO {table} VALUES ({marks})")).unwrap();
        let columns = columns(table);
        rows(table, |row| {
            // A value of the type BPCHAR is as long as its column.
            let padded = row.split('|').zip(&columns).map(|(value, (_, kind))| {
                let size = kind.strip_prefix('c').map_or(0, |size| size.parse().unwrap());
                format!("{value:size$}")
            });
            insert.execute(rusqlite::params_from_iter(padded)).unwrap();
        });
    }
    loading.commit().unwrap();
}

/// Rows, sum of the first key, and the sum of the MD5 of every row's text, whatever their order.
type Content = Vec<(&'static str, u64, u128, u128)>;

fn content(db: &Db) -> Content {
    tpch::TABLES.map(|table| table_content(db, table)).to_vec()
}

fn table_content(db: &Db, table: &'static str) -> (&'static str, u64, u128, u128) {
    let parts = columns(table);
    let parts = parts.iter().map(|(name, kind)| match kind.starts_with('c') {
        true => format!("rtrim({name})"),
        false => (*name).to_owned(),
    });
    let rows = db.query(&format!("SELECT {} FROM {table}", parts.collect::<Vec<_>>().join(", ")));
    summed(table, rows.iter().map(|row| row.join("|")))
}

fn summed(
    table: &'static str,
    rows: impl Iterator<Item = String>,
) -> (&'static str, u64, u128, u128) {
    let (mut count, mut keys, mut digest) = (0u64, 0u128, 0u128);
    for row in rows {
        count += 1;
        keys += row.split('|').next().unwrap().parse::<u128>().unwrap();
        let md5: [u8; 16] = Md5::digest(row.as_bytes()).into();
        digest = digest.wrapping_add(u128::from_be_bytes(md5));
    }
    (table, count, keys, digest)
}

/// What the generator makes, by which every database is judged.
fn wanted() -> Content {
    let one = |table| {
        let mut all = Vec::new();
        rows(table, |row| all.push(row.to_owned()));
        summed(table, all.into_iter())
    };
    tpch::TABLES.map(one).to_vec()
}

/// What `inspect` says of a database, without the indexes that MariaDB makes for foreign keys, under
/// their names, and that go on to others.
fn shape(place: &Place, db: &Db) -> Vec<Value> {
    let mut tables = schema(place, db);
    for table in &mut tables {
        let keys = table["foreign_keys"].as_array().unwrap().clone();
        table["indexes"].as_array_mut().unwrap().retain(|index| !keys.contains(index));
    }
    tables
}

/// From one engine to every engine, and from each back.
fn there_and_back(from: Engine) {
    let place = crate::place();
    let (wanted, first) = (wanted(), database(from, &place));
    assert_eq!(content(&first), wanted);
    let schema_before = shape(&place, &first);
    for to in ENGINES {
        let there = Db::new(to, &place);
        let result = copied(&place, &first, &there, &json!({"verify": "readback"}));
        assert_eq!(result["data"]["rejected"], 0);
        assert_eq!(content(&there), wanted, "{first} to {there}");
        same(&place, &first, &there);
        let back = Db::new(from, &place);
        copied(&place, &there, &back, &json!({}));
        assert_eq!(content(&back), wanted, "{first} to {there} and back");
        same(&place, &first, &back);
        assert_eq!(shape(&place, &back), schema_before, "{first} to {there} and back");
    }
}

#[test]
fn from_postgres_to_all_and_back() {
    there_and_back(Engine::Postgres);
}

#[test]
fn from_maria_to_all_and_back() {
    there_and_back(Engine::Maria);
}

#[test]
fn from_sqlite_to_all_and_back() {
    there_and_back(Engine::Sqlite);
}

#[test]
fn along_a_chain_of_engines() {
    let place = crate::place();
    let (wanted, first) = (wanted(), database(Engine::Postgres, &place));
    let maria = Db::new(Engine::Maria, &place);
    let sqlite = Db::new(Engine::Sqlite, &place);
    let last = Db::new(Engine::Postgres, &place);
    for (from, to) in [(&first, &maria), (&maria, &sqlite), (&sqlite, &last)] {
        copied(&place, from, to, &json!({}));
        assert_eq!(content(to), wanted, "{from} to {to}");
    }
    same(&place, &first, &last);
    assert_eq!(shape(&place, &last), shape(&place, &first));
}
