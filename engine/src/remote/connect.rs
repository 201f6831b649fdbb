//! Connects to one of a name's addresses.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use crate::limits::REMOTE_STEP_MS;
use crate::remote::call::{Class, Failure};
use crate::resource::cancel::Switch;

/// Addresses of metadata services beside the link-local ones of IPv4: Amazon's, for machines and
/// for pods, and Google's.
const METADATA: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// Whether an address gives credentials to whoever asks.
pub(super) fn is_metadata(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => METADATA.contains(&v6),
    }
}

/// Connects to the first address that listens, beginning at `first` and going round.
///
/// # Errors
/// `Unreachable` with what the last one said, `Timeout`, `Cancelled`.
pub(super) fn connect(
    addresses: &[SocketAddr],
    first: usize,
    limit: Duration,
    switch: &Switch,
) -> Result<TcpStream, Failure> {
    let deadline = Instant::now() + limit;
    let mut last = Failure::of(Class::Unreachable, "the name has no address");
    let count = addresses.len();
    for turn in 0..count {
        let Some(address) = addresses.get((first + turn) % count) else { break };
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(count - turn).unwrap_or(u32::MAX);
        match connect_one(*address, share, switch) {
            Ok(socket) => return Ok(socket),
            Err(failure) if failure.class == Class::Cancelled => return Err(failure),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

fn connect_one(
    address: SocketAddr,
    limit: Duration,
    switch: &Switch,
) -> Result<TcpStream, Failure> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))
        .map_err(unreachable)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => {}
        Err(Errno::INPROGRESS | Errno::INTR) => wait(&socket, limit, switch)?,
        Err(error) => return Err(unreachable(error)),
    }
    let socket = TcpStream::from(socket);
    let step = Some(Duration::from_millis(REMOTE_STEP_MS));
    let set = || -> io::Result<()> {
        socket.set_nonblocking(false)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(step)?;
        socket.set_write_timeout(step)
    };
    set().map_err(|error| Failure::io(&error, "failed to set up a connection"))?;
    Ok(socket)
}

fn wait(socket: &impl std::os::fd::AsFd, limit: Duration, switch: &Switch) -> Result<(), Failure> {
    let start = Instant::now();
    let step = Timespec { tv_sec: 0, tv_nsec: REMOTE_STEP_MS as i64 * 1_000_000 };
    loop {
        if switch.is_cancelled() {
            return Err(Failure::cancelled());
        }
        let mut fds = [PollFd::new(socket, PollFlags::OUT)];
        match rustix::event::poll(&mut fds, Some(&step)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => {
                let result = sockopt::socket_error(socket).map_err(unreachable)?;
                return result.map_err(unreachable);
            }
            Err(error) => return Err(unreachable(error)),
        }
        if start.elapsed() >= limit {
            return Err(Failure::of(Class::Timeout, "failed to connect: nobody answered in time"));
        }
    }
}

fn unreachable(error: Errno) -> Failure {
    let error = io::Error::from(error);
    Failure {
        errno: error.raw_os_error(),
        ..Failure::of(Class::Unreachable, format!("failed to connect: {}", error.kind()))
    }
}
