//! What a file says of itself, whatever its names are.

use migration_engine::model::catalog::{DefaultValue, Identity, Key};
use migration_engine::model::kind::ColumnType;

use super::scratch::{Place, copy, dump};

#[test]
fn hostile_names_stay_names() {
    let names =
        ["a\"b", "'; DROP TABLE x; --", "select", " ", "\u{1f600}", "a`b]c", "ROWID", "%s\\"];
    let mut sql = String::new();
    for name in names {
        let quoted = name.replace('"', "\"\"");
        sql += &format!(
            "CREATE TABLE \"{quoted}\" (\"{quoted}\" INTEGER PRIMARY KEY, \"x{quoted}\" TEXT DEFAULT '{}'); \
             INSERT INTO \"{quoted}\" VALUES (1, 'v'), (2, NULL); \
             CREATE INDEX \"i{quoted}\" ON \"{quoted}\" (\"x{quoted}\" DESC);",
            name.replace('\'', "''")
        );
    }
    let (from, to) = (Place::with(&sql), Place::new("a name?".trim_end_matches('?')));
    for name in names {
        copy(&from, &to, name);
        assert_eq!(dump(&from, name), dump(&to, name), "{name}");
        assert_eq!(from.table(name).indexes[0].columns, to.table(name).indexes[0].columns);
        assert_eq!(from.table(name).columns[1].default, to.table(name).columns[1].default);
    }
    assert_eq!(to.source().catalog().unwrap().tables.len(), names.len());
}

#[test]
fn the_catalogue_knows_everything() {
    let place = Place::with(
        "CREATE TABLE p (a INT, b TEXT COLLATE NOCASE, PRIMARY KEY (b, a)) WITHOUT ROWID;
         CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER NOT NULL DEFAULT -5 CHECK (n <> 0),
           d DECIMAL(8,3) DEFAULT 1.10, s TEXT UNIQUE DEFAULT 'it''s', g INTEGER AS (n * 2) STORED,
           pa INT, pb TEXT, at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
           CONSTRAINT big CHECK (n < 100), FOREIGN KEY (pb, pa) REFERENCES p (b, a) ON DELETE CASCADE);
         CREATE TABLE strict_one (a ANY, b INT) STRICT;
         CREATE UNIQUE INDEX part ON t (n) WHERE n > 5;
         CREATE INDEX expr ON t (lower(s));
         CREATE VIEW w AS SELECT 1;
         CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; END;
         INSERT INTO t (id, n) VALUES (41, 1); DELETE FROM t;",
    );
    let t = place.table("t");
    let kinds: Vec<_> = t.columns.iter().map(|column| column.kind.clone()).collect();
    assert_eq!(
        kinds[0..3],
        [ColumnType::Int(64), ColumnType::Int(64), ColumnType::Decimal(Some((8, 3)))]
    );
    assert_eq!(t.columns[0].identity, Some(Identity { always: false, next: Some(42), step: 1 }));
    assert_eq!(t.columns[1].default, Some(DefaultValue::Number("-5".to_owned())));
    assert_eq!(t.columns[3].default, Some(DefaultValue::Text("it's".to_owned())));
    assert_eq!(t.columns[4].generated.as_ref().unwrap().expression, "n * 2");
    assert_eq!(t.columns[7].default, Some(DefaultValue::Now(0)));
    let checks: Vec<_> =
        t.checks.iter().map(|c| (c.name.as_str(), c.expression.as_str())).collect();
    assert_eq!(checks, [("t_check1", "n <> 0"), ("big", "n < 100")]);
    assert_eq!(t.primary_key, Some(Key { name: String::new(), columns: vec!["id".to_owned()] }));
    let names: Vec<_> = t.indexes.iter().map(|index| (index.name.as_str(), index.unique)).collect();
    assert_eq!(names, [("t_s_key", true), ("part", true), ("expr", false)]);
    assert_eq!(t.indexes[1].predicate, "n > 5");
    assert_eq!(
        (t.foreign_keys[0].columns.len(), t.foreign_keys[0].to_columns[0].as_str()),
        (2, "b")
    );
    let p = place.table("p");
    assert_eq!(p.primary_key.unwrap().columns, ["b", "a"]);
    assert!(p.columns.iter().all(|column| !column.nullable && column.identity.is_none()));
    assert_eq!(place.table("strict_one").columns[0].kind, ColumnType::Any);
    let others = place.source().catalog().unwrap().others;
    assert_eq!(
        others.iter().map(|other| other.what).collect::<Vec<_>>(),
        ["trigger", "view", "collation"]
    );

    let to = Place::new("copy");
    place.session().execute_batch("DROP TRIGGER tr").unwrap();
    copy(&place, &to, "p");
    copy(&place, &to, "t");
    let copied = to.table("t");
    assert_eq!(
        (copied.checks, copied.columns[0].identity.clone()),
        (t.checks, t.columns[0].identity.clone())
    );
    assert_eq!(copied.columns[4].generated, t.columns[4].generated);
    assert_eq!(copied.indexes.len(), 3);
    assert_eq!(copied.foreign_keys, t.foreign_keys);
}
