//! Services that are asked through a proxy: by a way through it for TLS, by whole URLs without.

use std::sync::Arc;

use migration_engine::remote::call::Class;
use migration_engine::remote::origin::Origin;
use migration_engine::remote::proxy::Proxies;
use migration_engine::remote::ties::Ties;
use migration_engine::remote::transport::Transport;
use migration_fixtures::Proxy;

use crate::common::{client, get, patient, put};
use crate::server::Server;
use crate::tls::Secure;

/// A transport whose every request goes by a proxy, as whoever is named.
fn through(proxy: &Proxy, login: &str) -> Arc<Transport> {
    let url = format!("http://{login}127.0.0.1:{}", proxy.port);
    Arc::new(Transport::by(Proxies::of(|name| (name == "all_proxy").then(|| url.clone()))))
}

#[test]
fn tls_goes_through_the_proxy_to_the_service_itself() {
    let server = Secure::echo();
    let proxy = Proxy::start(server.port, Some("Basic bWU6cGFzcw==")).unwrap();
    let origin = server.origin("store.test");
    let client = server.client(patient());
    let body = vec![7; 100_000];
    let by = client.clone().over(&through(&proxy, "me:pass@"));
    for _ in 0..2 {
        assert!(by.fetch(&put(&origin, "/", &body), body.len()).unwrap().1 == body);
    }
    let heads = proxy.heads();
    let place = format!("CONNECT store.test:{} HTTP/1.1\r\n", server.port);
    // The second request went by the same way.
    assert!(heads.len() == 1 && heads[0].starts_with(&place), "{heads:?}");

    // The certificate is the service's own, and the proxy's word is no answer of it.
    let other = server.origin("other.test");
    let failure = client.clone().over(&through(&proxy, "me:pass@")).send(&get(&other, "/"));
    assert_eq!(failure.err().unwrap().class, Class::Tls);
    let failure =
        client.over(&through(&proxy, "me:wrong@")).send(&get(&origin, "/")).err().unwrap();
    assert_eq!((failure.class, failure.status), (Class::Refused, Some(407)), "{failure:?}");
    assert!(!format!("{failure:?}").contains("wrong") && !failure.unsure, "{failure:?}");
}

#[test]
fn what_is_plain_is_asked_for_by_its_whole_url_and_this_machine_itself() {
    let server = Server::answering(|peer, asked| peer.answer(200, "", asked.path().as_bytes()));
    let proxy = Proxy::start(server.address.port(), None).unwrap();
    let by = client(&Ties::default()).over(&through(&proxy, "me:pass@"));
    let origin = Origin::parse("http://store.test:81").unwrap().0;
    let (_, body) = by.fetch(&get(&origin, "/a?b"), 100).unwrap();
    assert_eq!(body, b"/a?b");
    let (_, body) = by.fetch(&get(&server.origin(), "/direct"), 100).unwrap();
    assert_eq!(body, b"/direct");
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with("GET http://store.test:81/a?b HTTP/1.1\r\n"), "{heads:?}");
    assert!(heads[0].contains("\r\nhost: store.test:81\r\n"), "{heads:?}");
    let seen = server.seen();
    assert!(seen.iter().all(|asked| asked.get("proxy-authorization").is_none()), "{seen:?}");
}
