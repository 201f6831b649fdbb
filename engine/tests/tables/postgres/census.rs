//! What a target cannot hold is counted, with keys.

use migration_engine::endpoint::rows::{LossClass, Question};
use migration_engine::error::Kind;

use super::scratch::Scratch;

#[test]
fn every_class_is_counted_with_its_first_keys() {
    let scratch = Scratch::with(
        "CREATE TABLE t (a integer, b text, d date, ts timestamp, tm time, f double precision, \
         n numeric, i bigint, v text, y bytea, PRIMARY KEY (a, b)); \
         INSERT INTO t SELECT i, 'k', '2000-01-01', '2000-01-01', '12:00', 1, 1.5, i, 'ab', '\\x00' \
         FROM generate_series(1, 20) i; \
         UPDATE t SET d = 'infinity', ts = '-infinity' WHERE a = 3; \
         UPDATE t SET d = '0999-12-31', ts = '10000-01-01' WHERE a IN (4, 5); \
         UPDATE t SET tm = '24:00' WHERE a = 6; UPDATE t SET f = 'NaN', n = 'NaN' WHERE a = 7; \
         UPDATE t SET f = '-Infinity', n = 1000 WHERE a = 8; UPDATE t SET n = 1.25 WHERE a = 9; \
         UPDATE t SET v = 'äöü', y = '\\x000000' WHERE a > 10; UPDATE t SET i = -1 WHERE a = 2; \
         UPDATE t SET n = 1.500 WHERE a = 1",
    );
    let table = scratch.table("t");
    let snapshot = scratch.source().snapshot(1).unwrap();
    let range = LossClass::DateOutside { first: "1000-01-01", end: "10000-01-01" };
    let decimal = LossClass::DecimalOutside { whole: 3, scale: 1 };
    let asked = [
        ("d", LossClass::InfiniteDate, 1, "3,k"),
        ("ts", LossClass::InfiniteDate, 1, "3,k"),
        ("d", range.clone(), 2, "4,k 5,k"),
        ("ts", range, 2, "4,k 5,k"),
        ("d", LossClass::DateOutside { first: "-4713-01-01", end: "10000-01-01" }, 0, ""),
        ("tm", LossClass::TimeOutside, 1, "6,k"),
        ("f", LossClass::NotFinite, 2, "7,k 8,k"),
        ("n", LossClass::NotFinite, 1, "7,k"),
        ("n", decimal, 2, "8,k 9,k"),
        ("i", LossClass::IntegerOutside { least: 0, most: 19 }, 2, "2,k 20,k"),
        ("i", LossClass::NotBoolean, 19, "2,k 3,k 4,k 5,k 6,k"),
        ("v", LossClass::Longer(2), 10, "11,k 12,k 13,k 14,k 15,k"),
        ("y", LossClass::Longer(2), 10, "11,k 12,k 13,k 14,k 15,k"),
        ("v", LossClass::Nul, 0, ""),
        ("v", LossClass::NotText, 0, ""),
        ("d", LossClass::ImpossibleDate, 0, ""),
    ];
    let question = |(column, class, ..): &(&str, LossClass, u64, &str)| Question {
        column: (*column).to_owned(),
        class: class.clone(),
    };
    let questions: Vec<_> = asked.iter().map(question).collect();
    let found = snapshot.census(&table, "", &questions, 1 << 30).unwrap();
    for ((_, class, rows, samples), finding) in asked.iter().zip(&found) {
        assert_eq!(
            (finding.rows, finding.samples.join(" ")),
            (*rows, (*samples).to_owned()),
            "{class:?}"
        );
    }
    let filtered = snapshot.census(&table, "a > 15", &questions[11..12], 1 << 30).unwrap();
    assert_eq!(filtered[0].rows, 5);
    let missing = Question { column: "zz".to_owned(), class: LossClass::Nul };
    let error = snapshot.census(&table, "", &[missing], 1 << 30).unwrap_err();
    assert_eq!(error.kind(), Kind::SchemaMismatch);
}
