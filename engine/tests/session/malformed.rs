//! Bad lines: one structured answer each, and the session lives.

use serde_json::{Value, json};

use crate::session::{Place, Session};

/// 200 lines that are wrong in every way, with the code each must be answered with.
fn lines() -> Vec<(Vec<u8>, &'static str)> {
    let mut all: Vec<(Vec<u8>, &str)> = Vec::new();
    let mut add = |line: &str, code| all.push((line.as_bytes().to_vec(), code));
    for text in [
        "{",
        "}",
        "[]",
        "7",
        "null",
        "\"a\"",
        "{]",
        "{'a':1}",
        "{\"a\":}",
        "tru",
        "{} {}",
        "{\"op\":\"ping\"}x",
    ] {
        add(text, "PARSE");
    }
    for literal in [
        "NaN",
        "Infinity",
        "01",
        "1e999",
        "+1",
        ".5",
        "0x10",
        "\"\\ud800\"",
        "\"\\x\"",
        "\"\u{1}\"",
    ] {
        add(&format!("{{\"op\":\"ping\",\"id\":{literal}}}"), "PARSE");
    }
    add(&format!("{{\"op\":{}1{}}}", "[".repeat(1000), "]".repeat(1000)), "PARSE");
    add(&"[".repeat(100_000), "PARSE");
    add(r#"{"op":"ping","op":"copy"}"#, "DUPLICATE_FIELD");
    add(r#"{"op":"copy","src":{"url":"a","url":"b"},"dst":"c"}"#, "DUPLICATE_FIELD");
    for op in ["", "coppy", "COPY", "rm -rf", "\\u0000", "💥", "__proto__"] {
        add(&format!("{{\"op\":\"{op}\"}}"), "UNKNOWN_OP");
    }
    add(r#"{"op":"tables"}"#, "MISSING_FIELD");
    for op in ["7", "null", "[]", "{}", "true"] {
        add(&format!("{{\"op\":{op}}}"), "INVALID_FIELD");
    }
    add("{}", "MISSING_FIELD");
    add(r#"{"id":1}"#, "MISSING_FIELD");
    for id in [
        "null",
        "-1",
        "1.5",
        "9007199254740992",
        "18446744073709551616",
        "\"\"",
        "[]",
        "{}",
        "true",
    ] {
        add(&format!("{{\"op\":\"ping\",\"id\":{id}}}"), "INVALID_FIELD");
    }
    add(&format!("{{\"op\":\"ping\",\"id\":\"{}\"}}", "x".repeat(129)), "INVALID_FIELD");
    for field in ["parallel_chunks\":0", "parallel_chunks\":65"] {
        add(&format!("{{\"op\":\"copy\",\"src\":\"a\",\"dst\":\"b\",\"{field}}}"), "INVALID_FIELD");
    }
    for field in
        ["scr", "srcs", "SRC", "src ", "overwrite", "on_exist", "checksums", "limit", "dest"]
    {
        add(
            &format!("{{\"op\":\"copy\",\"src\":\"a\",\"dst\":\"b\",\"{field}\":1}}"),
            "UNKNOWN_FIELD",
        );
    }
    for op in ["ping", "cancel", "pause", "limits", "jobs", "shutdown", "hello"] {
        add(&format!("{{\"op\":\"{op}\",\"bogus\":1,\"target\":\"x\"}}"), "UNKNOWN_FIELD");
    }
    for fields in ["", "\"src\":\"a\"", "\"dst\":\"b\""] {
        let comma = if fields.is_empty() { "" } else { "," };
        add(&format!("{{\"op\":\"copy\"{comma}{fields}}}"), "MISSING_FIELD");
    }
    for (field, values) in [
        (
            "src",
            &[
                "1",
                "null",
                "[]",
                "{}",
                "true",
                "\"\"",
                "\"a\\u0000b\"",
                "{\"b64\":\"!\"}",
                "{\"url\":1}",
            ][..],
        ),
        ("dst", &["1", "null", "[]", "{}", "\"\"", "{\"b64\":\"YQ==\",\"url\":\"a\"}"]),
        ("on_exists", &["\"maybe\"", "1", "null", "true"]),
        ("checksum", &["\"crc16\"", "1", "[\"sha256\"]"]),
        ("verify", &["\"strong\"", "true"]),
        ("preserve", &["\"mode\"", "[\"all\"]", "[1]"]),
        ("symlinks", &["\"keep\"", "0"]),
        ("durability", &["\"none\"", "{}"]),
        ("include", &["\"*\"", "[1]", "[\"[\"]", "[\"\"]", "{}"]),
        ("exclude", &["\"*\"", "[null]", "[\"{a\"]"]),
        (
            "chunk_bytes",
            &[
                "0",
                "1",
                "-1",
                "1.5",
                "\"1XB\"",
                "\"-1MB\"",
                "9007199254740992",
                "18446744073709551616",
                "1e30",
                "\"1e9\"",
                "\"99999999999TiB\"",
            ],
        ),
        ("parallel_files", &["0", "-1", "257", "1.5", "\"4\"", "18446744073709551616"]),
        (
            "limits",
            &[
                "1",
                "[]",
                "{\"bytes_per_s\":0}",
                "{\"ops_per_s\":0}",
                "{\"bytes_per_s\":-1}",
                "{\"bogus\":1}",
            ],
        ),
        ("dry_run", &["\"yes\"", "1", "null"]),
        ("manifest", &["1", "\"list.txt\""]),
        ("key", &["1", "\"\"", "[]"]),
        ("labels", &["1", "[]", "{\"a\":1}", "{\"\":\"x\"}"]),
        ("after", &["\"c1\"", "1", "[null]"]),
        ("after_status", &["\"ok\"", "[\"fine\"]"]),
    ] {
        for value in values {
            let (src, dst) = (r#""src":"a","#, r#""dst":"b","#);
            let rest = match field {
                "src" => dst.to_owned(),
                "dst" => src.to_owned(),
                _ => format!("{src}{dst}"),
            };
            add(&format!("{{\"op\":\"copy\",{rest}\"{field}\":{value}}}"), "INVALID_FIELD");
        }
    }
    for field in ["parallel_chunks\":0", "parallel_chunks\":65"] {
        add(&format!("{{\"op\":\"copy\",\"src\":\"a\",\"dst\":\"b\",\"{field}}}"), "INVALID_FIELD");
    }
    for field in ["max_delete\":5", "max_delete\":{\"percent\":101}", "compare\":\"guess\""] {
        add(&format!("{{\"op\":\"copy\",\"src\":\"a\",\"dst\":\"b\",\"{field}}}"), "INVALID_FIELD");
    }
    for url in ["sftp://host/key", "postgres://host/db", "bogus://x"] {
        add(&format!("{{\"op\":\"copy\",\"src\":\"{url}\",\"dst\":\"b\"}}"), "UNSUPPORTED");
    }
    add(r#"{"op":"copy","src":"s3://u:p@bucket/key","dst":"b"}"#, "INVALID_FIELD");
    add(r#"{"op":"copy","src":"a","dst":"b","after":["nobody"]}"#, "UNKNOWN_JOB");
    add(r#"{"op":"plan","command":{"op":"ping"}}"#, "UNSUPPORTED");
    add(r#"{"op":"plan","command":{"op":"copy","src":"a"}}"#, "MISSING_FIELD");
    add(r#"{"op":"batch","items":[]}"#, "INVALID_FIELD");
    add(r#"{"op":"batch","items":[{"op":"copy","src":"a"}]}"#, "MISSING_FIELD");
    add(r#"{"op":"hello","protocol":[7]}"#, "PROTOCOL_VERSION");
    add(r#"{"op":"hello","require":["telepathy"]}"#, "FEATURE_MISSING");
    add(r#"{"op":"resume","token":"ck:nothing:1"}"#, "UNKNOWN_JOB");
    for (op, fields, field) in [
        ("verify", r#""src":"a""#, "dst"),
        ("verify", r#""src":"a","dst":"b""#, "level"),
        ("inspect", "", "src"),
        ("checksum", "", "src"),
        ("checksum", r#""src":"a""#, "algorithm"),
        ("checksum", r#""src":"a""#, "manifest"),
        ("compress", r#""src":"a","dst":"b""#, "level"),
        ("compress", r#""src":"a","dst":"b""#, "format"),
        ("compress", r#""src":"a","dst":"b""#, "threads"),
        ("compress", r#""src":"a","dst":"b""#, "verify"),
        ("decompress", r#""src":"a","dst":"b""#, "max_bytes"),
        ("decompress", r#""src":"a","dst":"b""#, "max_ratio"),
        ("monitor", "", "interval_ms"),
        ("monitor", "", "alerts"),
        ("batch", "", "items"),
        ("cleanup", "", "locations"),
        ("cancel", "", "target"),
        ("limits", "", "bytes_per_s"),
        ("jobs", "", "limit"),
        ("hello", "", "events"),
        ("shutdown", "", "mode"),
    ] {
        let comma = if fields.is_empty() { "" } else { "," };
        for value in ["-7", "{\"no\":{}}"] {
            add(
                &format!("{{\"op\":\"{op}\",{fields}{comma}\"{field}\":{value}}}"),
                "INVALID_FIELD",
            );
        }
    }
    all.push((b"{\"op\":\"ping\",\"x\":\"\xff\"}".to_vec(), "PARSE"));
    all.push((b"\x00\x01\x02".to_vec(), "PARSE"));
    all.push((vec![b'x'; 2 << 20], "LINE_TOO_LONG"));
    all.push((format!("{{\"op\":\"{}\"}}", "y".repeat(2 << 20)).into_bytes(), "LINE_TOO_LONG"));
    all
}

fn answers(lines: &[Value]) -> Vec<Value> {
    let is_answer = |line: &&Value| line["type"] == "error" || line["type"] == "result";
    lines.iter().filter(is_answer).cloned().collect()
}

#[test]
fn each_bad_line_has_one_answer_and_a_good_one_after_them_works() {
    let place = Place::new();
    std::fs::write(place.path("a"), "content").unwrap();
    let mut session = Session::start(&place, &[]);
    let lines = lines();
    assert!(lines.len() >= 200, "{}", lines.len());
    for (line, expected) in &lines {
        session.send_bytes(line);
        let answer = session.until(|line| line["type"] == "error" || line["type"] == "result");
        let shown = String::from_utf8_lossy(line.get(..120.min(line.len())).unwrap()).into_owned();
        let error = &answer["error"];
        assert_eq!(error["code"], *expected, "{shown}: {answer}");
        for part in ["message", "hint", "class"] {
            assert!(error[part].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
        }
        if answer["type"] == "result" {
            assert_eq!(answer["status"], "failed");
        }
    }
    let good = session.call(&json!({"op": "copy", "id": "good", "src": "a", "dst": "b"}));
    assert_eq!(good["status"], "ok", "{good}");
    let (code, seen) = session.end();
    assert_eq!(code, 2);
    assert_eq!(answers(&seen).len(), lines.len() + 1);
    assert_eq!(std::fs::read(place.path("b")).unwrap(), b"content");
}

#[test]
fn blank_lines_marks_and_carriage_returns_are_no_errors() {
    let place = Place::new();
    let mut session = Session::start(&place, &[]);
    session.send_bytes(b"\xEF\xBB\xBF{\"op\":\"ping\",\"id\":\"a\"}\r\n\r\n   \n");
    session.send_bytes(b"{\"op\":\"ping\",\"id\":\"b\",\"_meta\":{},\"x_mine\":1}");
    let (code, seen) = session.end();
    assert_eq!((code, answers(&seen).len()), (0, 2));
}

#[test]
fn an_echo_of_its_own_output_ends_the_session() {
    let place = Place::new();
    let mut session = Session::start(&place, &[]);
    let hello = session.seen[0].to_string();
    for _ in 0..100 {
        session.send_bytes(hello.as_bytes());
    }
    let (code, seen) = session.end();
    assert_eq!(code, 2);
    assert_eq!(seen.iter().filter(|line| line["type"] == "error").count(), 100);
}
