//! The verbs that run a job, and what they print.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use serde_json::json;

use crate::binary::{Place, Ran};
use crate::{last, with_tree};

#[test]
fn copy_says_what_it_did() {
    let place = with_tree();
    let ran = place.run(["copy", "in", "out"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let text = ran.text();
    for part in ["copied: 2 items", "to out", "loss of power", "crc64nvme"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(place.read("out/a.txt"), b"hello\n");
    let again = place.run(["copy", "in", "out"]);
    assert_eq!(again.code, 4);
    for part in
        ["error[DST_EXISTS]: ", "\n  at: ", "\n  hint: ", "explain: migration-engine explain"]
    {
        assert!(again.err.contains(part), "{}", again.err);
    }
}

#[test]
fn copy_takes_every_flag() {
    let place = with_tree();
    let line = "copy in out --include *.txt --exclude sub --on-exists replace --checksum sha256 \
                --verify readback --preserve mode,times --symlinks skip --durability crash \
                --manifest list.jsonl --chunk-bytes 64KiB --parallel-files 2 --bytes-per-s 1GB \
                --ops-per-s 1000 --key k1 --json";
    let ran = place.run(line.split_whitespace());
    let result = last(&ran);
    assert_eq!((ran.code, &result["status"]), (0, &json!("ok")), "{result}");
    assert_eq!(result["verify"]["level"], "readback");
    assert_eq!(result["data"]["durability"], "crash");
    assert_eq!(result["metrics"]["items_ok"], 1);
    assert!(place.path("list.jsonl").exists() && !place.path("out/sub").exists());
    let replayed = last(&place.run(line.split_whitespace()));
    assert_eq!(replayed["replayed"], true);
    let planned = place.run(["copy", "in", "elsewhere", "--dry-run"]);
    assert!(planned.text().contains("items: 2 new"), "{}", planned.text());
    assert!(!place.path("elsewhere").exists());
}

#[test]
fn json_is_the_lines_of_a_session() {
    let place = with_tree();
    let lines = place.run(["copy", "in", "out", "--json"]).lines();
    let types: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!((types[0], types[1], types[types.len() - 1]), ("hello", "accepted", "result"));
    assert!(lines.iter().enumerate().all(|(seq, line)| line["seq"] == seq));
}

#[test]
fn names_that_are_not_utf8_travel_whole() {
    let place = Place::new();
    let odd = OsString::from_vec(b"odd\xff\x01name".to_vec());
    let copy = OsString::from_vec(b"copy\xfe".to_vec());
    place.write(&odd, "hello\n");
    let ran = place.run([OsStr::new("copy"), &odd, &copy]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(place.read(&copy), b"hello\n");
    let ran = place.run([OsStr::new("verify"), &odd, OsStr::from_bytes(b"esc\x1b[31m")]);
    assert_eq!(ran.code, 4);
    assert!(!ran.err.contains('\u{1b}'), "{:?}", ran.err);
}

#[test]
fn verify_inspect_plan_compress_cleanup() {
    let place = with_tree();
    assert_eq!(place.run(["copy", "in", "out"]).code, 0);
    let same = place.run(["verify", "in", "out"]);
    assert_eq!((same.code, same.text().contains("2 matched, 0 mismatched")), (0, true));
    place.write("out/extra", "x");
    assert_eq!(place.run(["verify", "in", "out", "--level", "size"]).code, 4);
    let there = place.run(["inspect", "in", "--exclude", "sub"]).text();
    assert!(there.contains("directory: 6 B in 1 file"), "{there}");
    let plan = place.run(["plan", "in", "out", "--on-exists", "skip"]).text();
    assert!(plan.contains("0 new, 0 replace, 2 skip, 0 conflict"), "{plan}");
    let plan = place.run(["plan", "--command", r#"{"op":"checksum","src":"in"}"#]).text();
    assert!(plan.contains("plan: checksum 2 items"), "{plan}");
    assert_eq!(place.run(["plan", "--command", "nonsense"]).code, 2);
    let packed = place.run(["compress", "in/sub/b.bin", "b.gz", "--level", "9"]);
    assert!(packed.text().starts_with("compressed 97.7 KiB to "), "{}", packed.text());
    let unpacked = place.run(["decompress", "b.gz", "b.bin"]);
    assert!(unpacked.text().contains("to 97.7 KiB as b.bin"), "{}", unpacked.text());
    assert_eq!(place.run(["compress", "in/sub/b.bin", "b.zst", "--level", "20"]).code, 2);
    let clean = place.run(["cleanup", "out", "--dry-run"]);
    assert_eq!((clean.code, clean.text().contains("0 removed")), (0, true));
    let sampled = place.run([
        "monitor",
        "--interval",
        "200ms",
        "--count",
        "2",
        "--memory-percent-above",
        "0.001",
    ]);
    assert_eq!(sampled.text().matches("alert: memory_percent").count(), 2);
}

#[test]
fn nothing_is_coloured_off_a_terminal_and_quiet_is_quiet() {
    let place = with_tree();
    let mut command = place.command(["copy", "in", "absent/../out", "--checksum", "sha256"]);
    let ran = Ran::of(command.env("NO_COLOR", "1").env("CLICOLOR_FORCE", "1"));
    assert!(!ran.err.contains('\u{1b}') && !ran.text().contains('\u{1b}'));
    let ran = place.run(["copy", "in", "quiet", "-q"]);
    assert_eq!((ran.code, ran.out.len(), ran.err.len()), (0, 0, 0));
    let ran = place.run(["copy", "in", "quiet", "-q"]);
    assert!(ran.code == 4 && ran.out.is_empty() && ran.err.contains("error[DST_EXISTS]"));
}

#[test]
fn plain_progress_goes_to_standard_error_only_after_a_while() {
    let place = Place::new();
    place.write("big", vec![1; 3 << 20]);
    let ran = place.run(["copy", "big", "copy", "--progress", "plain", "--bytes-per-s", "8MB"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.text().contains("copied: 1 item, 3.0 MiB"), "{}", ran.text());
}
