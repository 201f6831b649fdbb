//! Where answers begin and end, and what is no answer.

use migration_engine::remote::call::{Class, Request, Verb};
use migration_engine::remote::ties::Ties;

use crate::common::{client, fetched, get};
use crate::server::Server;

fn body_of(bytes: impl Into<Vec<u8>>) -> Result<Vec<u8>, Class> {
    let server = Server::saying(bytes);
    fetched(&server.origin()).map_err(|failure| failure.class)
}

#[test]
fn bodies_end_by_length_by_chunks_or_with_the_connection() {
    for (said, body) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\n\r\nhello", "hello"),
        ("HTTP/1.0 200\r\n\r\nhello", "hello"),
        ("HTTP/1.1 204 OK\r\ncontent-length: 5\r\n\r\n", ""),
        (
            "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hint\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx",
            "x",
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n003 ;c\r\nllo\r\n\
             0\r\ntrailer: x\r\n\r\n",
            "hello",
        ),
    ] {
        assert_eq!(body_of(said), Ok(body.as_bytes().to_vec()), "{said}");
    }
}

#[test]
fn what_is_cut_off_is_no_answer() {
    for said in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ] {
        assert_eq!(body_of(said), Err(Class::Transient), "{said}");
    }
}

#[test]
fn hostile_answers_are_refused() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunked = format!("{ok}transfer-encoding: chunked\r\n\r\n");
    let many = "a: b\r\n".repeat(200);
    for said in [
        "SSH-2.0-OpenSSH\r\n\r\n".to_owned(),
        "HTTP/1.1 99 X\r\n\r\n".to_owned(),
        "HTTP/1.1 101 X\r\n\r\n".to_owned(),
        "HTTP/1.1 100 X\r\n\r\n".repeat(40),
        format!("{ok}no colon\r\n\r\n"),
        format!("{ok}a: b\0c\r\n\r\n"),
        format!("{ok}a: b\x1bc\r\n\r\n"),
        format!("{ok}a: b\r\n folded\r\n\r\n"),
        format!("{ok}a : b\r\n\r\n"),
        format!("{ok}{many}\r\n"),
        format!("{ok}a: {}\r\n\r\n", "x".repeat(70_000)),
        format!("{ok}content-length: 5\r\ncontent-length: 6\r\n\r\nhello!"),
        format!("{ok}content-length: -5\r\n\r\nhello"),
        format!("{ok}content-length: +5\r\n\r\nhello"),
        format!("{ok}content-length: 5, 5\r\n\r\nhello"),
        format!("{ok}content-length: 99999999999999999999\r\n\r\nhello"),
        format!("{ok}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{ok}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        format!("{chunked}fffffffffffffffff\r\nx"),
        format!("{chunked}-1\r\nx"),
        format!("{chunked}+1\r\nx\r\n0\r\n\r\n"),
        format!("{chunked}\r\nx"),
        format!("{chunked}1\r\nxy\r\n0\r\n\r\n"),
        format!("{chunked}1;{}\r\nx", "y".repeat(10_000)),
        format!("{chunked}0\r\n{}\r\n", "a: b\r\n".repeat(4000)),
    ] {
        let start: String = said.chars().take(80).collect();
        assert_eq!(body_of(said), Err(Class::Garbled), "{start:?}");
    }
}

#[test]
fn fields_may_hold_any_text() {
    let server = Server::saying(
        b"HTTP/1.1 200 OK\r\nX-A: caf\xc3\xa9\r\nx-b: caf\xe9\tx\r\ncontent-length: 0\r\n\r\n",
    );
    let answer = client(&Ties::default()).send(&get(&server.origin(), "/")).unwrap();
    assert_eq!(answer.headers.get("x-a"), Some("café"));
    assert_eq!(answer.headers.get("x-b"), Some("café\tx"));
}

#[test]
fn a_request_that_would_be_another_is_not_sent() {
    let server = Server::saying("HTTP/1.1 200 OK\r\n\r\n");
    let client = client(&Ties::default());
    for request in [
        get(&server.origin(), "/a b"),
        get(&server.origin(), "/a\r\nx: y"),
        get(&server.origin(), "/").header("a", "b\r\nc: d"),
        get(&server.origin(), "/").header("a b", "c"),
    ] {
        assert_eq!(client.send(&request).err().unwrap().class, Class::Invalid);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn an_answer_to_head_has_no_body_and_leaves_the_connection_usable() {
    let server = Server::answering(|peer, asked| {
        if asked.line.starts_with("HEAD") {
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
        } else {
            peer.answer(200, "", b"body");
        }
    });
    let client = client(&Ties::default());
    let head = Request::new(Verb::Look, "HEAD", &server.origin(), "/a".to_owned());
    for _ in 0..3 {
        let (answer, body) = client.fetch(&head, 0).unwrap();
        assert_eq!((answer.headers.get("content-length"), body.len()), (Some("1000"), 0));
        assert_eq!(client.fetch(&get(&server.origin(), "/"), 4).unwrap().1, b"body");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_body_longer_than_wanted_is_refused_and_not_asked_for_again() {
    let server = Server::answering(|peer, _| peer.answer(200, "", b"12345"));
    let client = client(&Ties::default());
    assert_eq!(client.fetch(&get(&server.origin(), "/"), 5).unwrap().1, b"12345");
    let failure = client.fetch(&get(&server.origin(), "/"), 4).err().unwrap();
    assert_eq!((failure.class, server.seen().len()), (Class::Garbled, 2));
}

#[test]
fn heads_and_queries_are_written_as_signatures_see_them() {
    let server = Server::answering(|peer, _| peer.answer(200, "", b""));
    let origin = server.origin();
    let request = get(&origin, "/b/k%20y")
        .query("a", "b c/é")
        .header("host", "another")
        .header("content-length", "7");
    let client = client(&Ties::default());
    client.send(&request).unwrap();
    let empty = Request::new(Verb::Control, "POST", &origin, "/p?uploads".to_owned());
    client.send(&empty.query("x", "")).unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].line, "GET /b/k%20y?a=b%20c%2F%C3%A9 HTTP/1.1");
    assert_eq!(seen[0].get("host"), Some(origin.authority().as_str()));
    assert_eq!((seen[0].get("content-length"), seen[1].get("content-length")), (None, Some("0")));
    assert_eq!(seen[1].line, "POST /p?uploads&x= HTTP/1.1");
}
