//! Files compressed and decompressed on their way.

use std::os::unix::fs::MetadataExt as _;

use migration_fixtures::{Aspects, Sizes, SmallFiles, compare, large_file};
use serde_json::{Value, json};

use crate::session::{Place, Session, read};

fn copy(place: &Place, fields: Value) -> Value {
    let mut command = json!({"op": "copy", "id": "c", "durability": "crash"});
    command.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Session::start(place, &[]).call(&command)
}

fn source(place: &Place) {
    SmallFiles { count: 60, sizes: Sizes::Around(40_000), fan_out: 20, seed: 3 }
        .build(&place.path("src"))
        .unwrap();
    large_file(&place.path("src/large"), 20 << 20, 4).unwrap();
    std::fs::write(place.path("src/empty"), "").unwrap();
    std::fs::write(place.path("src/text"), "the same line again\n".repeat(50_000)).unwrap();
    std::fs::hard_link(place.path("src/text"), place.path("src/text again")).unwrap();
    std::os::unix::fs::symlink("text", place.path("src/link")).unwrap();
}

#[test]
fn there_and_back_every_form_gives_the_same_tree() {
    let place = Place::new();
    source(&place);
    let forms = [
        (json!("gzip"), ".gz"),
        (json!({"format": "zstd", "level": 1}), ".zst"),
        (json!("lz4"), ".lz4"),
        (json!({"format": "brotli", "level": 1}), ".br"),
    ];
    for (number, (form, ending)) in forms.into_iter().enumerate() {
        let (packed, back) = (format!("packed{number}"), format!("back{number}"));
        let there = json!({
            "src": "src", "dst": packed, "compress": form, "verify": "readback",
            "manifest": format!("{packed}.jsonl"),
        });
        let done = copy(&place, there.clone());
        assert_eq!(done["status"], "ok", "{done}");
        assert_eq!(done["verify"]["level"], "readback");
        let text = place.path(&packed).join(format!("text{ending}"));
        assert!(text.metadata().unwrap().len() < 50_000, "{ending}");
        assert!(place.path(&packed).join("link").is_symlink());
        assert_eq!(done["data"].get("lost"), None, "names of one file stay together");
        assert_eq!(text.metadata().unwrap().nlink(), 2);
        let manifest = String::from_utf8(read(&place.path(&format!("{packed}.jsonl")))).unwrap();
        let line = manifest.lines().find(|line| line.contains(r#""path":"large""#)).unwrap();
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["bytes"], 20 << 20);
        assert!(line["stored_bytes"].as_u64() > Some(0), "{line}");
        let mut again = there;
        again["on_exists"] = "update".into();
        let plan = Session::start(&place, &[]).call(&json!({"op": "plan", "id": "p", "command":
            {"op": "copy", "src": "src", "dst": packed, "compress": form, "on_exists": "update"}}));
        let counts = ["new", "replace", "conflict"].map(|count| plan["data"][count].clone());
        assert_eq!(counts, [json!(0), json!(0), json!(0)], "{plan}");
        let again = copy(&place, again);
        assert_eq!((&again["status"], &again["metrics"]["items_ok"]), (&json!("ok"), &json!(0)));
        let done = copy(&place, json!({"src": packed, "dst": back, "decompress": true}));
        assert_eq!(done["status"], "ok", "{done}");
        let differences = compare(&place.path("src"), &place.path(&back), &Aspects::default());
        assert_eq!(differences.unwrap(), [], "{ending}");
    }
}

#[test]
fn one_file_goes_by_the_exact_name_and_a_damaged_one_fails_alone() {
    let place = Place::new();
    source(&place);
    let done = copy(&place, json!({"src": "src/text", "dst": "t.bin", "compress": "gzip"}));
    assert_eq!(done["status"], "ok", "{done}");
    let packed = std::fs::File::open(place.path("t.bin")).unwrap();
    let plain = std::process::Command::new("gzip").arg("-dc").stdin(packed).output().unwrap();
    assert_eq!(plain.stdout, read(&place.path("src/text")));
    copy(&place, json!({"src": "src", "dst": "packed", "compress": "gzip"}));
    let mut damaged = read(&place.path("packed/large.gz"));
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    std::fs::write(place.path("packed/large.gz"), damaged).unwrap();
    let done = copy(&place, json!({"src": "packed", "dst": "back", "decompress": true}));
    assert_eq!((&done["status"], &done["failures_total"]), (&json!("partial"), &json!(1)));
    assert_eq!(done["failures"][0]["code"], "SRC_CORRUPT", "{done}");
    assert!(!place.path("back/large").exists() && place.path("back/text").exists());
    assert_eq!(place.leftovers(), Vec::<std::path::PathBuf>::new());
    for fields in [
        json!({"src": "src", "dst": "x", "compress": "tar_zstd"}),
        json!({"src": "src", "dst": "x", "compress": "gzip", "decompress": true}),
        json!({"src": "src", "dst": "x", "compress": {"format": "gzip", "level": 10}}),
        json!({"src": "src", "dst": "x", "compress": 7}),
        json!({"src": "src", "dst": "x", "compress": "gzip", "delete": true}),
        json!({"src": "src", "dst": "x", "decompress": true, "on_exists": "update", "compare": "digest"}),
    ] {
        assert_eq!(copy(&place, fields)["error"]["code"], "INVALID_FIELD");
    }
}

#[test]
fn a_plan_says_that_files_are_coded_by_one_thread_each() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    large_file(&place.path("src/large"), 17 << 20, 5).unwrap();
    std::fs::write(place.path("src/small"), "small").unwrap();
    let mut session = Session::start(&place, &[]);
    let mut plan = |src: &str, compress: &str| {
        let mut command = json!({"op": "copy", "id": "p", "src": src, "dst": "dst",
            "parallel_chunks": 4, "dry_run": true});
        if !compress.is_empty() {
            command["compress"] = compress.into();
        }
        let data = session.call(&command)["data"].clone();
        (data["method"].as_str().unwrap().to_owned(), data["why"].as_str().unwrap().to_owned())
    };
    assert_eq!(plan("src/large", "").0, "chunked");
    let (method, why) = plan("src/large", "zstd");
    assert!(method == "direct" && why.contains("by one thread"), "{method}: {why}");
    let (method, why) = plan("src", "zstd");
    assert!(method == "batches" && why.contains("0 of them are large"), "{method}: {why}");
    assert!(why.ends_with("2 are compressed or decompressed, each by one thread"), "{why}");
}
