//! Connections at rest, by where they lead and whom they trust.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{REMOTE_IDLE_MAX, REMOTE_IDLE_MS};
use crate::remote::connection::Connection;
use crate::remote::origin::Origin;
use crate::remote::settings::Settings;

/// Where a connection leads, and under which settings it was made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Route {
    origin: Origin,
    tls_ca: Option<String>,
    tls_insecure: bool,
    imds: bool,
}

impl Route {
    pub(super) fn new(origin: &Origin, settings: &Settings) -> Self {
        Self {
            origin: origin.clone(),
            tls_ca: settings.tls_ca.clone().filter(|_| origin.tls),
            tls_insecure: settings.tls_insecure && origin.tls,
            imds: settings.imds,
        }
    }
}

/// Connections that nobody uses now.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Idle>);

#[derive(Debug, Default)]
struct Idle {
    /// The one used last is at the end.
    routes: HashMap<Route, Vec<Connection>>,
    count: usize,
    swept: Option<Instant>,
}

impl Pool {
    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection used last that still stands.
    pub(super) fn take(&self, route: &Route) -> Option<Connection> {
        loop {
            let connection = {
                let mut idle = self.idle();
                let connection = idle.routes.get_mut(route)?.pop()?;
                idle.count -= 1;
                connection
            };
            // One that has something to say without being asked says that it ends.
            if is_fresh(&connection) && !connection.stream().is_readable() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(super) fn put(&self, route: Route, mut connection: Connection) {
        connection.rested = Instant::now();
        let (most, most_in_all) = REMOTE_IDLE_MAX;
        let mut old = Vec::new();
        let mut idle = self.idle();
        idle.sweep(&mut old);
        if idle.count >= most_in_all {
            return;
        }
        let connections = idle.routes.entry(route).or_default();
        if connections.len() < most {
            connections.push(connection);
            idle.count += 1;
        }
        drop(idle);
        drop(old);
    }
}

impl Idle {
    /// Puts out what rested too long, now and then.
    fn sweep(&mut self, old: &mut Vec<Connection>) {
        let limit = Duration::from_millis(REMOTE_IDLE_MS);
        if self.swept.is_some_and(|swept| swept.elapsed() < limit / 4) {
            return;
        }
        self.swept = Some(Instant::now());
        for connections in self.routes.values_mut() {
            let stale = connections.iter().take_while(|connection| !is_fresh(connection)).count();
            old.extend(connections.drain(..stale));
        }
        self.routes.retain(|_, connections| !connections.is_empty());
        self.count = self.routes.values().map(Vec::len).sum();
    }
}

fn is_fresh(connection: &Connection) -> bool {
    connection.rested.elapsed() < Duration::from_millis(REMOTE_IDLE_MS)
}
