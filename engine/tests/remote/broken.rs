//! Connections that end, stall or lie, at every place where they can.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use migration_engine::remote::call::Class;
use migration_engine::remote::client::Client;
use migration_engine::remote::dialect::Anonymous;
use migration_engine::remote::ties::Ties;

use crate::common::{client, get, patient, put, settings, value, with};
use crate::server::Server;

const BODY: &[u8] = b"some content that is not long";

fn whole() -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", BODY.len()).into_bytes();
    bytes.extend(BODY);
    bytes
}

/// Reads in small pieces, as the caller of a pipeline does, from the start after each failure.
fn read_all(client: &Client, server: &Server) -> Vec<u8> {
    loop {
        let mut out = Vec::new();
        let mut answer = client.send(&get(&server.origin(), "/")).unwrap();
        let mut buffer = [0; 7];
        loop {
            match answer.read(&mut buffer) {
                Ok(0) => return out,
                Ok(count) => out.extend(&buffer[..count]),
                Err(failure) => {
                    assert_eq!(failure.class, Class::Transient);
                    assert_eq!(answer.read(&mut buffer).unwrap(), 0, "it stays ended");
                    break;
                }
            }
        }
    }
}

/// Pitfall: a retry appended what an earlier attempt had given already.
#[test]
fn an_answer_reset_at_any_byte_is_never_taken_for_the_whole() {
    let whole = whole();
    for cut in 0..whole.len() {
        let said = whole.clone();
        let server = Server::start(move |peer| {
            let number = peer.number;
            while peer.request().is_some() {
                if number == 0 {
                    peer.say(&said[..cut]);
                    return peer.reset();
                }
                peer.say(&said);
            }
        });
        let client = client(&Ties::default());
        let (_, body) = client.fetch(&get(&server.origin(), "/"), 100).unwrap();
        assert_eq!(body, BODY, "reset after {cut} bytes");
        assert_eq!(server.connections(), 2);
    }
    let cut = whole.len() - 3;
    let server = Server::start(move |peer| {
        let number = peer.number;
        if peer.request().is_some() {
            peer.say(if number == 0 { &whole[..cut] } else { &whole[..] });
        }
    });
    assert_eq!(read_all(&client(&Ties::default()), &server), BODY);
}

#[test]
fn a_request_reset_at_any_byte_is_sent_again_whole() {
    use std::io::Read as _;
    // All but some last bytes of the body.
    for cut in 0..120 {
        let server = Server::start(move |peer| {
            if peer.number == 0 {
                let mut some = vec![0; cut];
                drop(peer.socket.read_exact(&mut some));
                return peer.reset();
            }
            while peer.request().is_some() {
                peer.answer(200, "", b"");
            }
        });
        let ties = Ties::default();
        client(&ties).send(&put(&server.origin(), "/k", BODY)).unwrap();
        let seen = server.seen();
        assert_eq!(seen.len(), 1, "reset after {cut} bytes");
        assert_eq!(seen[0].body, BODY);
    }
}

/// What must not be done twice is not sent twice, and its caller is told that it may have been.
#[test]
fn a_request_that_is_sent_once_is_unsure_when_its_answer_is_lost() {
    let server = Server::start(|peer| {
        if peer.request().is_some() {
            peer.reset();
        }
    });
    let request = put(&server.origin(), "/k", BODY);
    let failure = client(&Ties::default()).send(&request.once()).err().unwrap();
    assert_eq!((failure.class, failure.unsure), (Class::Transient, true));
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn an_early_refusal_is_read_although_the_body_was_not_taken() {
    let body = vec![7; 16 << 20];
    let server = Server::start(|peer| {
        use std::io::Read as _;
        let mut some = [0; 1000];
        drop(peer.socket.read(&mut some));
        peer.answer(412, "connection: close\r\n", b"no");
        // The unread rest makes the system reset the connection.
    });
    let failure = client(&Ties::default()).send(&put(&server.origin(), "/", &body)).err().unwrap();
    assert_eq!((failure.class, failure.status), (Class::Condition, Some(412)));

    let (done, held) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (ends, holds) = (Arc::clone(&done), Arc::clone(&held));
    let server = Server::start(move |peer| {
        use std::io::Read as _;
        let mut some = [0; 1000];
        drop(peer.socket.read(&mut some));
        peer.answer(412, "", b"no");
        holds.store(true, SeqCst);
        // It takes no more, and does not end either.
        while !ends.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let failure = client(&Ties::default()).send(&put(&server.origin(), "/", &body)).err().unwrap();
    assert_eq!(failure.class, Class::Condition);
    assert!(held.load(SeqCst));
    done.store(true, SeqCst);
}

#[test]
fn a_connection_that_ended_while_it_rested_costs_no_retry() {
    for ends_seen in [true, false] {
        let server = Server::start(move |peer| {
            if peer.request().is_some() {
                peer.answer(200, "", BODY);
            }
            if ends_seen {
                return;
            }
            // Stands until the next request, and then gives no answer to it.
            if peer.number == 0 && peer.request().is_some() {
                drop(peer.socket.shutdown(Shutdown::Both));
            }
        });
        let ties = Ties::default();
        let client = client(&ties);
        for _ in 0..2 {
            assert_eq!(client.fetch(&get(&server.origin(), "/"), 100).unwrap().1, BODY);
            while ends_seen && server.connections() == 0 {
                std::thread::yield_now();
            }
        }
        assert_eq!((server.connections(), value(&ties.meter.retries)), (2, 0));
    }
}

#[test]
fn connections_are_kept_when_answers_were_read_and_closed_when_not() {
    let server = Server::answering(|peer, _| peer.answer(200, "", &[7; 100_000]));
    let ties = Ties::default();
    let client = client(&ties);
    for _ in 0..5 {
        client.fetch(&get(&server.origin(), "/"), 100_000).unwrap();
    }
    assert_eq!(server.connections(), 1);
    let mut answer = client.send(&get(&server.origin(), "/")).unwrap();
    answer.read(&mut [0; 10]).unwrap();
    assert_eq!(value(&ties.meter.in_flight), 1);
    drop(answer);
    assert_eq!(value(&ties.meter.in_flight), 0);
    client.fetch(&get(&server.origin(), "/"), 100_000).unwrap();
    assert_eq!(server.connections(), 2);
    assert!(value(&ties.meter.bytes_received) > 600_000);
}

#[test]
fn silence_and_trickles_end_in_time() {
    let server = Server::start(|peer| {
        if peer.request().is_none() {
            return;
        }
        match peer.number {
            // No answer at all; half a head; half a body; byte for byte.
            0 => while peer.request().is_some() {},
            1 => {
                peer.say("HTTP/1.1 200 OK\r\n");
                while peer.request().is_some() {}
            }
            2 => {
                peer.say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
                while peer.request().is_some() {}
            }
            _ => {
                peer.say("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
                while peer.say("x") {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        }
    });
    let ties = Ties::default();
    let client = with(Anonymous, &ties, settings());
    let failure = client.fetch(&get(&server.origin(), "/"), 1 << 20).err().unwrap();
    assert_eq!((failure.class, failure.unsure), (Class::Timeout, false));
    assert_eq!((server.connections(), value(&ties.meter.retries)), (4, 3));
}

#[test]
fn a_writer_that_nobody_reads_from_ends_in_time() {
    let (done, ends) = crossbeam_channel::bounded::<()>(0);
    let server = Server::start(move |_| ends.recv().unwrap_or_default());
    let body = vec![7; 32 << 20];
    let client = with(Anonymous, &Ties::default(), settings());
    let failure = client.send(&put(&server.origin(), "/", &body).once()).err().unwrap();
    assert_eq!((failure.class, failure.unsure), (Class::Timeout, true));
    drop(done);
}

#[test]
fn a_cancel_is_seen_in_every_wait() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&asked);
    let server = Server::answering(move |peer, asked| {
        counts.fetch_add(1, SeqCst);
        match asked.path() {
            "/silent" => {}
            "/body" => {
                peer.say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
            }
            _ => peer.answer(503, "retry-after: 100\r\n", b""),
        }
    });
    for (number, path) in ["/silent", "/body", "/later"].into_iter().enumerate() {
        let ties = Ties::default();
        let client = client(&ties);
        let origin = server.origin();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| client.fetch(&get(&origin, path), 100).map(drop));
            while asked.load(SeqCst) <= number {
                std::thread::yield_now();
            }
            ties.switch.cancel();
            assert_eq!(waiting.join().unwrap().unwrap_err().class, Class::Cancelled, "{path}");
        });
        assert_eq!(value(&ties.meter.in_flight), 0);
    }
}

/// Pitfall: an attempt that was given up went on sending from a buffer that was in use again.
#[test]
fn an_abandoned_attempt_sends_nothing_of_a_buffer_that_is_used_again() {
    use std::io::Read as _;
    let late = Arc::new(std::sync::Mutex::new(Vec::new()));
    let keeps = Arc::clone(&late);
    let (go, hears) = crossbeam_channel::bounded::<()>(1);
    let (ended, ends) = crossbeam_channel::bounded::<()>(1);
    let server = Server::start(move |peer| {
        if peer.number == 0 {
            // Takes nothing until the second attempt was answered and the buffer overwritten.
            let _ = hears.recv();
            drop(peer.socket.read_to_end(&mut keeps.lock().unwrap()));
            let _ = ended.send(());
            return;
        }
        while peer.request().is_some() {
            peer.answer(200, "", b"");
        }
    });
    let mut buffer = vec![b'a'; 32 << 20];
    let mut settings = patient();
    settings.waits.silence = Duration::from_millis(300);
    let client = with(Anonymous, &Ties::default(), settings);
    client.send(&put(&server.origin(), "/k", &buffer)).unwrap();
    buffer.fill(b'X');
    go.send(()).unwrap();
    ends.recv().unwrap();
    assert!(!late.lock().unwrap().contains(&b'X'));
    assert!(server.seen()[0].body.iter().all(|byte| *byte == b'a'));
}

#[test]
fn nobody_listening_is_told_as_such() {
    let server = Server::start(|_| {});
    let origin = server.origin();
    drop(server);
    let failure = client(&Ties::default()).send(&put(&origin, "/", BODY).once()).err().unwrap();
    assert_eq!((failure.class, failure.unsure), (Class::Unreachable, false));
    assert!(failure.errno.is_some());
}
