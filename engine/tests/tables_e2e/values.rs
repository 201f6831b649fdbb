//! Every class of value that one engine holds and another may not: it arrives exactly, or the census
//! refuses it and names its row.
//!
//! Each case is a table of one column and two rows: the value, with the key 7, and NULL.

use serde_json::{Value, json};

use crate::cases::{CASES, Case, Want};
use crate::db::{Db, ENGINES, Engine, pairs, unhex};
use crate::session::Place;
use crate::{copied, run, tables};

/// Tables of one command: lists in results are bounded.
const AT_ONCE: usize = 12;

fn cases(from: Engine) -> Vec<&'static Case> {
    CASES.iter().filter(|case| case.from == from).collect()
}

/// A source with a table for every case.
fn source(from: Engine, place: &Place) -> Db {
    let db = Db::new(from, place);
    let mut sql = String::new();
    if from == Engine::Maria {
        sql.push_str(
            "SET NAMES utf8mb4; SET time_zone = '+00:00'; SET sql_mode = 'ALLOW_INVALID_DATES';\n",
        );
    }
    for case in cases(from) {
        let name = db.quote(case.name);
        for statement in case.before {
            sql.push_str(&format!("{statement};\n"));
        }
        let lite = if case.declared.is_empty() { "" } else { case.declared };
        sql.push_str(&format!("CREATE TABLE {name} (id INTEGER PRIMARY KEY, v {lite} NULL);\n"));
        sql.push_str(&format!("INSERT INTO {name} VALUES (7, {}), (8, NULL);\n", case.value));
    }
    db.run(&sql);
    db
}

/// What the target's own SQL says of a value that arrived.
fn found(target: &Db, table: &str, want: &Want) -> String {
    let expression = match want {
        Want::Text(_) => target.hex("v"),
        Want::Bytes(_) => target.bytes("v"),
        Want::By(expression, _) => target.hex(expression),
        Want::Lost(_) => return String::new(),
    };
    let session = match target.engine {
        Engine::Maria => "SET time_zone = '+00:00';\n",
        Engine::Postgres => "SET TimeZone = 'UTC'; SET lc_monetary = 'C';\n",
        Engine::Sqlite => "",
    };
    let table = target.quote(table);
    let rows = target.query(&format!("{session}SELECT id, {expression} FROM {table} ORDER BY id"));
    assert_eq!(rows.len(), 2, "{table}: {rows:?}");
    assert_eq!(rows[1], ["8", "NULL"], "{table}");
    assert_eq!(rows[0][0], "7");
    match want {
        Want::Bytes(_) => rows[0][1].clone(),
        _ if rows[0][1] == "NULL" => "NULL".to_owned(),
        _ => unhex(&rows[0][1]),
    }
}

/// All that goes wrong with the cases of a pair, for one list.
fn wrong(place: &Place, source: &Db, to: Engine) -> Vec<String> {
    let mut wrong = Vec::new();
    let cases = cases(source.engine);
    let (lost, kept): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|case| matches!(case.want(to), Want::Lost(_)));
    for part in kept.chunks(AT_ONCE) {
        let names: Vec<String> = part.iter().map(|case| glob(case.name)).collect();
        let target = Db::new(to, place);
        let (result, _) =
            tables(place, source, &target, &json!({"include": names, "verify": "readback"}));
        if result["status"] != "ok" {
            wrong.push(format!("{source} to {target}: {:#}", result["error"]));
            wrong.extend(part.iter().filter_map(|case| alone(place, source, to, case)));
            continue;
        }
        wrong.extend(part.iter().filter_map(|case| judged(&target, source, case)));
    }
    for part in lost.chunks(AT_ONCE) {
        let names: Vec<String> = part.iter().map(|case| glob(case.name)).collect();
        let target = Db::new(to, place);
        let fields = json!({"include": names});
        let (planned, _) = plan(place, source, &target, &fields);
        for case in part {
            let Want::Lost(class) = case.want(to) else { continue };
            let losses = planned["data"]["losses"].as_array().cloned().unwrap_or_default();
            let told = losses.iter().any(|loss| {
                loss["table"] == case.name
                    && loss["class"] == class
                    && loss["rows"] == 1
                    && loss["keys"] == json!(["7"])
            });
            if !told {
                let own: Vec<_> = losses.iter().filter(|loss| loss["table"] == case.name).collect();
                wrong.push(format!("{source} to {target}: {} is not {class}: {own:?}", case.name));
            }
        }
        let (result, status) = tables(place, source, &target, &fields);
        if (result["error"]["code"] != "CENSUS_LOSS" || status != 4) || !target.tables().is_empty()
        {
            wrong.push(format!("{source} to {target}: {:#}", result["error"]));
        }
    }
    wrong
}

/// A case that is copied by itself, so that others do not hide it.
fn alone(place: &Place, source: &Db, to: Engine, case: &Case) -> Option<String> {
    let target = Db::new(to, place);
    let (result, _) = tables(
        place,
        source,
        &target,
        &json!({"include": [glob(case.name)], "verify": "readback"}),
    );
    if result["status"] != "ok" {
        return Some(format!("{source} to {target}: {}: {}", case.name, result["error"]));
    }
    judged(&target, source, case)
}

fn judged(target: &Db, source: &Db, case: &Case) -> Option<String> {
    let want = case.want(target.engine);
    let found = found(target, case.name, &want);
    let (Want::Text(wanted) | Want::Bytes(wanted) | Want::By(_, wanted)) = want else {
        return None;
    };
    let name = case.name;
    (found != wanted).then(|| format!("{source} to {target}: {name} is {found:?}, not {wanted:?}"))
}

fn plan(place: &Place, from: &Db, to: &Db, fields: &Value) -> (Value, i32) {
    let mut command = json!({"op": "tables", "src": from.url(), "dst": to.url()});
    for (name, value) in fields.as_object().unwrap() {
        command[name] = value.clone();
    }
    run(place, &json!({"op": "plan", "id": "p", "command": command}))
}

fn glob(name: &str) -> String {
    assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{name}");
    name.to_owned()
}

#[test]
fn every_class_of_value_is_exact_or_refused() {
    let place = crate::place();
    let mut all = Vec::new();
    for (from, to) in pairs() {
        all.extend(wrong(&place, &source(from, &place), to));
    }
    assert!(all.is_empty(), "{} wrong:\n{}", all.len(), all.join("\n"));
}

/// MariaDB's zero has no sign: the plan says so, and who reads back finds it. The others keep it.
#[test]
fn a_zero_with_a_sign() {
    let place = crate::place();
    let sql = "CREATE TABLE t (id INTEGER PRIMARY KEY, v float8); INSERT INTO t VALUES (7, '-0')";
    let source = Db::with(Engine::Postgres, &place, sql);
    for to in ENGINES {
        let target = Db::new(to, &place);
        let (planned, _) = plan(&place, &source, &target, &json!({}));
        let (result, _) = tables(&place, &source, &target, &json!({"verify": "readback"}));
        let is_kept = to != Engine::Maria;
        assert_eq!(result["status"] == "ok", is_kept, "{result:#}");
        assert!(is_kept || result["error"]["code"] == "VERIFY_MISMATCH", "{result:#}");
        assert!(is_kept || planned.to_string().contains("-0.0 is kept as 0"), "{planned:#}");
        let text = match to {
            Engine::Postgres => "-0",
            Engine::Sqlite => "-zero",
            Engine::Maria => "0",
        };
        assert_eq!(target.query("SELECT v FROM t").concat(), [text], "{target}");
    }
}

/// A value that the target cannot hold, under each policy.
struct Loss {
    from: Engine,
    to: Engine,
    declared: &'static str,
    value: &'static str,
    class: &'static str,
    clamped: &'static str,
    text: &'static str,
}

const LOSSES: [Loss; 3] = [
    Loss {
        from: Engine::Maria,
        to: Engine::Postgres,
        declared: "DATE",
        value: "'2024-02-31'",
        class: "impossible_date",
        clamped: "2024-02-29",
        text: "2024-02-31",
    },
    Loss {
        from: Engine::Maria,
        to: Engine::Postgres,
        declared: "ENUM('a','b')",
        value: "''",
        class: "not_declared",
        clamped: "",
        text: "",
    },
    Loss {
        from: Engine::Sqlite,
        to: Engine::Sqlite,
        declared: "INTEGER",
        value: "'abc'",
        class: "not_declared",
        clamped: "",
        text: "abc",
    },
];

#[test]
fn each_policy_does_what_it_says_and_counts_it() {
    let built = |engine| ENGINES.contains(&engine);
    for loss in LOSSES.iter().filter(|loss| built(loss.from) && built(loss.to)) {
        let place = crate::place();
        let sql = format!("CREATE TABLE t (id INTEGER PRIMARY KEY, v {})", loss.declared);
        let source = Db::with(loss.from, &place, &sql);
        let session =
            if loss.from == Engine::Maria { "SET sql_mode='ALLOW_INVALID_DATES'; " } else { "" };
        source.run(&format!(
            "{session}INSERT INTO t VALUES (1, NULL), (2, {}), (3, NULL)",
            loss.value
        ));
        for (policy, rows, value, changed) in [
            ("null", 3, "NULL", 1),
            ("clamp", 3, loss.clamped, 1),
            ("text", 3, loss.text, 0),
            ("reject", 2, "", 0),
        ] {
            if policy == "clamp" && loss.clamped.is_empty() {
                continue;
            }
            let target = Db::new(loss.to, &place);
            let file = place.path(&format!("{policy}.jsonl"));
            let fields =
                json!({"policy": {loss.class: policy}, "rejects": {"limit": 1, "file": file}});
            let result = copied(&place, &source, &target, &fields);
            let what = format!("{source} to {target}, {policy}: {:#}", result["data"]);
            let table = &result["data"]["tables"][0];
            assert_eq!(
                (&table["rows"], &table["changed"]),
                (&json!(rows), &json!(changed)),
                "{what}"
            );
            assert_eq!(result["data"]["losses"][0]["policy"], policy, "{what}");
            let hex = target.hex("v");
            let found = target.query(&format!("SELECT {hex} FROM t WHERE id = 2"));
            if policy == "reject" {
                assert_eq!(found.len(), 0, "{what}");
                let text = std::fs::read_to_string(&file).unwrap();
                let line: Value = serde_json::from_str(text.trim_end()).unwrap();
                assert_eq!(
                    (&line["key"]["id"], &line["column"]),
                    (&json!("2"), &json!("v")),
                    "{line}"
                );
            } else {
                let found =
                    if found[0][0] == "NULL" { "NULL".to_owned() } else { unhex(&found[0][0]) };
                assert_eq!(found, value, "{what}");
            }
        }
    }
}
