//! Servers that are none: whatever they send, a session ends with an error, and soon.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use migration_engine::error::Kind;

use super::scratch::{location, open_source};

/// A server that sends this to whoever connects, and then says nothing more, or goes.
fn says(bytes: Vec<u8>, goes: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut startup = [0; 4096];
        drop(client.read(&mut startup));
        drop(client.write_all(&bytes));
        if !goes {
            drop(client.read(&mut startup));
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    port
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

fn kind(bytes: Vec<u8>) -> Kind {
    let start = Instant::now();
    let url = format!("postgres://me@127.0.0.1:{}/db", says(bytes, true));
    let error = match open_source(&location(&url)) {
        Ok(_) => panic!("was let in"),
        Err(error) => error,
    };
    assert!(start.elapsed() < Duration::from_secs(10));
    error.kind()
}

#[test]
fn answers_that_no_server_gives_end_the_session() {
    let ok = message(b'R', &[0, 0, 0, 0]);
    let ready = message(b'Z', b"I");
    let garbled = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        message(b'R', &[0]),
        message(b'R', &[0, 0, 0, 12]),
        message(b'R', &[0, 0, 0, 11]),
        b"R\0\0\0\x03".to_vec(),
        b"R\xff\xff\xff\xff".to_vec(),
        message(b'D', b"\0\x01\0\0\0\x01a"),
        ready.clone(),
        [ok.clone(), ready.clone(), message(b'D', b"\0\x05")].concat(),
        [ok.clone(), ready.clone(), message(b'D', b"\0\x01\x7f\xff\xff\xffa")].concat(),
        [ok.clone(), ready.clone(), message(b'G', b"\0\0\0")].concat(),
        message(b'S', &[0; 8]).repeat(2000),
    ];
    for bytes in garbled {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        assert_eq!(kind(bytes), Kind::RemoteAnswer, "{shown:?}");
    }
    for (bytes, expected) in [
        (message(b'R', &[0, 0, 0, 7]), Kind::CredentialsRefused),
        (message(b'R', b"\0\0\0\x0aSCRAM-SHA-512\0\0"), Kind::CredentialsRefused),
        (message(b'R', &[0, 0, 0, 3]), Kind::CredentialsMissing),
        (message(b'E', b"C3D000\0Mno\0\0"), Kind::DatabaseNotFound),
        (message(b'v', &[0; 8]), Kind::DatabaseVersion),
        (ok.clone(), Kind::RemoteUnavailable),
        (Vec::new(), Kind::RemoteUnavailable),
    ] {
        assert_eq!(kind(bytes), expected);
    }
    let old = [
        ok,
        ready.clone(),
        message(b'D', b"\0\x01\0\0\0\x0690624\0"),
        message(b'D', b"\0\x01\0\0\0\x0590624"),
        ready,
    ];
    assert_eq!(kind(old.concat()), Kind::DatabaseVersion);
}

#[test]
fn noise_never_panics() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..200 {
        let mut bytes = if round % 2 == 0 { message(b'R', &[0; 4]) } else { Vec::new() };
        for _ in 0..round {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            bytes.push((state >> 56) as u8);
        }
        kind(bytes);
    }
}
