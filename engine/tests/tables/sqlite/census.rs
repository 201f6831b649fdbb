//! What a census finds, by one session and by several.

use migration_engine::endpoint::rows::{LossClass, Question};

use super::scratch::Place;

#[test]
fn several_sessions_find_what_one_finds() {
    let place = Place::with(
        "CREATE TABLE spread (id INTEGER PRIMARY KEY, n INTEGER, t TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
           INSERT INTO spread SELECT i * i * 100000, i, CASE i % 7 WHEN 0 THEN NULL ELSE 't' || i END FROM n;
         INSERT INTO spread VALUES (-9223372036854775808, 9999, 'longest'), (9223372036854775807, 9999, 'longest');
         CREATE TABLE dense (n INTEGER, t TEXT); INSERT INTO dense SELECT n, t FROM spread ORDER BY id;
         CREATE TABLE own (n INTEGER PRIMARY KEY, t TEXT) WITHOUT ROWID;
         INSERT OR IGNORE INTO own SELECT n, t FROM spread;
         CREATE TABLE hidden (rowid TEXT, oid TEXT, _rowid_ TEXT, n INTEGER, t TEXT);
         INSERT INTO hidden SELECT 1, 2, 3, n, t FROM spread;
         CREATE TABLE one (n INTEGER, t TEXT); INSERT INTO one VALUES (9999, 'longest');
         CREATE TABLE none (n INTEGER, t TEXT);",
    );
    let asked = |column: &str, class| Question { column: column.to_owned(), class };
    let questions = [
        asked("t", LossClass::Longer(4)),
        asked("n", LossClass::IntegerOutside { least: -5, most: 4000 }),
        asked("t", LossClass::Nul),
        asked("t", LossClass::Longer(5)),
    ];
    for filter in ["", "n <> 4500 -- not this"] {
        for (table, rows) in [
            ("spread", 1002),
            ("dense", 1002),
            ("own", 1001),
            ("hidden", 1002),
            ("one", 1),
            ("none", 0),
        ] {
            let table = place.table(table);
            let by = |sessions| {
                let snapshot = place.source().snapshot(sessions).unwrap();
                snapshot.census(&table, filter, &questions, 1 << 30).unwrap()
            };
            let (one, more) = (by(1), by(4));
            assert_eq!(
                one[1].rows,
                rows - u64::from(!filter.is_empty() && rows > 1),
                "{}",
                table.name.name
            );
            assert_eq!(one[2].rows, 0);
            assert_eq!(one[1].samples.len() as u64, one[1].rows.min(10));
            for (one, more) in one.iter().zip(&more) {
                assert_eq!(
                    (one.rows, &one.samples),
                    (more.rows, &more.samples),
                    "{:?}",
                    one.question
                );
            }
        }
    }
}
