//! A Redis server: what its URL says, the way to it, and calls of the one script.

use super::call::{Call, Row, items, rows, text};
use crate::sys::time;
use ::redis::io::tcp::TcpSettings;
use ::redis::io::tcp::socket2::TcpKeepalive;
use ::redis::{Client, Connection, ErrorKind, IntoConnectionInfo, RedisError, ServerErrorKind, Value, cmd};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is done at the server.
const SCRIPT: &str = include_str!("tasks.lua");
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long an answer may take; a server that gives none is lost. Whoever waits for more than an answer waits without a limit,
/// and its kernel asks the server's whether it is still there (`TCP_KEEPIDLE`, `TCP_KEEPINTVL`, tcp(7)): a receive with a limit
/// would fail whenever quell is stopped and continued (signal(7), SO_RCVTIMEO).
const ANSWER: Duration = Duration::from_secs(5);
/// Each database has so many numbers for its tasks, and another place where they begin: so a number says whose a task is.
const NUMBERS: u64 = 1_000_000_000_000;
/// There are so many such places; the last numbers are still whole ones for everybody who reads JSON.
const PLACES: u64 = 9000;

/// A server, by its URL.
#[derive(Clone, Debug)]
pub(super) struct Server {
    client: Client,
    /// The URL without what is secret in it.
    pub(super) name: Arc<str>,
}

/// A URL that names no server that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} names no Redis server: {why}; write one such as \"redis://127.0.0.1:6379/0\"")]
pub struct UrlError {
    /// The URL, without what stands before an `@`.
    url: String,
    why: String,
}

/// Why a call was not answered as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The connection is of no more use.
    Lost(String),
    /// The server does not do it.
    Refused(String),
}

/// A connection over which the script can be called.
pub(super) struct Session {
    connection: Connection,
    script: String,
    /// Which numbers its tasks have: those of this place.
    pub(super) place: u64,
    /// What makes the server lose tasks.
    pub(super) doubts: Vec<String>,
}

/// The databases that are worked at from here: by the place of their numbers, and by which name each.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<Mutex<BTreeMap<u64, Arc<str>>>>);

impl Places {
    /// Whoever works at a database by one name does not by another: each would give back what the other has in hand.
    pub(super) fn settle(&self, place: u64, name: &Arc<str>) -> Result<(), Trouble> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = places.entry(place).or_insert_with(|| name.clone());
        match known == name {
            true => Ok(()),
            false => Err(Trouble::Refused(format!("it is {known} by another name; write that for all its queues"))),
        }
    }
}

impl Server {
    /// The server that a URL names; nobody is connected to.
    pub(super) fn of(url: &str) -> Result<Server, UrlError> {
        let failed = |e: RedisError| {
            let url = url.rsplit_once('@').map_or(url, |(_, rest)| rest).to_owned();
            UrlError { url, why: e.detail().map_or_else(|| e.to_string(), str::to_owned) }
        };
        let info = url.into_connection_info().map_err(failed)?;
        let name = format!("redis://{}/{}", info.addr(), info.redis_settings().db()).into();
        let alive = TcpKeepalive::new().with_time(ANSWER).with_interval(ANSWER).with_retries(2);
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true).set_keepalive(alive));
        Ok(Server { client: Client::open(info).map_err(failed)?, name })
    }

    /// A connection whose answers may take so long, or as long as they like.
    pub(super) fn connect(&self, answer: Option<Duration>) -> Result<Connection, Trouble> {
        let connection = self.client.get_connection_with_timeout(CONNECT).map_err(lost)?;
        connection.set_read_timeout(answer).map_err(lost)?;
        connection.set_write_timeout(Some(ANSWER)).map_err(lost)?;
        Ok(connection)
    }
}

impl Session {
    /// Connects as this host; as nobody, who only puts, where that is empty.
    pub(super) fn open(server: &Server, host: &str) -> Result<Session, Trouble> {
        let mut connection = server.connect(Some(ANSWER))?;
        let script = cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query(&mut connection).map_err(lost)?;
        // Who may not ask is not told.
        let info: String = cmd("INFO").query(&mut connection).unwrap_or_default();
        let mut session = Session { connection, script, place: 0, doubts: doubts(&info) };
        let first = (1 + time::now().tick.0 / 1000 % PLACES) * NUMBERS;
        let (last, _) = session.call(&Call::new("come").arg(host).arg(first))?;
        session.place = place_of(text(&last).parse().unwrap_or(0));
        Ok(session)
    }

    /// Calls the script: what it gives back, and how the queues stand that it has changed.
    pub(super) fn call(&mut self, call: &Call) -> Result<(Value, Vec<Row>), Trouble> {
        let mut command = cmd("EVALSHA");
        command.arg(&self.script).arg(0).arg(call.verb);
        call.arguments.iter().for_each(|argument| _ = command.arg(&argument[..]));
        let answer: Value = command.query(&mut self.connection).map_err(trouble)?;
        let mut parts = items(answer).into_iter();
        let result = parts.next().unwrap_or_default();
        Ok((result, rows(parts.next().unwrap_or_default())))
    }
}

/// What makes a server lose tasks, by what it says of itself (redis.io/docs/latest/commands/info). Policies of another name drop
/// none: no key of a task expires.
fn doubts(info: &str) -> Vec<String> {
    let value = |key: &str| info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let is_unlogged = value("aof_enabled") == Some("0");
    let unlogged = is_unlogged.then(|| "`appendonly` is off there: a restart can lose tasks".to_owned());
    let evicts = value("maxmemory_policy").filter(|policy| policy.starts_with("allkeys"));
    let evicts =
        evicts.map(|policy| format!("`maxmemory-policy` is {policy} there: it drops tasks when memory is short"));
    unlogged.into_iter().chain(evicts).collect()
}

/// Among which numbers that of a task is: nought is for those that are stored here.
pub(super) fn place_of(number: u64) -> u64 {
    number / NUMBERS
}

/// What an error means that has come instead of an answer. A server that is loading, or is no master any more, or has lost the
/// script, is found again like one that is gone.
pub(super) fn trouble(error: RedisError) -> Trouble {
    let passes = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::NoScript
        )
    );
    match error.is_unrecoverable_error() || error.is_io_error() || error.is_timeout() || passes {
        true => lost(error),
        false => Trouble::Refused(error.to_string()),
    }
}

fn lost(error: RedisError) -> Trouble {
    Trouble::Lost(match error.is_timeout() {
        true => "it does not answer".to_owned(),
        false => error.to_string(),
    })
}

impl Trouble {
    /// In words.
    pub(super) fn text(self) -> String {
        match self {
            Trouble::Lost(why) | Trouble::Refused(why) => why,
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("place", &self.place).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_named_without_its_secrets() {
        let name = |url: &str| Server::of(url).unwrap().name;
        assert_eq!(&*name("redis://me:secret@queue.example:7000/3"), "redis://queue.example:7000/3");
        assert_eq!(&*name("redis://127.0.0.1"), "redis://127.0.0.1:6379/0");
        for url in ["redis://:secret@host:port/0", "redis://:secret@host/first", "rediss://:secret@host"] {
            let error = Server::of(url).unwrap_err().to_string();
            assert!(error.contains("host") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_a_server_says_of_itself() {
        let doubts = |aof, policy| doubts(&format!("# Memory\r\nmaxmemory_policy:{policy}\r\naof_enabled:{aof}\r\n"));
        assert_eq!(doubts(1, "noeviction").len() + doubts(1, "volatile-lru").len() + super::doubts("").len(), 0);
        let [unlogged, evicts] = &doubts(0, "allkeys-lru")[..] else { panic!() };
        assert!(unlogged.contains("appendonly") && evicts.contains("allkeys-lru"));
    }

    /// A host that cannot be reached for a while is found again (connect(2), errno(3)).
    #[test]
    fn what_is_no_answer_is_a_lost_server() {
        for errno in [libc::EHOSTUNREACH, libc::ENETUNREACH, libc::EINTR, libc::ECONNRESET] {
            let error = RedisError::from(std::io::Error::from_raw_os_error(errno));
            assert!(matches!(trouble(error), Trouble::Lost(_)), "{errno}");
        }
    }

    #[test]
    fn one_database_has_one_name() {
        let places = Places::default();
        let settle = |place, name: &str| places.clone().settle(place, &name.into()).is_ok();
        assert_eq!(
            [(1, "a"), (2, "b"), (1, "a"), (1, "b")].map(|(place, name)| settle(place, name)),
            [true, true, true, false]
        );
    }

    #[test]
    fn numbers_say_whose_a_task_is() {
        assert_eq!([1, NUMBERS - 1, NUMBERS, 3 * NUMBERS + 17].map(place_of), [0, 0, 1, 3]);
        const { assert!((PLACES + 1) * NUMBERS <= 1 << 53) }
    }
}
