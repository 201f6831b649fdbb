//! Names to addresses, without holding up a cancel.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use crate::limits::REMOTE_STEP_MS;
use crate::remote::call::{Class, Failure};
use crate::resource::cancel::Switch;

/// The addresses of a host. The system's resolver knows no time-out of ours: it is asked by a
/// thread of its own, which is left to itself when nobody wants its answer any more.
///
/// # Errors
/// `Unreachable`, `Timeout`, `Cancelled`.
pub(super) fn resolve(
    host: &Arc<str>,
    port: u16,
    limit: Duration,
    switch: &Switch,
) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (tell, told) = crossbeam_channel::bounded(1);
    let name = Arc::clone(host);
    let asks = move || {
        let found = (&*name, port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        drop(tell.send(found));
    };
    std::thread::Builder::new()
        .name("resolve".to_owned())
        .spawn(asks)
        .map_err(|error| Failure::io(&error, "failed to start a thread"))?;
    let start = Instant::now();
    loop {
        match told.recv_timeout(Duration::from_millis(REMOTE_STEP_MS)) {
            Ok(Ok(addresses)) => return Ok(addresses),
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => {
                let message = format!("the name {host} is not known");
                return Err(Failure::of(Class::Unreachable, message));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if switch.is_cancelled() {
            return Err(Failure::cancelled());
        }
        if start.elapsed() >= limit {
            return Err(Failure::of(Class::Timeout, format!("nobody knew {host} in time")));
        }
    }
}
