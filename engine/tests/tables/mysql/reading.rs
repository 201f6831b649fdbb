//! Rows too long for a packet, and ranges that cover a table.

use std::collections::BTreeMap;

use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use migration_engine::error::Kind;
use migration_engine::model::kind::ColumnType;
use migration_engine::model::rows::Range;

use super::scratch::{Scratch, cell, read, reading};

#[test]
fn a_first_value_of_16_mib_does_not_end_the_table() {
    for scratch in Scratch::each() {
        scratch.run(&[
            "CREATE TABLE t (b longblob, a bigint)",
            "INSERT INTO t VALUES (REPEAT('x', 16777215), 1), (REPEAT('y', 17000000), 2), ('z', 3)",
        ]);
        let cells = [cell("b", ColumnType::Bytes(None)), cell("a", ColumnType::Int(64))];
        let snapshot = scratch.source().snapshot(1).unwrap();
        let batches = read(snapshot.as_ref(), &reading("t", &cells), &Range::Whole).unwrap();
        let lengths: Vec<usize> = batches
            .iter()
            .flat_map(|batch| batch.column(0).as_binary::<i32>().iter().map(|v| v.unwrap().len()))
            .collect();
        assert_eq!(lengths, [16_777_215, 17_000_000, 1]);
        let mut bounded = reading("t", &cells);
        bounded.row_bytes_max = 16 << 20;
        let error = read(snapshot.as_ref(), &bounded, &Range::Whole).unwrap_err();
        assert_eq!(error.kind(), Kind::RowTooLarge);
    }
}

/// Reads every range; how often each key was seen.
fn seen(
    scratch: &Scratch,
    rows: u64,
    column: &str,
    kind: ColumnType,
) -> (usize, BTreeMap<String, u32>) {
    let snapshot = scratch.source().snapshot(2).unwrap();
    let ranges = snapshot.split(&scratch.table("t"), "", rows).unwrap();
    assert_eq!(ranges, snapshot.split(&scratch.table("t"), "", rows).unwrap());
    let cells = [cell(column, kind), cell("v", ColumnType::Int(64))];
    let mut seen = BTreeMap::new();
    for range in &ranges {
        for batch in read(snapshot.as_ref(), &reading("t", &cells), range).unwrap() {
            let values = batch.column(1).as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                *seen.entry(values.value(row).to_string()).or_default() += 1;
            }
        }
    }
    (ranges.len(), seen)
}

fn check(scratch: &Scratch, total: u64, column: &str, kind: ColumnType, least: usize) {
    let (ranges, seen) = seen(scratch, 100, column, kind);
    assert!(ranges >= least, "{ranges} ranges");
    assert_eq!(seen.len() as u64, total);
    assert!(seen.values().all(|count| *count == 1));
}

#[test]
fn ranges_cover_every_row_once_whatever_the_key() {
    for scratch in Scratch::each() {
        let numbers = "SELECT 1 + a.n + 10 * b.n + 100 * c.n AS n FROM d a, d b, d c";
        scratch.run(&[
            "CREATE TABLE d (n int)",
            "INSERT INTO d VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)",
            "CREATE TABLE t (k bigint PRIMARY KEY, v bigint)",
            &format!(
                "INSERT INTO t SELECT IF(n < 900, n, n * 1000000000) - 500, n FROM ({numbers}) x"
            ),
        ]);
        check(&scratch, 1000, "k", ColumnType::Int(64), 10);
        scratch.run(&[
            "DROP TABLE t",
            "CREATE TABLE t (k int, j int, v bigint, PRIMARY KEY (k, j))",
            &format!("INSERT INTO t SELECT IF(n < 700, 5, n), n, n FROM ({numbers}) x"),
        ]);
        check(&scratch, 1000, "k", ColumnType::Int(32), 4);
        scratch.run(&[
            "DROP TABLE t",
            "CREATE TABLE t (k varchar(40), j int, v bigint, PRIMARY KEY (k, j)) \
             CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
            &format!(
                "INSERT INTO t SELECT CONCAT(ELT(1 + n % 4, 'a', 'A', 'Á', 'ß'), '\\\\''', n % 37), n, n \
                 FROM ({numbers}) x"
            ),
        ]);
        check(&scratch, 1000, "k", ColumnType::Text(None), 4);
        scratch.run(&[
            "DROP TABLE t",
            "CREATE TABLE t (k binary(16) PRIMARY KEY, v bigint)",
            &format!("INSERT INTO t SELECT UNHEX(LEFT(SHA2(n, 256), 32)), n FROM ({numbers}) x"),
        ]);
        check(&scratch, 1000, "k", ColumnType::FixedBytes(16), 10);
        scratch.run(&[
            "DROP TABLE t",
            "CREATE TABLE t (k varchar(9), v bigint)",
            &format!("INSERT INTO t SELECT NULL, n FROM ({numbers}) x"),
        ]);
        check(&scratch, 1000, "k", ColumnType::Text(None), 1);
    }
}

#[test]
fn a_span_that_is_left_early_costs_no_session() {
    let scratch = Scratch::new();
    scratch.run(&[
        "CREATE TABLE t (k bigint PRIMARY KEY, v longtext)",
        "INSERT INTO t SELECT seq, REPEAT('x', 1000) FROM seq_1_to_20000",
    ]);
    let cells = [cell("k", ColumnType::Int(64)), cell("v", ColumnType::Text(None))];
    let snapshot = scratch.source().snapshot(1).unwrap();
    scratch.run(&["DELETE FROM t"]);
    for _ in 0..4 {
        let mut reader = snapshot.reader().unwrap();
        reader.begin(&reading("t", &cells), &Range::Whole).unwrap();
        assert_eq!(reader.next(false).unwrap().unwrap().count(), 1000);
        reader.begin(&reading("t", &cells), &Range::Whole).unwrap();
        assert!(reader.next(false).unwrap().is_some());
    }
    let rows = read(snapshot.as_ref(), &reading("t", &cells), &Range::Whole).unwrap();
    assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 20_000);
    assert!(rows[0].column(1).null_count() == 0);
}
