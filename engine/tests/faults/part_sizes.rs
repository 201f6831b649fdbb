//! A store that takes parts of one length alone, as R2: all parts but the last are equal, however
//! much is known of the size.

use migration_fixtures::store::{Dialect, Options};
use serde_json::json;

use crate::bench::{Bench, PART, PARTS, bytes};

fn lengths(bench: &Bench) -> Vec<u64> {
    let mut parts: Vec<(u32, u64)> = Vec::new();
    for entry in bench.server.log().of("UploadPart") {
        // What finds out which conditions hold is none of the object's.
        if entry.key.contains(".mig-") {
            continue;
        }
        assert_eq!(entry.status, 200, "{entry:?}");
        parts.push((entry.part.unwrap(), entry.headers["content-length"].parse().unwrap()));
    }
    parts.sort_unstable();
    parts.into_iter().map(|(_, length)| length).collect()
}

#[test]
fn all_parts_but_the_last_are_equal() {
    for (size, part) in [(PARTS, PART), (3 * PART, PART), (PARTS + PART, 6 << 20)] {
        let mut bench =
            Bench::with(Options { equal_parts: true, ..Options::new(Dialect::S3) }, &[]);
        let all = bytes(size, 18);
        bench.write("f", &all);
        let mut dst = bench.at("f");
        dst["part_bytes"] = json!(part);
        // Chunks of another length than the parts.
        let fields = json!({"chunk_bytes": "3MiB", "parallel_chunks": 3});
        let result = bench.copy(&json!("f"), &dst, &fields);
        assert_eq!(result["status"], "ok", "{result}");
        assert!(bench.object("f").unwrap() == all);
        let lengths = lengths(&bench);
        let (last, others) = lengths.split_last().unwrap();
        assert!(others.iter().all(|length| *length == others[0]), "{lengths:?}");
        assert!(*last <= others[0]);
    }
}

#[test]
fn what_has_no_known_size_goes_in_equal_parts_too() {
    let options = Options { equal_parts: true, ..Options::new(Dialect::S3) };
    let mut bench = Bench::with(options, &[]);
    let all = bytes(PARTS, 19);
    bench.write("f", &all);
    let dst = bench.in_parts("f.zst");
    let command = json!({"op": "compress", "id": "z", "src": "f", "dst": dst, "format": "zstd"});
    let result = bench.session.call(&command);
    assert_eq!(result["status"], "ok", "{result}");
    let lengths = lengths(&bench);
    assert!(lengths.len() >= 3, "{lengths:?}");
    let (_, others) = lengths.split_last().unwrap();
    assert!(others.iter().all(|length| *length == others[0]), "{lengths:?}");
    let back = json!({"op": "decompress", "id": "d", "src": bench.at("f.zst"), "dst": "back"});
    let result = bench.session.call(&back);
    assert_eq!(result["status"], "ok", "{result}");
    assert!(bench.file("back").unwrap() == all);
}

/// What has no known size, and more parts of the first length than fit the store.
#[test]
fn parts_of_a_stream_become_longer() {
    let dir = tempfile::tempdir().unwrap();
    let directory = Some(dir.path().to_owned());
    let mut bench = Bench::with(Options { directory, ..Options::new(Dialect::Gcs) }, &[]);
    // A twentieth of the parts that the store takes, and some.
    let size = (500 << 20) + 5 * (1 << 20) + 7;
    let sparse = std::fs::File::create(bench.place.path("f")).unwrap();
    sparse.set_len(size).unwrap();
    let here = json!({"op": "compress", "id": "z", "src": "f", "dst": "f.zst", "format": "zstd"});
    assert_eq!(bench.session.call(&here)["status"], "ok");
    let mut dst = bench.at("f");
    dst["part_bytes"] = json!("1MiB");
    let command =
        json!({"op": "decompress", "id": "d", "src": "f.zst", "dst": dst, "max_ratio": 1 << 20});
    let result = bench.session.call(&command);
    assert_eq!(result["status"], "ok", "{result}");
    let object = bench.server.objects().get("bucket", "f").unwrap();
    assert_eq!(object.content.len() as u64, size);
    let parts = bench.server.log().of(bench.names.part);
    let of_two = parts.iter().filter(|entry| entry.bytes_in > 2 << 20).count();
    assert_eq!((parts.len(), of_two), (503, 2));
}
