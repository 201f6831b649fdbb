//! Where answers that name another place lead.

use std::sync::Arc;

use migration_engine::error::Result;
use migration_engine::model::item::Timestamp;
use migration_engine::remote::call::{Class, Request, Verb};
use migration_engine::remote::client::Client;
use migration_engine::remote::dialect::{Anonymous, Signer};
use migration_engine::remote::ties::Ties;

use crate::common::{Following, client, get, patient, put, transport, with};
use crate::server::Server;

/// Proves itself by a field.
struct Token;

impl Signer for Token {
    fn sign(&self, request: &mut Request<'_>, _now: Timestamp) -> Result<()> {
        request.headers.set("authorization", "Bearer secret");
        Ok(())
    }
}

fn sending_on(status: u16, to: String) -> Server {
    Server::answering(move |peer, asked| {
        if asked.path() == "/here" {
            peer.answer(200, "", b"here");
        } else {
            peer.answer(status, &format!("location: {to}\r\n"), b"gone");
        }
    })
}

fn with_secrets(request: Request<'static>) -> Request<'static> {
    request
        .header("authorization", "Basic secret")
        .header("cookie", "secret")
        .header("x-amz-security-token", "secret")
        .header("x-goog-user", "secret")
        .header("x-ms-date", "secret")
        .header("range", "bytes=0-3")
}

#[test]
fn reads_follow_within_their_origin_with_all_they_carry() {
    for status in [301, 302, 303, 307, 308] {
        let server = sending_on(status, "/here".to_owned());
        let request = with_secrets(get(&server.origin(), "/there"));
        assert_eq!(client(&Ties::default()).fetch(&request, 10).unwrap().1, b"here");
        let seen = server.seen();
        assert_eq!(seen[1].fields.len(), seen[0].fields.len());
    }
}

/// Pitfall: credentials were carried to wherever a redirect led.
#[test]
fn another_host_sees_no_credentials() {
    let other = sending_on(302, String::new());
    let server = sending_on(302, format!("{}/here", other.origin()));
    let request = with_secrets(get(&server.origin(), "/there"));
    assert_eq!(client(&Ties::default()).fetch(&request, 10).unwrap().1, b"here");
    let asked = &other.seen()[0];
    assert!(asked.fields.iter().all(|(_, value)| !value.contains("secret")), "{asked:?}");
    assert_eq!(asked.get("range"), Some("bytes=0-3"));
}

#[test]
fn a_signed_request_goes_to_another_host_only_unsigned_and_where_its_dialect_says_so() {
    let other = sending_on(302, String::new());
    let server = sending_on(302, format!("{}/here", other.origin()));
    let request = get(&server.origin(), "/there");
    let failure = with(Token, &Ties::default(), patient()).send(&request).err().unwrap();
    assert_eq!((failure.class, other.connections()), (Class::Redirect, 0));
    let client = Client::with(Arc::new(Token), Arc::new(Following), Ties::default(), patient());
    assert_eq!(client.over(&transport()).fetch(&request, 10).unwrap().1, b"here");
    assert_eq!(other.seen()[0].get("authorization"), None);
    assert!(server.seen()[0].get("authorization").is_some());
}

#[test]
fn whoever_was_sent_away_is_not_signed_for_again_when_sent_back() {
    let home = Arc::new(std::sync::OnceLock::<String>::new());
    let back = Arc::clone(&home);
    let other = Server::answering(move |peer, _| {
        let fields = format!("location: {}/here\r\n", back.get().unwrap());
        peer.answer(302, &fields, b"");
    });
    let server = sending_on(302, format!("{}/", other.origin()));
    home.set(server.origin().to_string()).unwrap();
    let client = Client::with(Arc::new(Token), Arc::new(Following), Ties::default(), patient());
    let request = get(&server.origin(), "/there");
    assert_eq!(client.over(&transport()).fetch(&request, 10).unwrap().1, b"here");
    assert_eq!(server.seen()[1].get("authorization"), None);
}

#[test]
fn circles_writes_and_places_that_are_none_are_not_followed() {
    let server = sending_on(302, "/round".to_owned());
    let failure = client(&Ties::default()).send(&get(&server.origin(), "/")).err().unwrap();
    assert_eq!((failure.class, server.seen().len()), (Class::Redirect, 6));

    let server = sending_on(307, "/here".to_owned());
    let failure = client(&Ties::default()).send(&put(&server.origin(), "/", b"x")).err().unwrap();
    assert_eq!((failure.class, failure.status), (Class::Redirect, Some(307)));

    for place in ["ftp://a/", "http://u:p@a/", "http://", "/a b"] {
        let server = sending_on(302, place.to_owned());
        let failure = client(&Ties::default()).send(&get(&server.origin(), "/")).err().unwrap();
        assert_eq!((failure.class, server.seen().len()), (Class::Redirect, 1), "{place}");
    }
}

#[test]
fn a_redirect_leads_to_no_metadata_service() {
    let server = sending_on(302, "http://169.254.169.254/latest".to_owned());
    let request = Request::new(Verb::Look, "HEAD", &server.origin(), "/".to_owned());
    let failure = with(Anonymous, &Ties::default(), patient()).send(&request).err().unwrap();
    assert_eq!(failure.class, Class::Invalid);
}
