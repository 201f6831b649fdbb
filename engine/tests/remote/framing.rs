//! Where answers begin and end.

use migration_engine::remote::call::Class;

use crate::common::fetched;
use crate::server::Server;

fn body_of(bytes: &str) -> Result<Vec<u8>, Class> {
    let server = Server::saying(bytes.as_bytes().to_vec());
    fetched(&server.origin()).map_err(|failure| failure.class)
}

#[test]
fn bodies_end_by_length_by_chunks_or_with_the_connection() {
    for (said, body) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200 OK\r\n\r\nhello", "hello"),
        ("HTTP/1.0 200\r\n\r\nhello", "hello"),
        ("HTTP/1.1 204 OK\r\ncontent-length: 5\r\n\r\n", ""),
        (
            "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hint\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx",
            "x",
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n003 ;c\r\nllo\r\n0\r\n\
             trailer: x\r\n\r\n",
            "hello",
        ),
    ] {
        assert_eq!(body_of(said), Ok(body.as_bytes().to_vec()), "{said}");
    }
}
