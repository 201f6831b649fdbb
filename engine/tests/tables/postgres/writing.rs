//! Writing: savepoints, merging, what columns and servers refuse.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{Field, Schema};
use migration_engine::endpoint::rows::{Meets, WriteFault};
use migration_engine::error::Kind;
use migration_engine::model::kind::ColumnType;
use migration_engine::model::rows::{Cell, Misfit, Rows};

use super::scratch::{Scratch, named, receipt, write_all, writing};

fn cells() -> Vec<Cell> {
    let cell = |name: &str, kind| Cell { name: name.to_owned(), kind, misfit: Misfit::Fail };
    vec![cell("id", ColumnType::Int(64)), cell("v", ColumnType::Text(None))]
}

fn rows(values: &[(i64, &str)]) -> Rows {
    let ids: ArrayRef = Arc::new(values.iter().map(|v| Some(v.0)).collect::<Int64Array>());
    let texts: ArrayRef = Arc::new(values.iter().map(|v| Some(v.1)).collect::<StringArray>());
    let fields: Vec<_> =
        cells().iter().map(|cell| Field::new(&cell.name, cell.kind.arrow(), true)).collect();
    Rows::Batch(RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![ids, texts]).unwrap())
}

fn target(setup: &str) -> Scratch {
    Scratch::with(&format!("CREATE TABLE t (id bigint PRIMARY KEY, v text); {setup}"))
}

#[test]
fn a_refused_row_is_undone_to_its_savepoint() {
    let scratch = target("ALTER TABLE t ADD CHECK (v <> 'bad')");
    let sink = scratch.sink();
    let job = sink.open_ledger("job").unwrap().job;
    let mut writer = sink.writer(&job).unwrap();
    writer.begin(&writing(&named("t"), cells())).unwrap();
    let refused = |result| match result {
        Err(WriteFault::Row(error)) => assert_eq!(error.kind(), Kind::RowRefused),
        other => panic!("{other:?}"),
    };
    writer.savepoint().unwrap();
    writer.write(&rows(&[(1, "a"), (2, "bad"), (3, "c")])).unwrap();
    refused(writer.settle());
    writer.back().unwrap();
    for (row, good) in [((1, "a"), true), ((2, "bad"), false), ((3, "c"), true), ((1, "x"), false)]
    {
        writer.savepoint().unwrap();
        writer.write(&rows(&[row])).unwrap();
        match good {
            true => writer.settle().unwrap(),
            false => {
                refused(writer.settle());
                writer.back().unwrap();
            }
        }
    }
    writer.savepoint().unwrap();
    refused(writer.write(&rows(&[(9, "nul\0")])).and_then(|()| writer.settle()));
    writer.back().unwrap();
    // A batch that is still on its way is undone too.
    writer.savepoint().unwrap();
    writer.write(&rows(&[(7, "z")])).unwrap();
    writer.back().unwrap();
    writer.commit(&receipt(&named("t"), 0, 2)).unwrap();
    assert_eq!(scratch.sql("SELECT string_agg(id || v, ' ' ORDER BY id) FROM t"), "1a 3c");
}

#[test]
fn a_column_without_binary_form_is_written_as_text_with_savepoints() {
    let scratch = target("ALTER TABLE t ALTER v TYPE inet USING NULL");
    let sink = scratch.sink();
    let job = sink.open_ledger("job").unwrap().job;
    let mut writer = sink.writer(&job).unwrap();
    writer.begin(&writing(&named("t"), cells())).unwrap();
    writer.savepoint().unwrap();
    writer.write(&rows(&[(1, "::1"), (2, "no address")])).unwrap();
    assert!(matches!(writer.settle(), Err(WriteFault::Row(_))));
    writer.back().unwrap();
    writer.write(&rows(&[(1, "::1")])).unwrap();
    writer.commit(&receipt(&named("t"), 0, 1)).unwrap();
    assert_eq!(scratch.sql("SELECT * FROM t"), "1|::1");
}

#[test]
fn rows_replace_those_of_their_keys() {
    let scratch = target(
        "ALTER TABLE t ALTER id ADD GENERATED ALWAYS AS IDENTITY; ALTER TABLE t ADD w text DEFAULT 'w'; \
         INSERT INTO t (id, v) OVERRIDING SYSTEM VALUE VALUES (1, 'old'), (5, 'kept')",
    );
    let sink = scratch.sink();
    let mut write = writing(&named("t"), cells());
    write.meets = Meets::Merge;
    write.overrides_identity = true;
    let job = sink.open_ledger("job").unwrap().job;
    let mut writer = sink.writer(&job).unwrap();
    let none = writer.begin(&write).and_then(|()| {
        writer.write(&rows(&[(1, "new")]))?;
        writer.settle()
    });
    assert!(matches!(none, Err(WriteFault::Job(_))), "{none:?}");
    write.key = vec!["id".to_owned()];
    for (number, rows) in [rows(&[(1, "new"), (2, "two")]), rows(&[(2, "zwei")])].iter().enumerate()
    {
        writer.begin(&write).unwrap();
        writer.savepoint().unwrap();
        writer.write(rows).unwrap();
        writer.settle().unwrap();
        writer.commit(&receipt(&named("t"), number as u32, 1)).unwrap();
    }
    let found = scratch.sql("SELECT string_agg(id || v || w, ' ' ORDER BY id) FROM t");
    assert_eq!(found, "1neww 2zweiw 5keptw");
}

#[test]
fn what_the_server_would_round_is_refused() {
    let scratch = target("CREATE TABLE n (id numeric(5,1), v timestamp(0))");
    let sink = scratch.sink();
    let job = sink.open_ledger("job").unwrap().job;
    let mut writer = sink.writer(&job).unwrap();
    let mut write = writing(&named("n"), cells());
    write.cells[1].name = "id".to_owned();
    write.cells[1].kind = ColumnType::Decimal(None);
    write.cells.remove(0);
    let one = |text: &str| {
        let schema = Schema::new(vec![Field::new("id", arrow_schema::DataType::Utf8, true)]);
        let array: ArrayRef = Arc::new(StringArray::from(vec![text]));
        Rows::Batch(RecordBatch::try_new(Arc::new(schema), vec![array]).unwrap())
    };
    writer.begin(&write).unwrap();
    writer.savepoint().unwrap();
    assert!(matches!(writer.write(&one("1.25")), Err(WriteFault::Row(_))));
    writer.back().unwrap();
    writer.write(&one("1.20")).unwrap();
    writer.commit(&receipt(&named("n"), 0, 1)).unwrap();
    assert_eq!(scratch.sql("SELECT id FROM n"), "1.2");
}

#[test]
fn sequences_go_on_behind_what_was_written() {
    let scratch = Scratch::new();
    let sink = scratch.sink();
    let mut table =
        migration_engine::model::catalog::Table { name: named("t"), ..Default::default() };
    let column = |name: &str, kind, identity| migration_engine::model::catalog::Column {
        name: name.to_owned(),
        kind,
        declared: String::new(),
        nullable: false,
        default: None,
        identity,
        generated: None,
        comment: String::new(),
    };
    let counts =
        |next| Some(migration_engine::model::catalog::Identity { always: false, next, step: 1 });
    table.columns = vec![
        column("id", ColumnType::Unsigned(64), counts(Some(7))),
        column("v", ColumnType::Text(None), None),
    ];
    let made = sink.statements(&table).unwrap();
    sink.execute(&made.create).unwrap();
    scratch.sql("INSERT INTO t VALUES (41, 'a')");
    sink.execute(&made.finish).unwrap();
    assert_eq!(scratch.sql("INSERT INTO t (v) VALUES ('b') RETURNING id"), "42");
    table.name = named("u");
    table.columns[0] = column("id", ColumnType::Int(32), counts(Some(7)));
    let made = sink.statements(&table).unwrap();
    sink.execute(&[made.create.clone(), made.finish.clone()].concat()).unwrap();
    assert_eq!(scratch.sql("INSERT INTO u (v) VALUES ('b') RETURNING id"), "7");
    sink.execute(&made.drop).unwrap();
    table.columns[0] = column("id", ColumnType::Int(32), counts(None));
    let made = sink.statements(&table).unwrap();
    sink.execute(&[made.create, made.finish].concat()).unwrap();
    assert_eq!(scratch.sql("INSERT INTO u (v) VALUES ('b') RETURNING id"), "1");
}

#[test]
fn a_deadlock_ends_the_span_and_it_can_be_written_again() {
    let scratch = target("CREATE TABLE other (id integer); INSERT INTO t VALUES (0, '')");
    scratch.sql(
        "CREATE FUNCTION halt() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN RAISE EXCEPTION USING ERRCODE = ''40P01''; END'; \
         CREATE TRIGGER halt BEFORE INSERT ON t FOR EACH ROW WHEN (new.v = 'x') EXECUTE FUNCTION halt()",
    );
    let sink = scratch.sink();
    let job = sink.open_ledger("job").unwrap().job;
    let mut writer = sink.writer(&job).unwrap();
    let write = writing(&named("t"), cells());
    writer.begin(&write).unwrap();
    writer.write(&rows(&[(1, "x")])).unwrap();
    match writer.settle() {
        Err(WriteFault::Span(error)) => assert_eq!(error.kind(), Kind::Deadlock),
        other => panic!("{other:?}"),
    }
    writer.abandon();
    write_all(sink.as_ref(), &write, &[rows(&[(1, "y")])]);
    assert_eq!(scratch.sql("SELECT count(*) FROM t"), "2");
}

#[test]
fn many_refusals_early_in_a_long_copy_do_not_block() {
    let scratch = target("");
    let sink = scratch.sink();
    let job = sink.open_ledger("job").unwrap().job;
    let mut writer = sink.writer(&job).unwrap();
    writer.begin(&writing(&named("t"), cells())).unwrap();
    let long = "x".repeat(100_000);
    let same: Vec<_> = (0..200).map(|_| (1, long.as_str())).collect();
    let mut result = Ok(());
    for _ in 0..20 {
        result = writer.write(&rows(&same));
        if result.is_err() {
            break;
        }
    }
    assert!(matches!(result.and_then(|()| writer.settle()), Err(WriteFault::Row(_))));
    writer.abandon();
    writer.begin(&writing(&named("t"), cells())).unwrap();
    writer.write(&rows(&same[..1])).unwrap();
    writer.commit(&receipt(&named("t"), 0, 1)).unwrap();
}
