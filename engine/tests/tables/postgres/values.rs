//! Every type, at its ends: read and written, as arrays and as frames.

use arrow_array::RecordBatch;
use migration_engine::model::kind::ColumnType;
use migration_engine::model::rows::{Cell, Misfit, Range, Rows};

use super::scratch::{Scratch, all, batches, cells, count, named, reading, write_all, writing};

/// Types that travel in binary form of ours.
const BINARY: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\"', 'happy');
    CREATE DOMAIN positive AS integer CHECK (value > 0);
    CREATE TABLE t (
        id integer PRIMARY KEY, b boolean, i2 smallint, i4 integer, i8 bigint, f4 real,
        f8 double precision, n numeric, n2 numeric(30,10), tx text, vc varchar(20), ch char(5),
        by bytea, d date, tm time, ts timestamp, tz timestamptz, u uuid, j json, jb jsonb, m mood,
        p positive, bt bit(10), vb bit varying(40), nm name);
    INSERT INTO t VALUES
    (1, true, 32767, 2147483647, 9223372036854775807, 3.4028235e38, 1.7976931348623157e308,
        'NaN', 99999999999999999999.9999999999, 'é😀', 'a', 'ab', '\\x00ff', '5874897-12-31',
        '24:00', '294246-12-31 23:59:59.999999', '294246-12-31 23:59:59.999999+00',
        'ffffffff-ffff-ffff-ffff-ffffffffffff', '{\"a\" : 1, \"a\": 2}', '{\"b\":1e400}', 'happy',
        1, B'1111100000', B'1', 'x'),
    (2, false, -32768, -2147483648, -9223372036854775808, '-0', '-0', '-Infinity', -0.0000000001,
        '', '', '', '', '4713-01-01 BC', '00:00', '4713-01-01 00:00:00 BC',
        '4713-01-01 00:00:00+00 BC', '00000000-0000-0000-0000-000000000000', 'null', 'null', 'sad',
        2147483647, B'0000000001', B'', ''),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (4, true, 0, 0, 0, 'NaN', 'NaN', '1.10', 1.10, E'\\\\N\\t\\n\\r\\\\', ' a ', 'x y', '\\x5c4e',
        'infinity', '12:34:56.789012', 'infinity', 'infinity',
        '01234567-89ab-cdef-0123-456789abcdef', '\"\\u0041\"', '[]', 'it''s \"ok\"', 5,
        B'1010101010', B'1011001', 'n'),
    (5, true, 1, 1, 1, 1e-45, 5e-324, 'Infinity', 0, 'x', 'x', 'x', '\\x01', '-infinity', '00:00:01',
        '-infinity', '-infinity', '01234567-89ab-cdef-0123-456789abcdef', '1', '1', 'sad', 5,
        B'1010101010', B'1011001', 'n'),
    (6, true, 1, 1, 1, 0.1, 0.1, repeat('9', 1000)::numeric / 3, 0, repeat('long', 100000), 'x', 'x',
        decode(repeat('ab', 300000), 'hex'), '0001-01-01', '00:00:01', '0001-01-01 BC',
        '1969-12-31 23:59:59.999999+00', '01234567-89ab-cdef-0123-456789abcdef', '1', '1', 'sad', 5,
        B'1010101010', B'1011001', 'n');";

/// Types whose exact form is their text.
const TEXTS: &str = "
    CREATE TABLE t (
        id bigint PRIMARY KEY, iv interval, tt timetz, ia integer[], ta text[], ip inet, cd cidr,
        mc macaddr8, pt point, pg polygon, rg int4range, tr tstzrange, tv tsvector, tq tsquery,
        mo money, ls pg_lsn, xm xml, f8 double precision, by bytea, d date, ts timestamp,
        tz timestamptz, tm time, u uuid, b boolean, n numeric, j json, f4 real);
    INSERT INTO t VALUES
    (1, '178000000 years', '24:00:00-15:59', '{1,NULL,-3}', '{\"a,b\",NULL,\"\",\"\\\\\\\\\",\"NULL\"}',
        '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03:04:05', '(1e300,-0.1)', '((0,0),(1,1),(2,0))',
        '[1,10)', '[-infinity,2020-01-01)', '''a'':1A,2 ''b c''', '''a'' & !''b''', '-92233720368547758.08',
        'FFFFFFFF/FFFFFFFF', '<a>&amp;</a>', 5e-324, '\\x5c0a', '0044-03-15 BC',
        '0044-03-15 10:00:00.000001 BC', '12024-01-01 00:00:00+00', '24:00',
        '01234567-89ab-cdef-0123-456789abcdef', true, '1.10', '{\"a\":\"\\n\\t\\\\\"}', 'Infinity'),
    (2, '-1 mons +2 days -03:04:05.000006', '00:00:00+15:59', '[-1:0]={5,6}', '{}', '1.2.3.4',
        '::/0', '08:00:2b:ff:fe:01:02:03', '(0,0)', '((0,0))', 'empty', '(,)', '', '', '0',
        '0/0', '', '-Infinity', '', 'infinity', '-infinity', 'infinity', '00:00:00.000001',
        '01234567-89ab-cdef-0123-456789abcdef', false, 'NaN', '0', 'NaN'),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);";

fn sums(scratch: &Scratch, table: &str) -> String {
    let order = format!("SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM {table} t");
    scratch.sql(&format!("SET extra_float_digits = 3; {order}"))
}

/// Copies `t` to `copy`, by arrays or by frames, and compares by the server and by reading back.
fn round_trip(setup: &str, native: bool) {
    let scratch = Scratch::with(setup);
    let (source, sink) = (scratch.source(), scratch.sink());
    let table = scratch.table("t");
    let mut copy = table.clone();
    copy.name = named("copy");
    for index in &mut copy.indexes {
        index.name = format!("{}_copy", index.name);
    }
    for column in &mut copy.columns {
        let home = sink.home(&column.kind);
        assert_eq!(home.kind, column.kind, "{}", column.name);
    }
    sink.execute(&sink.statements(&copy).unwrap().create).unwrap();
    let snapshot = source.snapshot(2).unwrap();
    let read = reading(&table.name, cells(&table));
    let rows = all(snapshot.as_ref(), &read, &Range::Whole, native);
    write_all(sink.as_ref(), &writing(&copy.name, cells(&table)), &rows);
    assert_eq!(sums(&scratch, "t"), sums(&scratch, "copy"));
    let after = source.snapshot(1).unwrap();
    let mut back = read.clone();
    back.table = copy.name.clone();
    assert_eq!(batches(snapshot.as_ref(), &read), batches(after.as_ref(), &back));
    if native {
        let again = all(after.as_ref(), &back, &Range::Whole, true);
        assert_eq!(count(&again), count(&rows));
    }
}

#[test]
fn values_of_binary_types_come_back_by_arrays() {
    round_trip(BINARY, false);
}

#[test]
fn values_of_binary_types_come_back_by_frames() {
    round_trip(BINARY, true);
}

#[test]
fn values_that_go_as_text_come_back() {
    round_trip(TEXTS, false);
}

#[test]
fn frames_are_handed_on_only_where_they_mean_the_same() {
    let scratch = Scratch::with(
        "CREATE TYPE mood AS ENUM ('a'); \
         CREATE TABLE plain (a integer[], b inet, c mood); \
         CREATE TABLE local (a regclass); CREATE TABLE moods (a mood[]); \
         CREATE TABLE cash (a money); INSERT INTO plain VALUES ('{1}', '::1', 'a'); \
         INSERT INTO local VALUES ('plain'); INSERT INTO moods VALUES ('{a}'); \
         INSERT INTO cash VALUES (1)",
    );
    let snapshot = scratch.source().snapshot(1).unwrap();
    for (name, handed) in [("plain", true), ("local", false), ("moods", false), ("cash", false)] {
        let table = scratch.table(name);
        let mut reader = snapshot.reader().unwrap();
        reader.begin(&reading(&table.name, cells(&table)), &Range::Whole).unwrap();
        let rows = reader.next(true).unwrap().unwrap();
        assert_eq!(matches!(rows, Rows::Native(_)), handed, "{name}");
        let mut cast = cells(&table);
        cast[0].kind = ColumnType::Text(None);
        reader.begin(&reading(&table.name, cast), &Range::Whole).unwrap();
        assert!(matches!(reader.next(true).unwrap().unwrap(), Rows::Batch(_)), "{name}");
    }
}

#[test]
fn batches_and_frames_end_at_their_bounds() {
    let scratch = Scratch::with(
        "CREATE TABLE t (id integer PRIMARY KEY, v text); \
         INSERT INTO t SELECT i, repeat('x', i % 50) FROM generate_series(1, 5000) i",
    );
    let table = scratch.table("t");
    let snapshot = scratch.source().snapshot(1).unwrap();
    for (rows, bytes) in [(1, 1 << 20), (7, 1 << 20), (10_000, 1), (10_000, 5000)] {
        let mut read = reading(&table.name, cells(&table));
        (read.batch_rows, read.batch_bytes) = (rows, bytes);
        for native in [false, true] {
            let found = all(snapshot.as_ref(), &read, &Range::Whole, native);
            assert_eq!(count(&found), 5000);
            assert!(found.iter().all(|some| some.count() <= rows));
            assert!(found.len() >= 5000 / rows.min(bytes).max(1), "{rows} {bytes}");
        }
    }
    let mut read = reading(&table.name, cells(&table));
    read.filter = "id > 4990 -- a comment".to_owned();
    assert_eq!(count(&all(snapshot.as_ref(), &read, &Range::Whole, true)), 10);
    assert_eq!(snapshot.count(&table.name, &read.filter).unwrap(), 10);
}

#[test]
fn a_long_value_crosses_or_is_refused_by_its_length() {
    let scratch = Scratch::with(
        "CREATE TABLE t (id integer PRIMARY KEY, v bytea); CREATE TABLE copy (LIKE t); \
         INSERT INTO t SELECT 1, decode(repeat('ab', 40 << 20), 'hex'); INSERT INTO t VALUES (2, '')",
    );
    let table = scratch.table("t");
    let (source, sink) = (scratch.source(), scratch.sink());
    let snapshot = source.snapshot(1).unwrap();
    let mut read = reading(&table.name, cells(&table));
    for native in [false, true] {
        read.row_bytes_max = 64 << 20;
        let rows = all(snapshot.as_ref(), &read, &Range::Whole, native);
        scratch.sql("TRUNCATE copy");
        write_all(sink.as_ref(), &writing(&named("copy"), cells(&table)), &rows);
        sink.close_ledger("job").unwrap();
        assert_eq!(scratch.sql("SELECT count(*) FROM t JOIN copy USING (id, v)"), "2");
        read.row_bytes_max = 1 << 20;
        let mut reader = snapshot.reader().unwrap();
        reader.begin(&read, &Range::Whole).unwrap();
        let error = reader.next(native).unwrap_err();
        assert_eq!(error.kind(), migration_engine::error::Kind::RowTooLarge);
        read.filter = "id = 2".to_owned();
        reader.begin(&read, &Range::Whole).unwrap();
        assert_eq!(reader.next(native).unwrap().unwrap().count(), 1);
        read.filter.clear();
    }
}

#[test]
fn what_a_cell_cannot_hold_is_dealt_with_as_asked() {
    let scratch = Scratch::with(
        "CREATE TABLE t (id integer PRIMARY KEY, v text, n numeric); \
         INSERT INTO t VALUES (1, 'abc', 1), (2, 'abcdef', 70000), (3, NULL, 1.5), (4, 'é', 2)",
    );
    let table = scratch.table("t");
    let snapshot = scratch.source().snapshot(1).unwrap();
    let cell = |name: &str, kind, misfit| Cell { name: name.to_owned(), kind, misfit };
    let read = |v: Misfit, n: Misfit| {
        let cells = vec![
            cell("id", ColumnType::Int(32), Misfit::Fail),
            cell("v", ColumnType::Text(Some(3)), v),
            cell("n", ColumnType::Int(16), n),
        ];
        reading(&table.name, cells)
    };
    let run = |v, n| {
        let mut reader = snapshot.reader().unwrap();
        reader.begin(&read(v, n), &Range::Whole).unwrap();
        let rows = reader.next(false).map(|rows| match rows {
            Some(Rows::Batch(batch)) => batch,
            _ => {
                RecordBatch::new_empty(arrow_schema::SchemaRef::new(arrow_schema::Schema::empty()))
            }
        });
        (rows, reader.misfits())
    };
    let (rows, _) = run(Misfit::Fail, Misfit::Null);
    assert_eq!(rows.unwrap_err().kind(), migration_engine::error::Kind::ValueRefused);
    let (rows, misfits) = run(Misfit::Clamp, Misfit::Null);
    assert_eq!((rows.unwrap().num_rows(), misfits.changed), (4, 3));
    let (rows, misfits) = run(Misfit::Clamp, Misfit::Reject);
    assert_eq!((rows.unwrap().num_rows(), misfits.changed), (2, 0));
    let rejected: Vec<_> = misfits.rejected.iter().map(|r| r.column.as_str()).collect();
    assert_eq!(rejected, ["n", "n"]);
}
