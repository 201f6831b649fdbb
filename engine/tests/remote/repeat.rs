//! What is sent again, how often, and what is not.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};

use migration_engine::error::Result;
use migration_engine::model::item::Timestamp;
use migration_engine::remote::call::{Class, Repeat, Request};
use migration_engine::remote::client::Client;
use migration_engine::remote::dialect::{Anonymous, Signer};
use migration_engine::remote::settings::Settings;
use migration_engine::remote::ties::Ties;

use crate::common::{Plain, client, get, patient, put, transport, value, with};
use crate::server::{Asked, Peer, Server};

/// Status, fields and body of each answer.
type Answers = &'static [(u16, &'static str, &'static str)];

/// A server whose requests get these answers in turn, the last one for ever.
fn in_turn(answers: Answers) -> Server {
    let turn = AtomicUsize::new(0);
    Server::answering(move |peer, _| {
        let number = turn.fetch_add(1, SeqCst).min(answers.len() - 1);
        let (status, fields, body) = answers[number];
        peer.answer(status, fields, body.as_bytes());
    })
}

#[test]
fn what_passes_is_sent_again_and_what_does_not_is_not() {
    let all: [(Answers, usize, Option<Class>); 5] = [
        (&[(500, "", ""), (200, "", "")], 2, None),
        (&[(429, "", ""), (503, "", ""), (200, "", "")], 3, None),
        (&[(404, "", "")], 1, Some(Class::NotFound)),
        (&[(304, "", "")], 1, Some(Class::Redirect)),
        (&[(500, "", "")], 4, Some(Class::Transient)),
    ];
    for (answers, sent, class) in all {
        let (server, ties) = (in_turn(answers), Ties::default());
        let tried = client(&ties).send(&put(&server.origin(), "/", b"x"));
        assert_eq!(tried.err().map(|failure| failure.class), class);
        assert_eq!(server.seen().len(), sent);
        assert_eq!(value(&ties.meter.requests), sent as u64);
        assert_eq!(value(&ties.meter.retries), sent as u64 - 1);
    }
}

#[test]
fn what_must_not_be_done_twice_is_repeated_only_when_it_was_not_done() {
    let all: [(Answers, usize, Option<bool>); 4] = [
        (&[(503, "", ""), (200, "", "")], 2, None),
        (&[(429, "", ""), (412, "", "")], 2, Some(false)),
        (&[(500, "", ""), (200, "", "")], 1, Some(true)),
        (&[(409, "", "")], 1, Some(false)),
    ];
    for (answers, sent, unsure) in all {
        let server = in_turn(answers);
        let request = put(&server.origin(), "/", b"x").once();
        assert_eq!(request.repeat, Repeat::Never);
        let tried = client(&Ties::default()).send(&request);
        assert_eq!(tried.err().map(|failure| failure.unsure), unsure);
        assert_eq!(server.seen().len(), sent);
    }
}

/// Pitfall: a success whose body says that it was none.
#[test]
fn a_refusal_within_a_success_is_one() {
    let all: [(Answers, usize, Option<bool>); 2] = [
        (&[(200, "", "slow"), (200, "", "done")], 2, None),
        (&[(200, "", "broken"), (200, "", "done")], 1, Some(true)),
    ];
    for (answers, sent, unsure) in all {
        let (server, ties) = (in_turn(answers), Ties::default());
        let request = put(&server.origin(), "/", b"x").once();
        let tried = client(&ties).fetch(&request, 10);
        assert_eq!(tried.err().map(|failure| failure.unsure), unsure);
        assert_eq!(server.seen().len(), sent);
        assert_eq!(value(&ties.meter.slowed), sent as u64 - 1);
    }
}

/// Pitfall: a conditional create whose answer was lost meets its own success.
#[test]
fn a_refusal_behind_a_lost_answer_is_unsure() {
    let server = Server::start(|peer| {
        let number = peer.number;
        while peer.request().is_some() {
            if number == 0 {
                return peer.reset();
            }
            peer.answer(412, "", b"");
        }
    });
    let failure = client(&Ties::default()).send(&put(&server.origin(), "/", b"x")).err().unwrap();
    assert_eq!((failure.class, failure.unsure), (Class::Condition, true));
}

#[test]
fn a_service_that_says_when_is_not_asked_before() {
    let server = in_turn(&[(503, "retry-after: 1\r\n", ""), (200, "", "")]);
    let (start, ties) = (Instant::now(), Ties::default());
    client(&ties).send(&get(&server.origin(), "/")).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert!(value(&ties.meter.throttled_ns) >= 1_000_000_000);
    assert_eq!(value(&ties.meter.slowed), 1);
}

/// So many requests of four threads to a server that refuses such a share; requests that came.
fn storm(percent: usize, items: usize) -> (usize, usize) {
    let count = AtomicUsize::new(0);
    let server = Server::answering(move |peer, _| {
        // Spread evenly, the same in every run.
        let refused = (count.fetch_add(1, SeqCst) * 37 + 11) % 100 < percent;
        peer.answer(if refused { 503 } else { 200 }, "", b"");
    });
    let (next, good) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut settings = patient();
    settings.tries.count = 10;
    settings.tries.total = Duration::from_secs(4);
    let client = with(Anonymous, &Ties::default(), settings);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while next.fetch_add(1, SeqCst) < items {
                    if client.send(&get(&server.origin(), "/")).is_ok() {
                        good.fetch_add(1, SeqCst);
                    }
                }
            });
        }
    });
    (good.load(SeqCst), server.seen().len())
}

#[test]
fn storms_of_refusals_are_not_answered_by_storms_of_requests() {
    std::thread::scope(|scope| {
        for (percent, items) in [(0, 500), (5, 200), (30, 12), (60, 6), (100, 4)] {
            scope.spawn(move || {
                let (good, sent) = storm(percent, items);
                let passes = (100 - percent).max(10) as f64 / 100.0;
                let most = items as f64 / passes * 1.1 + 8.0;
                assert!(sent as f64 <= most, "{percent} %: {sent} sent");
                let least = if percent == 100 { 0 } else { items / 2 };
                assert!(good >= least, "{percent} %: {good} of {items}");
                assert!(percent > 5 || good == items, "{percent} %: {good} of {items}");
            });
        }
    });
}

#[test]
fn a_service_that_fails_is_left_alone_and_tried_by_one() {
    let well = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&well);
    let server = Server::answering(move |peer, _| {
        let status = if is_well.load(SeqCst) { 200 } else { 500 };
        peer.answer(status, "", b"");
    });
    let mut settings = patient();
    settings.tries.rest = Duration::from_millis(300);
    let client = with(Anonymous, &Ties::default(), settings);
    let origin = server.origin();
    for _ in 0..2 {
        // Four attempts, then the fifth failure in a row.
        if server.seen().len() < 5 {
            drop(client.send(&get(&origin, "/").once()));
            drop(client.send(&get(&origin, "/")));
        }
    }
    let before = server.seen().len();
    assert!(before >= 5);
    std::thread::scope(|scope| {
        let waiting: Vec<_> =
            (0..8).map(|_| scope.spawn(|| client.send(&get(&origin, "/")).is_ok())).collect();
        well.store(true, SeqCst);
        assert!(waiting.into_iter().all(|one| one.join().unwrap()));
    });
    assert_eq!(server.seen().len() - before, 8, "nobody had to ask twice");
}

#[test]
fn the_budget_of_the_process_bounds_repetitions() {
    let server = in_turn(&[(500, "", "")]);
    let mut settings = patient();
    (settings.tries.count, settings.tries.rest) = (1000, Duration::ZERO);
    let client = with(Anonymous, &Ties::default(), settings);
    assert!(client.send(&get(&server.origin(), "/")).is_err());
    assert_eq!(server.seen().len(), 101);
    assert!(client.send(&get(&server.origin(), "/")).is_err());
    assert_eq!(server.seen().len(), 102, "it fails at once");
}

/// Signs with what it has, and gets something new when that is refused.
#[derive(Clone, Default)]
struct Renewing {
    renewed: Arc<AtomicUsize>,
}

impl Signer for Renewing {
    fn sign(&self, request: &mut Request<'_>, now: Timestamp) -> Result<()> {
        let token = self.renewed.load(SeqCst);
        request.headers.set("authorization", format!("Bearer {token} {}", now.0 / 1_000_000_000));
        Ok(())
    }

    fn renew(&self) -> bool {
        self.renewed.fetch_add(1, SeqCst);
        true
    }
}

/// The n-th word of what a request proves itself by.
fn word(asked: &Asked, number: usize) -> &str {
    asked.get("authorization").unwrap().split(' ').nth(number).unwrap()
}

#[test]
fn expired_credentials_are_renewed_once() {
    let server = Server::answering(|peer: &mut Peer, asked| {
        let good = word(&asked, 1) == "1" && asked.path() == "/";
        peer.answer(if good { 200 } else { 403 }, "", b"expired");
    });
    let (signer, ties) = (Renewing::default(), Ties::default());
    let client = with(signer.clone(), &ties, patient());
    let request = put(&server.origin(), "/", b"x").once();
    client.send(&request).unwrap();
    client.send(&request).unwrap();
    assert_eq!((server.seen().len(), signer.renewed.load(SeqCst)), (3, 1));
    let failure = client.send(&put(&server.origin(), "/never", b"x")).err().unwrap();
    assert_eq!((failure.class, signer.renewed.load(SeqCst)), (Class::Expired, 2));
}

#[test]
fn a_clock_that_differs_is_learned_once_and_kept() {
    // Sun, 06 Nov 2095 08:49:37 GMT.
    const THEN: u64 = 3_971_407_777;
    let server = Server::answering(|peer: &mut Peer, asked| {
        let time: u64 = word(&asked, 2).parse().unwrap();
        let good = time.abs_diff(THEN) < 600 && asked.path() == "/";
        let date = "date: Sun, 06 Nov 2095 08:49:37 GMT\r\n";
        peer.answer(if good { 200 } else { 403 }, date, b"clock");
    });
    let client = with(Renewing::default(), &Ties::default(), patient());
    for _ in 0..3 {
        client.send(&put(&server.origin(), "/", b"x").once()).unwrap();
    }
    assert_eq!(server.seen().len(), 4);
    let failure = client.send(&get(&server.origin(), "/never")).err().unwrap();
    assert_eq!(failure.class, Class::Clock);
    assert_eq!(server.seen().len(), 5, "what is known already is no news");
}

/// A job whose threads each read one thing and write another to the same service.
#[test]
fn threads_that_hold_answers_get_their_writes_through() {
    let body = vec![7; 1 << 20];
    let server = Server::answering(move |peer, asked| {
        let some = if asked.path() == "/read" { &body[..] } else { b"" };
        peer.answer(200, "", some);
    });
    let client = with(Anonymous, &Ties::default(), patient());
    let (origin, met) = (server.origin(), std::sync::Barrier::new(8));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                // All slots are taken by answers that nobody ends before he got another one.
                let mut first = client.send(&get(&origin, "/read")).unwrap();
                met.wait();
                let mut second = client.send(&get(&origin, "/read")).unwrap();
                client.send(&put(&origin, "/write", b"x")).unwrap();
                while first.read(&mut [0; 70_000]).unwrap() > 0 {}
                while second.read(&mut [0; 70_000]).unwrap() > 0 {}
            });
        }
    });
    assert_eq!(server.seen().len(), 24);
}

#[test]
fn metadata_services_are_asked_by_those_who_may() {
    use migration_engine::remote::origin::Origin;
    for host in ["http://169.254.169.254", "http://[fd00:ec2::254]", "http://[::ffff:a9fe:a9fe]"] {
        let (origin, _) = Origin::parse(host).unwrap();
        let failure = client(&Ties::default()).send(&get(&origin, "/")).err().unwrap();
        assert_eq!(failure.class, Class::Invalid, "{host}");
        assert!(failure.message.contains("metadata"), "{}", failure.message);
    }
}

#[test]
fn clients_of_one_transport_share_what_they_know() {
    let server = Server::answering(|peer, _| peer.answer(200, "", b""));
    let shared = transport();
    for _ in 0..3 {
        let ties = Ties::default();
        let client = Client::with(Arc::new(Anonymous), Arc::new(Plain), ties, Settings::default());
        client.over(&shared).send(&get(&server.origin(), "/")).unwrap();
    }
    assert_eq!(server.connections(), 1);
}
