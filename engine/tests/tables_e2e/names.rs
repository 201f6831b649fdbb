//! Hostile names of everything, and SQL in every field that takes text.

use migration_fixtures::name;
use serde_json::{Value, json};

use crate::db::{Db, ENGINES, Engine};
use crate::session::{Place, Session};
use crate::{copied, run, same};

/// Names that this engine takes and others may not: without NUL, the longest as long as it takes.
fn names(engine: Engine) -> Vec<String> {
    let mut all: Vec<String> = CLASSIC.iter().chain(&ODD).map(|name| (*name).to_owned()).collect();
    all.extend(["n", "é", "日", "😀"].map(|char| char.repeat(200)));
    let found = name::hostile(0);
    all.extend(found.iter().step_by(20).map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
    let fitted = all.into_iter().map(|name| fitted(&name, engine)).filter(|name| !name.is_empty());
    // Names that differ by case alone are one in SQLite.
    let mut seen = std::collections::HashSet::new();
    fitted.filter(|name| seen.insert(name.to_lowercase())).collect()
}

/// What an injection looks like, and words that are keys of the language.
const CLASSIC: [&str; 16] = [
    "\"; DROP TABLE victim; --",
    "`; DROP TABLE victim; --",
    "'; DROP TABLE victim; --",
    "a\"\"b",
    "a``b",
    "$$; DROP TABLE victim; $$",
    "/* x */",
    "a.b",
    "\"a\".\"b\"",
    "select",
    "table",
    "order",
    "ROWID",
    "a?b",
    "$1",
    "%s:name@x",
];

/// What one engine has a rule for, or a habit.
const ODD: [&str; 22] = [
    " ",
    " lead",
    "trail ",
    "tab\t",
    "a\nb",
    "\r\n",
    "\u{1}\u{7f}",
    "back\\slash\\",
    "Ünï cödé",
    "cafe",
    "café",
    "cafe\u{301}",
    "😀",
    "日本",
    "\u{202e}abc",
    "\u{feff}x",
    "\u{a0}",
    "primary",
    "sqlite_x",
    "pg_x",
    "#sql-x",
    "CON/../x",
];

fn fitted(name: &str, engine: Engine) -> String {
    let mut name: String = name.chars().filter(|c| *c != '\0').collect();
    // MariaDB keeps a table in a file, and writes most characters of its name with five.
    let file = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        name.chars().map(|c| if plain(c) { 1 } else { 5 }).sum::<usize>()
    };
    let most = |name: &str| match engine {
        Engine::Postgres => name.len() <= 63,
        Engine::Maria => name.chars().count() <= 64 && file(name) <= 240,
        Engine::Sqlite => name.len() <= 200,
    };
    while !most(&name) {
        name.pop();
    }
    if engine == Engine::Maria {
        // It takes no white space at the end, and no character beyond the basic plane.
        name.retain(|c| u32::from(c) < 0x1_0000);
        name.truncate(name.trim_end_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']).len());
    }
    let is_own = engine == Engine::Sqlite && name.to_lowercase().starts_with("sqlite_");
    if is_own { String::new() } else { name }
}

/// A table for every name: the name is also that of a column and of an index.
fn hostile(engine: Engine, place: &Place) -> (Db, Vec<String>) {
    let db = Db::new(engine, place);
    let names = names(engine);
    let mut sql = String::new();
    for (number, name) in names.iter().enumerate() {
        let own = db.quote(name);
        // Within one schema an index of PostgreSQL, and of SQLite, must not be called as a table is.
        let index = db.quote(&fitted(&format!("i{number} {name}"), engine));
        sql.push_str(&format!(
            "CREATE TABLE {own} (id INTEGER PRIMARY KEY, {own} VARCHAR(20));\n\
             CREATE INDEX {index} ON {own} ({own});\nINSERT INTO {own} VALUES ({number}, 'v{number}');\n"
        ));
    }
    db.run(&sql);
    (db, names)
}

/// What the target must hold: one row in each table, of the right one where it kept its name.
fn judge(target: &Db, names: &[String]) {
    let tables = target.tables();
    let sql =
        tables.iter().map(|name| format!("SELECT count(*), min(id) FROM {}", target.quote(name)));
    let rows = target.query(&sql.collect::<Vec<_>>().join("\nUNION ALL\n"));
    let mut seen = std::collections::BTreeSet::new();
    for (row, table) in rows.iter().zip(&tables) {
        let number: usize = row[1].parse().unwrap();
        assert!(row[0] == "1" && seen.insert(number), "{target}: {table:?}: {row:?}");
        assert!(
            names[number] == *table || !names.contains(table),
            "{target}: {table:?} is of another"
        );
    }
    assert_eq!((rows.len(), seen.len()), (names.len(), names.len()), "{target}");
}

fn through(from: Engine) {
    let place = crate::place();
    let (source, names) = hostile(from, &place);
    for to in ENGINES {
        let target = Db::new(to, &place);
        copied(&place, &source, &target, &json!({"parallel_spans": 2}));
        judge(&target, &names);
        same(&place, &source, &target);
        let indexes = match to {
            Engine::Sqlite => {
                "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND sql <> ''"
            }
            Engine::Postgres => {
                "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
                 JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = 'public' AND NOT i.indisprimary"
            }
            Engine::Maria => {
                "SELECT count(*) FROM information_schema.statistics \
                 WHERE table_schema = DATABASE() AND index_name <> 'PRIMARY'"
            }
        };
        assert_eq!(target.one(indexes), names.len().to_string(), "{source} to {target}");
    }
}

#[test]
fn hostile_names_of_postgres_arrive_everywhere() {
    through(Engine::Postgres);
}

#[test]
fn hostile_names_of_maria_arrive_everywhere() {
    through(Engine::Maria);
}

#[test]
fn hostile_names_of_sqlite_arrive_everywhere() {
    through(Engine::Sqlite);
}

/// Names beyond the longest of the target are cut, told, and stay apart.
#[test]
fn long_names_are_cut_and_told() {
    let place = crate::place();
    let (a, b) = (format!("{}a", "n".repeat(80)), format!("{}b", "n".repeat(80)));
    let source = Db::new(Engine::Sqlite, &place);
    source
        .run(&format!("CREATE TABLE {a} ({a} INTEGER, {b} INTEGER); CREATE TABLE {b} (x INTEGER)"));
    source.run(&format!("INSERT INTO {a} VALUES (1, 2); INSERT INTO {b} VALUES (3)"));
    for to in ENGINES {
        let target = Db::new(to, &place);
        let command = json!({"op": "tables", "src": source.url(), "dst": target.url()});
        let (planned, _) = run(&place, &json!({"op": "plan", "id": "p", "command": command}));
        copied(&place, &source, &target, &json!({}));
        same(&place, &source, &target);
        for table in planned["data"]["tables"].as_array().unwrap() {
            let renamed = table["renamed"].as_array().unwrap();
            assert_eq!(renamed.is_empty(), to == Engine::Sqlite, "{table}");
            let name = target.quote(table["target"].as_str().unwrap());
            let row = target.query(&format!("SELECT * FROM {name}")).concat();
            assert_eq!(row, if table["table"] == a { vec!["1", "2"] } else { vec!["3"] });
        }
    }
}

/// What closes a condition and goes on with something else.
const CONDITIONS: [&str; 9] = [
    "1=1; DROP TABLE victim",
    "1=1); DROP TABLE victim; --",
    "1=1\n); DELETE FROM victim; SELECT (1",
    "1=1); COMMIT; BEGIN READ WRITE; DROP TABLE victim; COMMIT; --",
    "1=1 THEN 1 END FROM victim; COMMIT; BEGIN READ WRITE; DROP TABLE victim; COMMIT; --",
    "1=0) OR (1=1",
    "1=1) --",
    "1=1) /*",
    "1=1 /*",
];

/// SQL in any field of a command changes nothing on either side, and reads nothing else.
#[test]
fn injection_through_every_field_fails() {
    let place = crate::place();
    for (at, from) in ENGINES.into_iter().enumerate() {
        let to = ENGINES[(at + 1) % ENGINES.len()];
        let seed = "CREATE TABLE victim (id INTEGER PRIMARY KEY, v VARCHAR(9));\n\
                    INSERT INTO victim VALUES (1, 'here');";
        let (source, target) = (Db::with(from, &place, seed), Db::with(to, &place, seed));
        let mut session = Session::start(&place, &[]);
        for (number, fields) in attacks().iter().enumerate() {
            let mut command = json!({
                "op": "tables", "id": number.to_string(), "src": source.url(), "dst": target.url(),
            });
            for (name, value) in fields.as_object().unwrap() {
                command[name] = value.clone();
            }
            let is_harmless = fields.get("key").is_some();
            if is_harmless {
                command["key"] = json!(format!("{from:?} {}", fields["key"]));
            }
            let result = session.call(&command);
            let told = format!("{source} to {target}: {fields}: {result:#}");
            assert_eq!(result["status"] == "ok", is_harmless, "{told}");
        }
        session.end();
        let odd = format!("{}%22%3B%20DROP%20TABLE%20victim", source.url());
        let command = json!({"op": "tables", "id": "t", "src": odd, "dst": target.url()});
        let (result, _) = run(&place, &command);
        assert_ne!(result["status"], "ok", "{result:#}");
        for db in [&source, &target] {
            assert_eq!(db.query("SELECT id, v FROM victim"), [["1", "here"]], "{db}");
            assert_eq!((db.tables().len(), db.ledgers()), (1, 0), "{db}");
        }
    }
}

/// SQL in each field that takes text.
fn attacks() -> Vec<Value> {
    let replaced = |attack| json!({"mode": "replace", "where": {"victim": attack}});
    let mut attacks: Vec<Value> = CONDITIONS.iter().map(replaced).collect();
    for attack in &CLASSIC[..3] {
        attacks.extend([
            json!({"mode": "append", "where": {"victim": attack}}),
            json!({"mode": "append", "where": {*attack: "1=1"}}),
            json!({"mode": "append", "columns": {"victim": [attack]}}),
            json!({"mode": "append", "columns": {*attack: ["id"]}}),
            json!({"mode": "append", "include": [attack]}),
            json!({"mode": "append", "exclude": [attack], "include": ["none"]}),
            json!({"mode": "append", "policy": {*attack: "null"}}),
            json!({"mode": "append", "where": {"victim": "1=0"}, "key": attack}),
        ]);
    }
    attacks
}

/// Names of parts of tables, and how many of them one table has: MariaDB has 64 indexes at most.
const PARTS: usize = 500;
const PARTS_A_TABLE: usize = 50;

/// 500 names, each that of a column, of an index, of a foreign key and of a check.
fn parts(engine: Engine, place: &Place) -> Db {
    let db = Db::new(engine, place);
    let hostile = name::hostile(1);
    let numbered: Vec<(usize, String)> = hostile
        .iter()
        .cycle()
        .take(PARTS)
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .enumerate()
        .collect();
    let mut sql = "CREATE TABLE parent (id INTEGER PRIMARY KEY);\nINSERT INTO parent VALUES (1);\n"
        .to_owned();
    for (table, names) in numbered.chunks(PARTS_A_TABLE).enumerate() {
        let (mut columns, mut constraints, mut indexes) =
            (String::new(), String::new(), String::new());
        for (number, text) in names {
            let of = |kind: char| db.quote(&fitted(&format!("{kind}{number} {text}"), engine));
            let column = of('k');
            columns.push_str(&format!(", {column} INTEGER"));
            constraints.push_str(&format!(
                ", CONSTRAINT {} CHECK ({column} > 0), \
                 CONSTRAINT {} FOREIGN KEY ({column}) REFERENCES parent (id)",
                of('c'),
                of('f'),
            ));
            indexes.push_str(&format!("CREATE INDEX {} ON t{table} ({column});\n", of('i')));
        }
        let ones = ", 1".repeat(names.len());
        sql.push_str(&format!(
            "CREATE TABLE t{table} (id INTEGER PRIMARY KEY{columns}{constraints});\n{indexes}\
             INSERT INTO t{table} VALUES ({table}{ones});\n",
        ));
    }
    db.run(&sql);
    db
}

/// Queries that count indexes, foreign keys and checks; none for what an engine does not tell.
fn counts(engine: Engine) -> [&'static str; 3] {
    match engine {
        Engine::Sqlite => [
            "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND sql <> ''",
            "SELECT count(*) FROM sqlite_schema s, pragma_foreign_key_list(s.name) f \
             WHERE s.type = 'table'",
            "",
        ],
        Engine::Postgres => [
            "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
             WHERE c.relnamespace = 'public'::regnamespace AND NOT i.indisprimary",
            "SELECT count(*) FROM pg_constraint \
             WHERE contype = 'f' AND connamespace = 'public'::regnamespace",
            "SELECT count(*) FROM pg_constraint \
             WHERE contype = 'c' AND connamespace = 'public'::regnamespace",
        ],
        Engine::Maria => [
            "SELECT count(*) FROM information_schema.statistics \
             WHERE table_schema = DATABASE() AND index_name <> 'PRIMARY'",
            "SELECT count(*) FROM information_schema.table_constraints \
             WHERE constraint_schema = DATABASE() AND constraint_type = 'FOREIGN KEY'",
            "SELECT count(*) FROM information_schema.check_constraints \
             WHERE constraint_schema = DATABASE()",
        ],
    }
}

fn parts_through(from: Engine) {
    let place = crate::place();
    let source = parts(from, &place);
    for to in ENGINES {
        let target = Db::new(to, &place);
        copied(&place, &source, &target, &json!({"parallel_spans": 2}));
        same(&place, &source, &target);
        let [indexes, foreign, checks] = counts(to);
        let count = |sql: &str| target.one(sql).parse::<usize>().unwrap();
        assert_eq!(count(indexes), PARTS, "{source} to {target}");
        assert_eq!(count(foreign), PARTS, "{source} to {target}");
        if from == to && !checks.is_empty() {
            assert_eq!(count(checks), PARTS, "{source} to {target}");
        }
    }
}

#[test]
fn hostile_names_of_parts_of_postgres_arrive_everywhere() {
    parts_through(Engine::Postgres);
}

#[test]
fn hostile_names_of_parts_of_maria_arrive_everywhere() {
    parts_through(Engine::Maria);
}

#[test]
fn hostile_names_of_parts_of_sqlite_arrive_everywhere() {
    parts_through(Engine::Sqlite);
}

/// What looks like SQL in a new name, or in a constant, is a name, or a text.
#[test]
fn injection_through_names_and_constants_is_only_text() {
    let place = crate::place();
    for from in ENGINES {
        for to in ENGINES {
            let seed = "CREATE TABLE victim (id INTEGER PRIMARY KEY, v VARCHAR(9));\n\
                        INSERT INTO victim VALUES (1, 'here');";
            let (source, target) = (Db::with(from, &place, seed), Db::with(to, &place, seed));
            for (number, attack) in CLASSIC[..3].iter().enumerate() {
                let attack = format!("{number}{attack}");
                let fields = json!({
                    "rename": {"victim": attack, "victim.v": attack},
                    "mask": {"victim.v": {"constant": attack}},
                });
                copied(&place, &source, &target, &fields);
                let name = target.quote(&attack);
                let found = target.query(&format!("SELECT id, {name} FROM {name}"));
                assert_eq!(found, [["1".to_owned(), attack]], "{source} to {target}");
            }
            for db in [&source, &target] {
                assert_eq!(db.query("SELECT id, v FROM victim"), [["1", "here"]], "{db}");
            }
            assert_eq!((target.tables().len(), target.ledgers()), (4, 0), "{target}");
            for (field, value) in [
                ("cast", json!({"victim.v": CLASSIC[0]})),
                ("cast", json!({CLASSIC[0]: "text"})),
                ("mask", json!({CLASSIC[0]: "hash"})),
                ("rename", json!({CLASSIC[0]: "x"})),
            ] {
                let mut command = json!({"op": "tables", "id": "t", "src": source.url(),
                    "dst": target.url(), "mode": "append"});
                command[field] = value;
                let (result, _) = run(&place, &command);
                assert_eq!(result["status"], "failed", "{source} to {target}: {result:#}");
            }
        }
    }
}
