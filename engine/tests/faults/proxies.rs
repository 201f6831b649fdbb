//! A store that is reached through a proxy alone, as the environment says; its password shows nowhere.

use migration_fixtures::Proxy;
use migration_fixtures::store::{Dialect, Options, Server};
use serde_json::json;

use crate::bench::{Bench, PARTS, bytes};

#[test]
fn a_store_is_reached_by_the_environments_proxy() {
    for dialect in [Dialect::S3, Dialect::Azure] {
        let server = Server::start(Options::new(dialect)).unwrap();
        let (_, port) =
            server.url().rsplit_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let port = port.split('/').next().unwrap().parse().unwrap();
        let proxy = Proxy::start(port, Some("Basic bWU6Y2FuYXJ5LXBhc3M=")).unwrap();
        let url = format!("http://me:canary-pass@127.0.0.1:{}", proxy.port);
        let set = [("http_proxy", url.as_str()), ("no_proxy", "direct.test")];
        let mut bench = Bench::in_environment(Options::new(dialect), &[], &set);
        let all = bytes(PARTS, 41);
        bench.write("f", &all);
        let mut at = bench.in_parts("f");
        at["endpoint"] = json!(server.url().replace("127.0.0.1", "store.test"));
        let result = bench.copy(&json!("f"), &at, &json!({}));
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        let result = bench.copy(&at, &json!("back"), &json!({}));
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        assert!(bench.file("back").unwrap() == all, "{dialect:?}");
        assert!(server.objects().get("bucket", "f").unwrap().content.to_vec() == all);
        let heads = proxy.heads();
        assert!(heads.iter().all(|head| head.contains(" http://store.test:")), "{heads:?}");
        // This machine is asked itself.
        let before = heads.len();
        bench.up("f", "here");
        assert_eq!(proxy.heads().len(), before);
        let (_, seen) = bench.session.end();
        assert!(!seen.iter().any(|line| line.to_string().contains("canary-pass")));
    }
}
