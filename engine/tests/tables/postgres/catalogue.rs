//! Schemas, read and made again.

use migration_engine::model::catalog::{Action, Catalog, DefaultValue, Table};
use migration_engine::model::kind::ColumnType;

use super::scratch::{Scratch, location, open_sink, open_source};

const SCHEMA: &str = "
    CREATE SCHEMA \"Odd \"\"one\"; CREATE TYPE mood AS ENUM ('a', 'b''c');
    CREATE TABLE parent (id integer GENERATED ALWAYS AS IDENTITY (INCREMENT BY 5) PRIMARY KEY,
        code varchar(10) NOT NULL UNIQUE);
    COMMENT ON TABLE parent IS 'it''s';
    CREATE TABLE \"Odd \"\"one\".\"Tab\"\"le\" (
        \"se lect\" bigserial, pid integer DEFAULT 7 REFERENCES parent ON DELETE CASCADE
            ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED,
        t text NOT NULL DEFAULT 'it''s', b boolean DEFAULT true, ts timestamptz DEFAULT now(),
        d date DEFAULT CURRENT_DATE, n numeric(10,2) DEFAULT 1.50, m mood DEFAULT 'b''c',
        g integer GENERATED ALWAYS AS (pid * 2) STORED, x integer[] DEFAULT '{}',
        PRIMARY KEY (t, \"se lect\"), CONSTRAINT \"che\"\"ck\" CHECK (n > 0));
    COMMENT ON COLUMN \"Odd \"\"one\".\"Tab\"\"le\".t IS 'a '' comment';
    CREATE INDEX plain ON \"Odd \"\"one\".\"Tab\"\"le\" (n DESC, d);
    CREATE UNIQUE INDEX partial ON \"Odd \"\"one\".\"Tab\"\"le\" (pid) WHERE pid > 3;
    CREATE INDEX expr ON \"Odd \"\"one\".\"Tab\"\"le\" (lower(t));
    CREATE INDEX ops ON \"Odd \"\"one\".\"Tab\"\"le\" (t text_pattern_ops);
    CREATE INDEX incl ON \"Odd \"\"one\".\"Tab\"\"le\" (pid) INCLUDE (n);
    CREATE INDEX arr ON \"Odd \"\"one\".\"Tab\"\"le\" USING gin (x);
    CREATE INDEX hash ON parent USING hash (code);
    INSERT INTO parent (code) VALUES ('a'), ('b');";

fn shape(table: &Table) -> Table {
    let mut table = table.clone();
    (table.rows_estimate, table.bytes) = (None, None);
    table.checks.sort_by(|a, b| a.expression.cmp(&b.expression));
    table
}

#[test]
fn a_schema_is_read_and_made_again() {
    let from = Scratch::with(SCHEMA);
    let catalog = from.source().catalog().unwrap();
    assert!(catalog.version.starts_with("PostgreSQL 1"), "{}", catalog.version);
    let [odd, parent] = two(&catalog);
    assert_eq!(parent.comment, "it's");
    let id = parent.columns[0].identity.as_ref().unwrap();
    assert_eq!((id.always, id.next, id.step), (true, Some(11), 5));
    assert_eq!(parent.indexes.len(), 2);
    let column = |name: &str| odd.column(name).unwrap();
    assert!(!column("se lect").identity.as_ref().unwrap().always);
    assert_eq!(column("t").default, Some(DefaultValue::Text("it's".to_owned())));
    assert_eq!(column("ts").default, Some(DefaultValue::Now(6)));
    assert_eq!(column("n").kind, ColumnType::Decimal(Some((10, 2))));
    assert_eq!(column("m").kind, ColumnType::Enum(vec!["a".to_owned(), "b'c".to_owned()]));
    assert!(column("g").generated.is_some());
    assert_eq!(odd.primary_key.as_ref().unwrap().columns, ["t", "se lect"]);
    let key = &odd.foreign_keys[0];
    assert_eq!(
        (key.on_delete, key.on_update, key.deferred),
        (Action::Cascade, Action::SetNull, true)
    );
    assert_eq!((key.to.schema.as_str(), key.to_columns[0].as_str()), ("", "id"));

    let to = Scratch::new();
    let sink = to.sink();
    let made: Vec<_> = [parent, odd].iter().map(|table| sink.statements(table).unwrap()).collect();
    for made in &made {
        assert!(made.left.is_empty(), "{:?}", made.left);
        sink.execute(&made.create).unwrap();
    }
    for made in &made {
        let named = made.indexes.iter().map(|named| named.sql.clone());
        sink.execute(&named.collect::<Vec<_>>()).unwrap();
    }
    for made in &made {
        let named = made.constraints.iter().map(|named| named.sql.clone());
        sink.execute(&named.collect::<Vec<_>>()).unwrap();
        sink.execute(&made.finish).unwrap();
    }
    let again = sink.catalog().unwrap();
    let [odd_again, parent_again] = two(&again);
    assert_eq!(shape(parent), shape(parent_again));
    let (mut odd, mut odd_again) = (shape(odd), shape(odd_again));
    // An enum is kept as text with a check.
    assert_eq!(odd_again.checks.len(), 2);
    odd_again.checks.retain(|check| check.name == "che\"ck");
    for (one, other) in odd.columns.iter_mut().zip(&mut odd_again.columns) {
        if one.name == "m" {
            other.kind.clone_from(&one.kind);
        }
        other.declared.clone_from(&one.declared);
    }
    odd.primary_key.as_mut().unwrap().name.clear();
    odd_again.primary_key.as_mut().unwrap().name.clear();
    assert_eq!(odd, odd_again);
    assert_eq!(to.sql("INSERT INTO parent (code) VALUES ('z') RETURNING id"), "11");
}

fn two(catalog: &Catalog) -> [&Table; 2] {
    assert_eq!(catalog.tables.len(), 2);
    let odd = catalog.tables.iter().find(|table| !table.name.schema.is_empty()).unwrap();
    assert_eq!((odd.name.schema.as_str(), odd.name.name.as_str()), ("Odd \"one", "Tab\"le"));
    [odd, catalog.tables.iter().find(|table| table.name.name == "parent").unwrap()]
}

#[test]
fn partitions_are_one_table_and_children_are_tables() {
    let scratch = Scratch::with(
        "CREATE TABLE p (a integer PRIMARY KEY) PARTITION BY RANGE (a); \
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); \
         CREATE TABLE p2 PARTITION OF p DEFAULT; INSERT INTO p VALUES (1), (100); ANALYZE; \
         CREATE TABLE base (a integer); CREATE TABLE derived (b integer) INHERITS (base)",
    );
    let catalog = scratch.source().catalog().unwrap();
    let names: Vec<_> = catalog.tables.iter().map(|table| table.name.shown()).collect();
    assert_eq!(names, ["base", "derived", "p"]);
    let p = &catalog.tables[2];
    assert!(p.partitioned && p.rows_estimate == Some(2) && p.bytes > Some(0));
}

#[test]
fn what_is_no_table_is_told_with_its_statement() {
    let scratch = Scratch::with(
        "CREATE TABLE t (a integer PRIMARY KEY); CREATE VIEW v AS SELECT * FROM t; \
         CREATE MATERIALIZED VIEW mv AS SELECT 1 AS a; CREATE SEQUENCE s; \
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'; \
         CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); \
         CREATE DOMAIN dm AS text CHECK (value <> ''); CREATE TYPE en AS ENUM ('a'); \
         CREATE AGGREGATE agg (integer) (sfunc = int4pl, stype = integer)",
    );
    let catalog = scratch.source().catalog().unwrap();
    let found: Vec<_> = catalog
        .others
        .iter()
        .map(|other| format!("{} {}", other.what, other.name.shown()))
        .collect();
    let expected = [
        "view v",
        "materialized_view mv",
        "sequence s",
        "trigger tr",
        "function agg",
        "function f",
        "type dm",
        "type en",
    ];
    assert_eq!(found, expected);
    let view = &catalog.others[0];
    assert!(view.definition.starts_with("CREATE VIEW public.v AS"), "{}", view.definition);
}

#[test]
fn the_schema_of_the_url_is_the_one_without_a_name() {
    let scratch = Scratch::with("CREATE SCHEMA other; CREATE TABLE other.t (a integer)");
    let url = format!("{}?schema=other", scratch.url);
    let catalog = open_source(&location(&url)).unwrap().catalog().unwrap();
    assert_eq!(catalog.tables[0].name.shown(), "t");
    let sink = open_sink(&location(&url)).unwrap();
    let mut table = catalog.tables[0].clone();
    table.name.name = "u".to_owned();
    sink.execute(&sink.statements(&table).unwrap().create).unwrap();
    assert_eq!(scratch.sql("SELECT count(*) FROM other.u"), "0");
}

#[test]
fn hostile_names_are_names() {
    let scratch = Scratch::new();
    let sink = scratch.sink();
    let names = ["select", "a\"; DROP TABLE x; --", "é😀", "a'b\\", "A", "a", " ", "$1", "\u{1f}x"];
    for name in names {
        let mut table = Table::default();
        table.name.name = name.to_owned();
        table.columns = vec![migration_engine::model::catalog::Column {
            name: name.to_owned(),
            kind: ColumnType::Enum(vec![name.to_owned()]),
            declared: String::new(),
            nullable: false,
            default: Some(DefaultValue::Text(name.to_owned())),
            identity: None,
            generated: None,
            comment: name.to_owned(),
        }];
        let made = sink.statements(&table).unwrap();
        sink.execute(&[made.create, made.finish].concat()).unwrap();
    }
    let found = sink.catalog().unwrap().tables;
    let mut seen: Vec<_> = found.iter().map(|table| table.name.name.as_str()).collect();
    let mut names = names.to_vec();
    seen.sort_unstable();
    names.sort_unstable();
    assert_eq!(seen, names);
    for table in &found {
        let column = &table.columns[0];
        assert_eq!((&column.name, &column.comment), (&table.name.name, &table.name.name));
        assert!(column.default.is_some());
    }
    let mut table = Table::default();
    table.name.name = "x".repeat(64);
    assert!(sink.statements(&table).is_err());
}
