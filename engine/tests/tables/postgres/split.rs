//! Ranges: every row once, whatever the key.

use migration_engine::model::rows::{Range, Rows};

use super::scratch::{Scratch, all, cells, reading};

/// Splits, reads every range, and compares with what is there. The ranges are returned.
fn covered(scratch: &Scratch, table: &str, filter: &str, rows: u64) -> Vec<Range> {
    let table = scratch.table(table);
    let snapshot = scratch.source().snapshot(1).unwrap();
    let ranges = snapshot.split(&table, filter, rows).unwrap();
    assert_eq!(ranges, snapshot.split(&table, filter, rows).unwrap());
    let mut read = reading(&table.name, cells(&table));
    read.filter = filter.to_owned();
    let mut seen = Vec::new();
    let mut arrays = 0;
    for range in &ranges {
        for rows in all(snapshot.as_ref(), &read, range, true) {
            let Rows::Native(native) = rows else { panic!("arrays") };
            let mut rest = native.bytes.as_slice();
            while !rest.is_empty() {
                let length = u32::from_be_bytes(rest[1..5].try_into().unwrap()) as usize + 1;
                seen.push(rest[..length].to_vec());
                rest = &rest[length..];
            }
        }
        let batches = all(snapshot.as_ref(), &read, range, false);
        arrays += batches.iter().map(Rows::count).sum::<usize>();
    }
    let total = snapshot.count(&table.name, filter).unwrap();
    assert_eq!(seen.len() as u64, total);
    assert_eq!(arrays as u64, total);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len() as u64, total, "rows twice");
    ranges
}

#[test]
fn keys_of_every_kind_are_covered_once() {
    let scratch = Scratch::with(
        "CREATE TABLE dense (k integer PRIMARY KEY, v integer); \
         INSERT INTO dense SELECT i, i FROM generate_series(-500, 499) i; \
         CREATE TABLE sparse (k bigint PRIMARY KEY); \
         INSERT INTO sparse SELECT (i::bigint * i * i) * 7919 FROM generate_series(-300, 300) i; \
         INSERT INTO sparse VALUES (9223372036854775807), (-9223372036854775808); \
         CREATE TABLE texts (k text PRIMARY KEY); \
         INSERT INTO texts SELECT chr(200 + i % 300) || '''\\' || i FROM generate_series(1, 700) i; \
         INSERT INTO texts VALUES (''); \
         CREATE TABLE uuids (k uuid PRIMARY KEY); \
         INSERT INTO uuids SELECT md5(i::text)::uuid FROM generate_series(1, 700) i; \
         CREATE TABLE pairs (a integer, b integer, PRIMARY KEY (a, b)); \
         INSERT INTO pairs SELECT i % 3, i FROM generate_series(1, 700) i; \
         CREATE TABLE times (k timestamptz PRIMARY KEY); \
         INSERT INTO times SELECT '2000-01-01'::timestamptz + i * interval '1 day 1 microsecond' \
         FROM generate_series(-400, 400) i; INSERT INTO times VALUES ('infinity'), ('-infinity'); \
         CREATE TABLE numbers (k numeric PRIMARY KEY); \
         INSERT INTO numbers SELECT i / 7.0 FROM generate_series(-400, 400) i; \
         INSERT INTO numbers VALUES ('NaN'); \
         CREATE TABLE floats (k double precision PRIMARY KEY); \
         INSERT INTO floats SELECT i / 7.0 FROM generate_series(-400, 400) i; \
         INSERT INTO floats VALUES ('NaN'), ('Infinity'); \
         CREATE TABLE chars (k char(4) PRIMARY KEY); \
         INSERT INTO chars SELECT to_hex(i) FROM generate_series(1, 700) i; \
         CREATE TABLE bytes (k bytea PRIMARY KEY); \
         INSERT INTO bytes SELECT decode(md5(i::text), 'hex') FROM generate_series(1, 700) i",
    );
    for table in
        ["dense", "sparse", "texts", "uuids", "times", "numbers", "floats", "chars", "bytes"]
    {
        let ranges = covered(&scratch, table, "", 100);
        assert!((6..=11).contains(&ranges.len()), "{table}: {}", ranges.len());
    }
    let pairs = covered(&scratch, "pairs", "", 100);
    assert_eq!(pairs.len(), 3, "{pairs:?}");
    let one = covered(&scratch, "dense", "", 1);
    assert_eq!(one.len(), 1000);
    let filtered = covered(&scratch, "dense", "v % 10 = 0 -- every tenth", 30);
    assert_eq!(filtered.len(), 4);
}

#[test]
fn tables_without_a_key_are_covered_by_their_pages() {
    let scratch = Scratch::with(
        "CREATE TABLE heap (v integer, t text); \
         INSERT INTO heap SELECT i, repeat('x', 200) FROM generate_series(1, 5000) i; \
         DELETE FROM heap WHERE v % 3 = 0; \
         CREATE TABLE child () INHERITS (heap); INSERT INTO child SELECT -i, 'c' FROM generate_series(1, 50) i; \
         CREATE TABLE parts (v integer, t text) PARTITION BY LIST (v); \
         CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN (0, 1, 2); \
         CREATE TABLE parts_b PARTITION OF parts DEFAULT PARTITION BY HASH (t); \
         CREATE TABLE parts_c PARTITION OF parts_b FOR VALUES WITH (MODULUS 1, REMAINDER 0); \
         ALTER TABLE parts_c SET (fillfactor = 20); \
         INSERT INTO parts SELECT i % 9, i::text || repeat('y', 300) FROM generate_series(1, 2000) i; \
         CREATE TABLE one (v integer); INSERT INTO one VALUES (1); CREATE TABLE none (v integer); \
         CREATE TABLE gone (k integer PRIMARY KEY)",
    );
    let heap = covered(&scratch, "heap", "", 500);
    assert!(heap.len() > 3 && matches!(heap[0], Range::Pages { from: 0, to: Some(_), .. }));
    assert!(matches!(heap.last(), Some(Range::Pages { to: None, .. })));
    covered(&scratch, "heap", "v > 100", 500);
    covered(&scratch, "child", "", 500);
    let parts = covered(&scratch, "parts", "", 500);
    assert!(parts.len() > 3, "{parts:?}");
    assert_eq!(covered(&scratch, "one", "", 1), [Range::Whole]);
    assert_eq!(covered(&scratch, "none", "", 1), [Range::Whole]);
    assert_eq!(covered(&scratch, "gone", "", 1), [Range::Whole]);
}
