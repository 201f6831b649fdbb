//! What one line of the protocol costs to read and to write.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use migration_protocol::event::{Active, Progress};
use migration_protocol::frame::{LineSplitter, Piece, encode, parse};
use migration_protocol::message::{Id, Request};
use migration_protocol::vocabulary::BytePath;

const PING: &str = r#"{"op":"ping","id":123456}"#;
const COPY: &str = r#"{"op":"copy","id":"c1","src":"data/in","dst":"out","include":["*.csv"],"exclude":["tmp/**"],"on_exists":"fail","checksum":"crc64nvme","verify":"stream","preserve":["mode","times"],"limits":{"bytes_per_s":"100MB"},"key":"nightly-0412"}"#;

fn progress() -> Progress {
    Progress {
        id: Id::Text("c1".to_owned()),
        phase: "transfer".to_owned(),
        bytes_done: 734_003_200,
        bytes_total: Some(2_147_483_648),
        total_is_estimate: false,
        items_done: 112,
        items_total: Some(980),
        bytes_per_s: 149_000_000,
        bytes_per_s_avg: 131_000_000,
        eta_s: Some(9.4),
        elapsed_ms: 5_490,
        retries: 2,
        errors: 0,
        throttled: None,
        network: None,
        active: vec![Active {
            path: BytePath::new(b"a/b.bin"),
            bytes_done: 10_485_760,
            bytes_total: Some(67_108_864),
        }],
    }
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, line) in [("ping", PING), ("copy", COPY)] {
        group.throughput(Throughput::Bytes(line.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let parsed = parse(black_box(line.as_bytes())).ok().flatten();
                parsed.map(|object| Request::split(object).is_ok())
            });
        });
    }
    group.finish();
}

fn splitting(criterion: &mut Criterion) {
    let stream = format!("{PING}\n{COPY}\n").repeat(100);
    let mut group = criterion.benchmark_group("split");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("200 lines", |bencher| {
        bencher.iter(|| {
            let (mut splitter, mut lines) = (LineSplitter::new(), 0);
            for block in black_box(stream.as_bytes()).chunks(4096) {
                splitter.push(block, |piece| lines += u32::from(matches!(piece, Piece::Line(_))));
            }
            lines
        });
    });
    group.finish();
}

fn writing(criterion: &mut Criterion) {
    let progress = progress();
    let mut group = criterion.benchmark_group("encode");
    group.bench_function("progress", |bencher| {
        bencher.iter(|| encode(black_box(&progress)).is_ok())
    });
    group.finish();
}

criterion_group!(frame, reading, splitting, writing);
criterion_main!(frame);
