//! Columns of another type at the target: exact, or counted before anything moves and dealt with as
//! was chosen.

use serde_json::{Value, json};

use crate::db::{Db, ENGINES, Engine, pairs};
use crate::{copied, refused, run, tables};

const SEED: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, n VARCHAR(40), d VARCHAR(40), \
    p VARCHAR(40), b VARCHAR(9), f VARCHAR(40), k INTEGER, j VARCHAR(40), m VARCHAR(40));\n\
    INSERT INTO t VALUES (1, '7', '2024-02-29', '1.5', 'true', '0.25', 10, '{\"a\":1}', \
    '2024-02-29 10:30:00'), (2, '-12', '1999-12-31', '-3', '0', '1e3', NULL, NULL, NULL);";

fn casts() -> Value {
    json!({"t.n": "bigint", "t.d": "date", "t.p": "decimal(6,2)", "t.b": "boolean",
        "t.f": "double", "t.k": "text", "t.j": "json", "t.m": "timestamp"})
}

#[test]
fn values_arrive_as_what_they_are_cast_to() {
    let place = crate::place();
    for (from, to) in pairs() {
        let (source, target) = (Db::with(from, &place, SEED), Db::new(to, &place));
        let fields = json!({"cast": casts(), "verify": "readback"});
        let result = copied(&place, &source, &target, &fields);
        assert_eq!(result["data"]["tables"][0]["proof"], "readback", "{result:#}");
        let found = "SELECT count(*) FROM t WHERE id = 1 AND n = 7 AND d = '2024-02-29' \
            AND p + 0 = 1.5 AND b AND f = 0.25 AND k = '10' AND m = '2024-02-29 10:30:00'";
        assert_eq!(target.one(found), "1", "{source} to {target}");
        let found = "SELECT count(*) FROM t WHERE id = 2 AND n + 1 = -11 AND p + 0 = -3 \
            AND NOT b AND f = 1000 AND k IS NULL AND j IS NULL AND m IS NULL";
        assert_eq!(target.one(found), "1", "{source} to {target}");
        // What was cast is added to a table that stands, by the same cast.
        let fields = json!({"cast": casts(), "mode": "merge"});
        copied(&place, &source, &target, &fields);
        assert_eq!(target.one("SELECT count(*) FROM t"), "2");
    }
}

const ODD: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20));\n\
    INSERT INTO t VALUES (1, '7'), (2, 'x'), (3, '40000'), (4, NULL), (5, '-5');";

#[test]
fn values_that_are_none_of_the_type_have_their_policy() {
    let place = crate::place();
    for (from, to) in pairs() {
        let source = Db::with(from, &place, ODD);
        let told = format!("{source} to {to:?}");
        let with = |more: Value| {
            let mut fields = json!({"cast": {"t.v": "smallint"}});
            for (name, value) in more.as_object().unwrap() {
                fields[name] = value.clone();
            }
            fields
        };
        let target = Db::new(to, &place);
        let result = refused(&place, &source, &target, &with(json!({})), "CENSUS_LOSS", 4);
        let hint = result["error"]["hint"].as_str().unwrap();
        assert!(hint.contains("the keys 2") || hint.contains("the keys 3"), "{told}: {result:#}");
        let rows = |target: &Db| target.query("SELECT id, v FROM t ORDER BY id").concat().join(" ");
        let mode = |policy: Value| with(json!({"mode": "replace", "policy": policy}));
        let result = copied(&place, &source, &target, &mode(json!({"default": "null"})));
        assert_eq!(rows(&target), "1 7 2 NULL 3 NULL 4 NULL 5 -5", "{told}");
        assert_eq!(result["data"]["tables"][0]["changed"], 2, "{told}: {result:#}");
        let clamped = json!({"not_cast": "null", "integer_outside": "clamp"});
        copied(&place, &source, &target, &mode(clamped));
        assert_eq!(rows(&target), "1 7 2 NULL 3 32767 4 NULL 5 -5", "{told}");
        copied(&place, &source, &target, &mode(json!({"default": "text"})));
        assert_eq!(rows(&target), "1 7 2 x 3 40000 4 NULL 5 -5", "{told}");
        let file = place.path(&format!("rejects {from:?} {to:?}"));
        let rejects = json!({"limit": 2, "file": file.to_str().unwrap()});
        let policy = json!({"default": "reject"});
        let fields = with(json!({"mode": "replace", "policy": policy, "rejects": rejects}));
        let result = copied(&place, &source, &target, &fields);
        assert_eq!(rows(&target), "1 7 4 NULL 5 -5", "{told}");
        assert_eq!(result["data"]["rejected"], 2, "{told}: {result:#}");
        let lines = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!((&lines[0]["column"], &lines[0]["row"]["v"]), (&json!("v"), &json!("x")));
        assert_eq!((lines.len(), &lines[1]["row"]["v"]), (2, &json!("40000")), "{told}");
    }
}

#[test]
fn a_plan_shows_casts_and_what_they_cost() {
    let place = crate::place();
    for engine in ENGINES {
        let (source, target) = (Db::with(engine, &place, ODD), Db::new(Engine::Sqlite, &place));
        let command = json!({"op": "tables", "src": source.url(), "dst": target.url(),
            "cast": {"t.v": "smallint"}});
        let (result, _) = run(&place, &json!({"op": "plan", "id": "p", "command": command}));
        let data = &result["data"];
        let text = data["notes"].to_string();
        assert!(text.contains("is cast to int16"), "{source}: {result:#}");
        let losses = data["losses"].as_array().unwrap();
        let told = |class: &str| losses.iter().find(|loss| loss["class"] == class).unwrap();
        assert_eq!(
            (&told("not_cast")["rows"], &told("not_cast")["keys"]),
            (&json!(1), &json!(["2"]))
        );
        assert_eq!(told("integer_outside")["keys"], json!(["3"]), "{source}");
        assert!(target.tables().is_empty());
    }
}

#[test]
fn casts_that_cannot_be_are_refused() {
    let place = crate::place();
    let (source, target) = (Db::with(Engine::Sqlite, &place, ODD), Db::new(Engine::Sqlite, &place));
    for (fields, code, exit) in [
        (json!({"cast": {"t.v": "money"}}), "INVALID_FIELD", 2),
        (json!({"cast": {"t.v": "bigint; DROP TABLE t"}}), "INVALID_FIELD", 2),
        (json!({"cast": {"t.v": "date"}, "mask": {"t.v": "hash"}}), "INVALID_FIELD", 2),
        (json!({"cast": {"t.none": "date"}}), "TABLE_NOT_FOUND", 4),
    ] {
        let (result, status) = tables(&place, &source, &target, &fields);
        assert_eq!(
            (&result["error"]["code"], status),
            (&json!(code), exit),
            "{fields}: {result:#}"
        );
        assert!(target.tables().is_empty());
    }
}
