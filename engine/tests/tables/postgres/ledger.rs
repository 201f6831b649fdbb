//! Spans are committed with their receipts, once, by the attempt that holds the job.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use migration_engine::endpoint::rows::WriteFault;
use migration_engine::error::Kind;
use migration_engine::model::catalog::Table;
use migration_engine::model::rows::{Range, Rows};

use super::scratch::{
    Scratch, all, cells, location, named, open_sink, reading, receipt, server, write_all,
    write_span, writing,
};

fn three() -> (Scratch, Table, Vec<Rows>) {
    let scratch = Scratch::with(
        "CREATE TABLE t (id integer PRIMARY KEY, v text); CREATE TABLE copy (LIKE t INCLUDING ALL); \
         INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    );
    let table = scratch.table("t");
    let snapshot = scratch.source().snapshot(1).unwrap();
    let read = reading(&table.name, cells(&table));
    let rows = all(snapshot.as_ref(), &read, &Range::Whole, true);
    (scratch, table, rows)
}

#[test]
fn receipts_are_found_again_and_forgotten() {
    let (scratch, table, rows) = three();
    let sink = scratch.sink();
    let write = writing(&named("copy"), cells(&table));
    let job = write_all(sink.as_ref(), &write, &rows);
    let opened = sink.open_ledger("job").unwrap();
    assert_eq!((job.epoch, opened.job.epoch), (1, 2));
    assert_eq!(opened.receipts, [receipt(&write.table, 0, 3)]);
    let mut planned = receipt(&write.table, 7, 0);
    planned.planned = true;
    for _ in 0..2 {
        sink.note(&opened.job, std::slice::from_ref(&planned)).unwrap();
    }
    let stale = sink.note(&job, std::slice::from_ref(&planned)).unwrap_err();
    assert_eq!(stale.kind(), Kind::LeaseLost);
    let opened = sink.open_ledger("job").unwrap();
    assert_eq!(opened.receipts.len(), 2);
    let remove = sink.removal(&scratch.table("copy"), &Range::Whole).unwrap();
    let spans = [(write.table.clone(), 0)];
    let bad = sink.forget(&opened.job, &spans, &[remove.clone(), "no".to_owned()]);
    assert!(bad.is_err());
    assert_eq!(scratch.sql("SELECT count(*) FROM copy"), "3");
    sink.forget(&opened.job, &spans, &[remove]).unwrap();
    assert_eq!(scratch.sql("SELECT count(*) FROM copy"), "0");
    assert_eq!(sink.open_ledger("job").unwrap().receipts, [planned]);
    assert!(sink.catalog().unwrap().tables.iter().all(|t| !t.name.name.starts_with("mig_")));
    let other = sink.open_ledger("other").unwrap();
    assert!(other.receipts.is_empty());
    sink.close_ledger("job").unwrap();
    sink.close_ledger("other").unwrap();
    sink.close_ledger("other").unwrap();
    assert_eq!(scratch.sql("SELECT to_regclass('mig_ledger_jobs') IS NULL"), "t");
}

#[test]
fn ranges_are_removed_as_they_are_read() {
    let (scratch, table, _) = three();
    let sink = scratch.sink();
    let range = |from: Option<&str>, to: Option<&str>| Range::Keys {
        column: "id".to_owned(),
        from: from.map(str::to_owned),
        to: to.map(str::to_owned),
    };
    sink.execute(&[sink.removal(&table, &range(Some("2"), Some("3"))).unwrap()]).unwrap();
    assert_eq!(scratch.sql("SELECT string_agg(id::text, ',') FROM t"), "1,3");
    let pages = Range::Pages { child: named("t"), from: 0, to: None };
    assert_eq!(sink.removal(&table, &pages).unwrap_err().kind(), Kind::Unsupported);
    sink.execute(&[sink.removal(&table, &range(None, None)).unwrap()]).unwrap();
    assert_eq!(scratch.sql("SELECT count(*) FROM t"), "0");
}

#[test]
fn an_attempt_that_was_followed_commits_nothing() {
    let (scratch, table, rows) = three();
    let sink = scratch.sink();
    let write = writing(&named("copy"), cells(&table));
    let first = sink.open_ledger("job").unwrap().job;
    let mut writer = sink.writer(&first).unwrap();
    writer.begin(&write).unwrap();
    writer.write(&rows[0]).unwrap();
    let second = sink.open_ledger("job").unwrap().job;
    match writer.commit(&receipt(&write.table, 0, 3)) {
        Err(WriteFault::Job(error)) => assert_eq!(error.kind(), Kind::LeaseLost),
        other => panic!("{other:?}"),
    }
    assert_eq!(scratch.sql("SELECT count(*) FROM copy"), "0");
    write_span(sink.writer(&second).unwrap().as_mut(), &write, &rows, 0);
    assert_eq!(scratch.sql("SELECT count(*) FROM copy"), "3");
}

/// A proxy in front of the server that cuts the next connections on which a commit is sent: before
/// it is handed on, or behind it, when the answer comes.
fn proxy(before: bool, cuts: usize) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let left = Arc::new(AtomicUsize::new(cuts));
    let counter = Arc::clone(&left);
    let to = server().rsplit_once('@').unwrap().1.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, counter) = (client.unwrap(), Arc::clone(&counter));
            let mut there = TcpStream::connect(&to).unwrap();
            let (mut answers, mut back) = (there.try_clone().unwrap(), client.try_clone().unwrap());
            let cut = Arc::new(AtomicUsize::new(0));
            let cut_behind = Arc::clone(&cut);
            std::thread::spawn(move || {
                let mut buffer = vec![0; 64 << 10];
                while let Ok(count) = answers.read(&mut buffer) {
                    if count == 0 || cut_behind.load(Ordering::SeqCst) == 1 {
                        break;
                    }
                    if back.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                drop(back.shutdown(std::net::Shutdown::Both));
            });
            std::thread::spawn(move || {
                let mut buffer = vec![0; 64 << 10];
                while let Ok(count) = client.read(&mut buffer) {
                    // The job's own commits follow its row of the ledger; others are let through.
                    let commits = buffer[..count].ends_with(b"COMMIT\0") && count == 12;
                    let armed = counter.load(Ordering::SeqCst) > 0;
                    if commits && armed {
                        counter.fetch_sub(1, Ordering::SeqCst);
                        if before {
                            break;
                        }
                        cut.store(1, Ordering::SeqCst);
                    }
                    if count == 0 || there.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                drop(there.shutdown(std::net::Shutdown::Both));
                drop(client.shutdown(std::net::Shutdown::Both));
            });
        }
    });
    (port, left)
}

#[test]
fn a_commit_whose_answer_was_lost_is_looked_up() {
    for before in [false, true] {
        let (scratch, table, rows) = three();
        let write = writing(&named("copy"), cells(&table));
        let direct = scratch.sink();
        let job = direct.open_ledger("job").unwrap().job;
        let (port, left) = proxy(before, 0);
        let user = server();
        let user = user.split("://").nth(1).unwrap().split('@').next().unwrap().to_owned();
        let url = format!("postgres://{user}@127.0.0.1:{port}/{}", scratch.name);
        let sink = open_sink(&location(&url)).unwrap();
        let mut writer = sink.writer(&job).unwrap();
        writer.begin(&write).unwrap();
        writer.write(&rows[0]).unwrap();
        left.store(1, Ordering::SeqCst);
        let result = writer.commit(&receipt(&write.table, 0, 3));
        match (before, result) {
            (false, Ok(())) => {}
            (true, Err(WriteFault::Span(error))) => {
                assert_eq!(error.kind(), Kind::RemoteUnavailable);
                write_span(writer.as_mut(), &write, &rows, 0);
            }
            (_, other) => panic!("{before}: {other:?}"),
        }
        assert_eq!(scratch.sql("SELECT count(*) FROM copy"), "3");
        assert_eq!(direct.open_ledger("job").unwrap().receipts.len(), 1);
    }
}

#[test]
fn a_span_that_was_committed_after_all_is_not_written_twice() {
    let (scratch, table, rows) = three();
    let sink = scratch.sink();
    let write = writing(&named("copy"), cells(&table));
    let job = write_all(sink.as_ref(), &write, &rows);
    scratch.sql("ALTER TABLE copy DROP CONSTRAINT copy_pkey");
    write_span(sink.writer(&job).unwrap().as_mut(), &write, &rows, 0);
    assert_eq!(scratch.sql("SELECT count(*) FROM copy"), "3");
}
