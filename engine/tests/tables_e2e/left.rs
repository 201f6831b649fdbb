//! Whatever of a database is not carried is named, with the reason, by the plan and by the result.

use serde_json::{Value, json};

use crate::db::{Db, Engine};
use crate::session::Place;
use crate::{copied, run};

/// What a plan says of this copy, which then must say the same when it is done.
fn told(place: &Place, source: &Db, to: Engine) -> Value {
    let target = Db::new(to, place);
    let command = json!({"op": "tables", "src": source.url(), "dst": target.url()});
    let (plan, _) = run(place, &json!({"op": "plan", "id": "p", "command": command}));
    assert_eq!(plan["status"], "ok", "{source} to {to:?}: {plan:#}");
    let result = copied(place, source, &target, &json!({}));
    assert_eq!(plan["data"]["notes"], result["data"]["notes"], "{source} to {to:?}");
    assert_eq!(plan["data"]["not_carried"], result["data"]["not_carried"]);
    plan["data"].clone()
}

/// Each of these must be in a note about this thing.
fn check(told: &Value, wanted: &[(&str, &str)]) {
    let notes = told["notes"].as_array().unwrap();
    for (name, words) in wanted {
        let is = |note: &&Value| {
            let of = |field: &str| note[field].as_str().unwrap_or_default().to_owned();
            of("table") == *name && (of("note") + &of("column")).contains(words)
        };
        assert!(notes.iter().any(|note| is(&note)), "nothing of {name}: {words}: {told:#}");
    }
}

const POSTGRES: &str = "CREATE FUNCTION five() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 5';\n\
    CREATE SEQUENCE loose;\n\
    CREATE TABLE t (id integer PRIMARY KEY, a integer DEFAULT five(), b integer DEFAULT \
    nextval('loose'), c text COLLATE \"C\", g integer GENERATED ALWAYS AS (id + 1) STORED, \
    CONSTRAINT calls CHECK (id < five() * 1000), CONSTRAINT usual CHECK (id > 0));\n\
    CREATE INDEX part ON t (a) WHERE a > 3; CREATE INDEX expr ON t (lower(c));\n\
    CREATE INDEX called ON t ((id + five())); CREATE INDEX hashed ON t USING hash (c);\n\
    COMMENT ON TABLE t IS 'about t'; COMMENT ON COLUMN t.c IS 'about c';\n\
    INSERT INTO t (id) VALUES (1);\n\
    CREATE TABLE x (r int4range, EXCLUDE USING gist (r WITH &&)); INSERT INTO x VALUES ('[1,2)');\n\
    CREATE TABLE parts (k integer) PARTITION BY RANGE (k);\n\
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);\n\
    INSERT INTO parts VALUES (5);\n\
    CREATE TABLE heir (more integer) INHERITS (x);\n\
    CREATE VIEW v AS SELECT id FROM t; CREATE MATERIALIZED VIEW mv AS SELECT id FROM t;\n\
    CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';\n\
    CREATE TRIGGER trig BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf();\n\
    CREATE RULE quiet AS ON DELETE TO t DO INSTEAD NOTHING;\n\
    CREATE STATISTICS st ON id, a FROM t;\n\
    ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY pol ON t USING (true);";

#[test]
fn of_postgres_everything_that_is_left_is_named() {
    let place = crate::place();
    let source = Db::with(Engine::Postgres, &place, POSTGRES);
    let everywhere = [
        ("v", "a view is not carried"),
        ("mv", "a materialized_view is not carried"),
        ("trig", "a trigger is not carried"),
        ("five", "a function is not carried"),
        ("loose", "a sequence is not carried"),
        ("pol", "a policy is not carried"),
        ("t", "a row_security is not carried"),
        ("quiet", "a rule is not carried"),
        ("st", "a statistics is not carried"),
        ("parts_1", "a partition is not carried"),
        ("parts", "its partitions are not carried"),
        ("heir", "an inheritance is not carried"),
        ("t.c", "a collation is not carried"),
        ("t", "its default is not carried: public.five()"),
        ("t", "its default is not carried: nextval"),
        ("t", "the check calls is not carried"),
        ("t", "called is not carried"),
    ];
    let elsewhere = [
        ("t", "its values are copied, not made of"),
        ("t", "the check usual is not carried"),
        ("t", "part is not carried: it has a condition"),
        ("t", "expr is not carried: it is of an expression"),
        ("t", "hashed is not carried: it works by hash"),
        ("x", "is not carried: it works by exclusion"),
    ];
    for to in [Engine::Postgres, Engine::Maria, Engine::Sqlite] {
        let mut told = told(&place, &source, to);
        check(&told, &everywhere);
        if to != Engine::Postgres {
            check(&told, &elsewhere);
        }
        if to == Engine::Sqlite {
            check(
                &told,
                &[("t", "its comment is not carried"), ("t", "its comment is not carriedc")],
            );
        }
        let counts = told["not_carried"].take();
        assert_eq!((&counts["view"], &counts["function"]), (&json!(1), &json!(2)), "{counts}");
    }
}

const MARIA: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, c VARCHAR(20) COLLATE \
    utf8mb4_general_ci COMMENT 'about c', g INTEGER AS (id + 1) STORED, FULLTEXT INDEX ft (c), \
    CONSTRAINT usual CHECK (id > 0)) COMMENT 'about t';\nINSERT INTO t (id) VALUES (1);\n\
    CREATE TABLE parts (k INTEGER) PARTITION BY RANGE (k) (PARTITION p1 VALUES LESS THAN (10));\n\
    INSERT INTO parts VALUES (5);\nCREATE VIEW v AS SELECT id FROM t;\n\
    CREATE TRIGGER trig BEFORE INSERT ON t FOR EACH ROW SET NEW.c = 'x';\n\
    CREATE FUNCTION five() RETURNS INTEGER DETERMINISTIC RETURN 5;\n\
    CREATE EVENT ev ON SCHEDULE EVERY 1 YEAR DO SELECT 1;\nCREATE SEQUENCE loose;";

#[test]
fn of_maria_everything_that_is_left_is_named() {
    let place = crate::place();
    let source = Db::with(Engine::Maria, &place, MARIA);
    let everywhere = [
        ("v", "a view is not carried"),
        ("trig", "a trigger is not carried"),
        ("five", "a routine is not carried"),
        ("ev", "an event is not carried"),
        ("loose", "a sequence is not carried"),
        ("parts.p1", "a partition is not carried"),
        ("parts", "its partitions are not carried"),
        ("t", "a collation is not carried: COLLATE utf8mb4_general_ci"),
    ];
    let elsewhere = [
        ("t", "its values are copied, not made of"),
        ("t", "the check usual is not carried"),
        ("t", "is not carried: it works by FULLTEXT"),
    ];
    for to in [Engine::Maria, Engine::Postgres, Engine::Sqlite] {
        let told = told(&place, &source, to);
        check(&told, &everywhere);
        if to != Engine::Maria {
            check(&told, &elsewhere);
        }
        if to == Engine::Sqlite {
            check(&told, &[("t", "its comment is not carried")]);
        }
    }
}

const SQLITE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT COLLATE NOCASE, \
    g INTEGER GENERATED ALWAYS AS (id + 1) STORED, CHECK (id > 0));\nINSERT INTO t (id) VALUES (1);\n\
    CREATE INDEX part ON t (c) WHERE c > 'a'; CREATE INDEX expr ON t (lower(c));\n\
    CREATE VIEW v AS SELECT id FROM t;\n\
    CREATE TRIGGER trig AFTER INSERT ON t BEGIN SELECT 1; END;";

#[test]
fn of_sqlite_everything_that_is_left_is_named() {
    let place = crate::place();
    let source = Db::with(Engine::Sqlite, &place, SQLITE);
    let everywhere = [
        ("v", "a view is not carried"),
        ("trig", "a trigger is not carried"),
        ("t", "a collation is not carried: COLLATE NOCASE"),
    ];
    let elsewhere = [
        ("t", "its values are copied, not made of"),
        ("t", "the index part is not carried: it has a condition"),
        ("t", "the index expr is not carried: it is of an expression"),
        ("t", "the check t_check1 is not carried"),
    ];
    for to in [Engine::Sqlite, Engine::Postgres, Engine::Maria] {
        let told = told(&place, &source, to);
        check(&told, &everywhere);
        if to != Engine::Sqlite {
            check(&told, &[elsewhere[0], elsewhere[3]]);
            let notes = told["notes"].to_string();
            assert!(notes.contains("part is not carried: it has a condition"), "{told:#}");
            assert!(notes.contains("expr is not carried: it is of an expression"), "{told:#}");
        }
    }
}
