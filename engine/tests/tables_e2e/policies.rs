//! What a policy makes of values that the target cannot hold, by pairs of engines: each is judged by
//! the target's own SQL, and read back by the engine.

use serde_json::json;

use crate::db::{Db, Engine, unhex};
use crate::session::Place;
use crate::{copied, refused, same};
use Engine::{Maria, Postgres, Sqlite};

/// A value of one engine; then what another has of it by `null`, `clamp` and `text`. `None` where its
/// row is rejected: nothing is near.
type Case = (Engine, &'static str, &'static str, Engine, Option<&'static str>, &'static str);

const CASES: [Case; 13] = [
    (
        Maria,
        "BIGINT UNSIGNED",
        "18446744073709551615",
        Sqlite,
        Some("9223372036854775807"),
        "18446744073709551615",
    ),
    (Postgres, "DATE", "'infinity'", Maria, Some("9999-12-31"), "infinity"),
    (Postgres, "DATE", "'-infinity'", Maria, Some("0001-01-01"), "-infinity"),
    (Postgres, "TIMESTAMP", "'infinity'", Maria, Some("9999-12-31 23:59:59.999999"), "infinity"),
    (
        Postgres,
        "TIMESTAMPTZ",
        "'-infinity'",
        Maria,
        Some("0001-01-01 00:00:00.000000"),
        "-infinity",
    ),
    (
        Postgres,
        "TIMESTAMP",
        "'0044-03-15 12:00:00 BC'",
        Maria,
        Some("0001-01-01 00:00:00.000000"),
        "0044-03-15 12:00:00 BC",
    ),
    (Postgres, "DATE", "'20000-01-01'", Maria, Some("9999-12-31"), "20000-01-01"),
    (Postgres, "DOUBLE PRECISION", "'NaN'", Maria, None, "NaN"),
    (
        Postgres,
        "DOUBLE PRECISION",
        "'-Infinity'",
        Maria,
        Some("-1.7976931348623157e308"),
        "-Infinity",
    ),
    (Postgres, "REAL", "'NaN'", Maria, None, "NaN"),
    (Postgres, "NUMERIC(9,2)", "'NaN'", Maria, None, "NaN"),
    (Sqlite, "DATE", "'infinity'", Maria, Some("9999-12-31"), "infinity"),
    (Maria, "YEAR", "1901", Sqlite, Some("1901"), "1901"),
];

fn found(target: &Db) -> Vec<Option<String>> {
    let rows = target.query(&format!("SELECT {} FROM t ORDER BY id", target.hex("v")));
    rows.iter().map(|row| (row[0] != "NULL").then(|| unhex(&row[0]))).collect()
}

#[test]
fn policies_are_kept_where_the_target_is_the_limit() {
    let place = Place::new();
    for (from, declared, value, to, clamped, text) in CASES {
        let source = Db::with(
            from,
            &place,
            &format!(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared} NULL); \
                 INSERT INTO t VALUES (7, {value}), (8, NULL);"
            ),
        );
        let fits = clamped == Some(text);
        for policy in ["null", "clamp", "text", "reject"] {
            let target = Db::new(to, &place);
            let fields = json!({
                "policy": {"default": policy}, "verify": "readback",
                "rejects": {"limit": 1, "file": place.path("rejects")},
            });
            let result = copied(&place, &source, &target, &fields);
            let what = format!("{source} to {target}: {declared} {value} {policy}: {result:#}");
            let table = &result["data"]["tables"][0];
            let (wanted, changed) = match policy {
                _ if fits => (Some(Some(text)), 0),
                "null" => (Some(None), 1),
                "clamp" => (clamped.map(Some), u64::from(clamped.is_some())),
                "text" => (Some(Some(text)), 0),
                _ => (None, 0),
            };
            assert_eq!(table["changed"], json!(changed), "{what}");
            assert_eq!(table["rejected"], json!(u64::from(wanted.is_none())), "{what}");
            let mut all: Vec<Option<String>> =
                wanted.into_iter().map(|text| text.map(str::to_owned)).collect();
            all.push(None);
            let mut there = found(&target);
            if declared == "DOUBLE PRECISION" || declared == "REAL" {
                // Exponents are written in several ways.
                for text in there.iter_mut().flatten() {
                    *text = text.replace("e+308", "e308");
                }
            }
            assert_eq!(there, all, "{what}");
        }
    }
}

/// One class makes the column text: what another class could not hold, text can.
#[test]
fn what_became_text_is_not_changed_by_the_policy_of_another_class() {
    let place = Place::new();
    let define = "CREATE TABLE t (id integer PRIMARY KEY, v numeric); \
                  INSERT INTO t VALUES (7, 'NaN'), (8, 1e70);";
    let source = Db::with(Postgres, &place, define);
    let target = Db::new(Maria, &place);
    let fields = json!({"policy": {"default": "null", "not_finite": "text"}, "verify": "readback"});
    let result = copied(&place, &source, &target, &fields);
    assert_eq!(result["data"]["tables"][0]["changed"], 0, "{result:#}");
    let wanted = [Some("NaN".to_owned()), Some(format!("1{}", "0".repeat(70)))];
    assert_eq!(found(&target), wanted, "{result:#}");
}

/// Text with a NUL has nothing near, in an engine that has none.
#[test]
fn text_with_a_nul_becomes_null_or_is_rejected() {
    let place = Place::new();
    let define = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); \
                  INSERT INTO t VALUES (7, 'a' || char(0) || 'b'), (8, 'c');";
    let source = Db::with(Sqlite, &place, define);
    for (policy, wanted) in [("null", "7,8"), ("clamp", "8"), ("reject", "8")] {
        let target = Db::new(Postgres, &place);
        let fields = json!({
            "policy": {"default": policy}, "rejects": {"limit": 1, "file": place.path("rejects")},
        });
        let result = copied(&place, &source, &target, &fields);
        let ids = target.one("SELECT string_agg(id::text, ',' ORDER BY id) FROM t");
        assert_eq!(ids, wanted, "{policy}: {result:#}");
        assert_eq!(target.one("SELECT count(*) FROM t WHERE v IS NOT NULL"), "1");
    }
}

/// SQLite pads nothing: text that is shorter than its column would be another value elsewhere.
#[test]
fn text_of_a_fixed_length_that_is_not_padded() {
    let place = Place::new();
    for (declared, told) in [("BPCHAR(5)", true), ("CHAR(5)", false), ("CHARACTER(5)", false)] {
        let define = format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared}); \
             INSERT INTO t VALUES (1, 'ab'), (2, 'abcde'), (3, 'c    '), (4, '');"
        );
        let source = Db::with(Sqlite, &place, &define);
        for to in [Postgres, Maria] {
            if told {
                let target = Db::new(to, &place);
                let told = refused(&place, &source, &target, &json!({}), "CENSUS_LOSS", 4);
                let hint = told["error"]["hint"].as_str().unwrap();
                assert!(hint.contains("1; 4"), "{target}: {told:#}");
            }
            let target = Db::new(to, &place);
            let fields = json!({"verify": "readback", "policy": {"not_declared": "text"}});
            copied(&place, &source, &target, &fields);
            let texts = ["ab", "abcde", "c    ", ""].map(|text| Some(text.to_owned()));
            assert_eq!(found(&target), texts, "{declared} to {target}");
        }
        let target = Db::new(Sqlite, &place);
        copied(&place, &source, &target, &json!({"verify": "readback"}));
        assert_eq!(target.query("SELECT * FROM t"), source.query("SELECT * FROM t"));
        same(&place, &source, &target);
    }
    // What is padded comes as it is, there and back.
    let define = "CREATE TABLE t (id INTEGER PRIMARY KEY, v CHAR(5)); \
                  INSERT INTO t VALUES (1, 'ab'), (2, 'abcde')";
    let source = Db::with(Postgres, &place, define);
    let (between, back) = (Db::new(Sqlite, &place), Db::new(Postgres, &place));
    copied(&place, &source, &between, &json!({"verify": "readback"}));
    copied(&place, &between, &back, &json!({"verify": "readback"}));
    same(&place, &source, &back);
    let column = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attname = 'v' \
                  AND attrelid = 't'::regclass";
    assert_eq!(back.one(column), "character(5)");
}
