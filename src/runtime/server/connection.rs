//! One client: what it has sent, what it is still to be sent, and when our patience with it is over.

use crate::clock::{Tick, earliest};
use crate::control::frame::{self, Decoder, REPLY_BYTES_MAX, REQUEST_BYTES_MAX};
use crate::control::reply::{Code, Reply};
use crate::control::request::Request;
use crate::sys::{fd, socket};
use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The longest that a client may take for a request that it has begun, or for a reply that waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much may wait for a client that follows events and does not read them; one that records them is sent more of them.
const UNSENT_BYTES_MAX: usize = 64 << 10;
const RECORDED_BYTES_MAX: usize = 4 << 20;
/// How much is read at once, and how often in one turn: mostly the request, and that there is no more.
const READ_BYTES: usize = 8 << 10;
const READS_A_TURN: usize = 2;
/// How many messages that are no requests are answered in one turn.
const MISTAKES_A_TURN: usize = 4;

/// A client.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    heard: Decoder,
    unsent: Vec<u8>,
    /// How much of it was sent, and how much of it may wait.
    sent: usize,
    unsent_max: usize,
    stage: Stage,
    /// It was told to be ready, and has not said since that reading would block.
    ready: bool,
    /// It takes no more, and was not told since that it has room.
    full: bool,
    /// What was heard has not been looked through.
    fresh: bool,
    /// It sends no more.
    ended: bool,
    /// It cannot be reached any more.
    broken: bool,
    /// It was sent away while somebody worked on an answer for it.
    sent_away: bool,
    /// It has made a request before.
    pub(super) has_asked: bool,
    /// Since when it has been about to say something.
    half: Option<Tick>,
    /// Since when it has read nothing of what it is to be sent.
    stuck: Option<Tick>,
}

/// What is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A request.
    Listening,
    /// An answer to it.
    Answering,
    /// Answers until the client leaves.
    Following,
    /// The end, when all is sent.
    Closing,
}

impl Connection {
    /// A client that has just come.
    ///
    /// # Errors
    /// As fcntl(2).
    pub(super) fn new(stream: UnixStream) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            heard: Decoder::new(REQUEST_BYTES_MAX),
            unsent: Vec::new(),
            sent: 0,
            unsent_max: UNSENT_BYTES_MAX,
            stage: Stage::Listening,
            ready: true,
            full: false,
            fresh: false,
            ended: false,
            broken: false,
            sent_away: false,
            has_asked: false,
            half: None,
            stuck: None,
        })
    }

    /// What to wait on.
    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// It may have something to say, or room for more.
    pub(super) fn mark(&mut self) {
        self.ready = true;
        self.full = false;
    }

    /// Whether a turn would come to something.
    pub(super) fn has_backlog(&self) -> bool {
        let can_read = self.ready && !self.heard.is_full();
        let can_send = !self.full && !self.unsent.is_empty();
        can_read || can_send || (self.fresh && self.listens()) || self.is_over()
    }

    /// Whether somebody works on an answer for it.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Answering | Stage::Following)
    }

    /// Whether somebody still works on an answer for it, or did when it was sent away.
    pub(super) fn is_unanswered(&self) -> bool {
        self.is_waiting() || self.sent_away
    }

    /// Whether it is done with.
    pub(super) fn is_over(&self) -> bool {
        let is_idle = matches!(self.stage, Stage::Listening | Stage::Closing) && self.unsent.is_empty();
        let says_no_more = self.stage == Stage::Closing || (self.ended && !self.fresh);
        self.broken || (is_idle && says_no_more)
    }

    /// Whether it is to be told when there is room for more.
    pub(super) fn wants_room(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// When it has to be looked at although nothing comes.
    pub(super) fn deadline(&self) -> Option<Tick> {
        let stuck = self.stuck.filter(|_| self.stage != Stage::Following);
        earliest([self.half, stuck]).map(|since| since.after(PATIENCE))
    }

    /// Gives up on a client whose time is over.
    pub(super) fn due(&mut self, now: Tick) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        match self.half.take() {
            Some(_) if self.stuck.is_none() => {
                self.close(now, Code::BadRequest, "a request was begun and not finished within 5 seconds");
            }
            _ => self.broken = true,
        }
    }

    /// Sends and reads what can be: the next request, when the last one is answered.
    pub(super) fn turn(&mut self, now: Tick) -> Option<Request> {
        self.send(now);
        self.read();
        let request = self.request(now);
        let is_half = self.listens() && !self.fresh && self.heard.held() > 0;
        self.half = self.half.or(Some(now)).filter(|_| is_half);
        request
    }

    /// A reply, on its way as far as there is room.
    pub(super) fn reply(&mut self, reply: &Reply, now: Tick) {
        if !self.is_waiting() {
            return;
        }
        if !reply.is_last() && self.unsent.len() - self.sent > self.unsent_max {
            self.close(now, Code::TooSlow, "events came faster than they were read");
            return;
        }
        if reply.is_last() {
            self.stage = Stage::Listening;
        }
        self.add(reply);
        self.send(now);
    }

    /// It is sent more than others.
    pub(super) fn records(&mut self) {
        self.unsent_max = RECORDED_BYTES_MAX;
    }

    /// A last word, and the end.
    pub(super) fn close(&mut self, now: Tick, code: Code, text: &str) {
        self.add(&Reply::failed(code, text));
        self.sent_away |= self.is_waiting();
        self.stage = Stage::Closing;
        self.send(now);
    }

    /// The end, because there will be no more answers.
    pub(super) fn farewell(&mut self, now: Tick) {
        match self.stage {
            Stage::Following => self.reply(&Reply::Done { lines: Vec::new() }, now),
            Stage::Answering => self.close(now, Code::Refused, "quell ended before it was done"),
            Stage::Listening | Stage::Closing => {}
        }
    }

    fn listens(&self) -> bool {
        self.stage == Stage::Listening && self.unsent.is_empty()
    }

    fn add(&mut self, reply: &Reply) {
        if let Err(e) = frame::encode(reply, REPLY_BYTES_MAX, &mut self.unsent) {
            let reply = Reply::failed(Code::Failed, format!("the answer is {e}; ask for less"));
            frame::encode(&reply, REPLY_BYTES_MAX, &mut self.unsent).expect("a line is not too large");
        }
    }

    fn send(&mut self, now: Tick) {
        let before = self.sent;
        while self.sent < self.unsent.len() {
            if self.full {
                return;
            }
            match fd::write(&self.stream, &self.unsent[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.stuck = self.stuck.filter(|_| self.sent == before).or(Some(now));
                    self.full = true;
                }
                Err(_) => {
                    self.broken = true;
                    return;
                }
            }
        }
        (self.unsent, self.sent, self.stuck) = (Vec::new(), 0, None);
    }

    fn read(&mut self) {
        let mut bytes = [0; READ_BYTES];
        for _ in 0..READS_A_TURN {
            if !self.ready || self.heard.is_full() {
                return;
            }
            let room = match self.ended {
                false => fd::read(&self.stream, &mut bytes),
                true => Ok(0),
            };
            match room {
                Ok(0) => {
                    // Whoever only says that it says no more still gets its answers.
                    (self.ended, self.ready) = (true, false);
                    self.broken |= socket::has_hung_up(&self.stream);
                }
                Ok(read) => {
                    self.heard.push(&bytes[..read]);
                    self.fresh = true;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.ready = false,
                Err(_) => (self.broken, self.ready) = (true, false),
            }
        }
    }

    /// The next request; what is none is answered here.
    fn request(&mut self, now: Tick) -> Option<Request> {
        for _ in 0..MISTAKES_A_TURN {
            if !self.fresh || !self.listens() {
                return None;
            }
            let parsed = match self.heard.message() {
                Ok(None) => {
                    self.fresh = false;
                    return None;
                }
                Ok(Some(json)) => Request::parse(json),
                Err(e) => {
                    self.close(now, Code::BadRequest, &e.to_string());
                    return None;
                }
            };
            self.half = None;
            match parsed {
                Ok(request) => {
                    self.has_asked = true;
                    let follows = matches!(request, Request::Events { follow: true, .. });
                    self.stage = if follows { Stage::Following } else { Stage::Answering };
                    return Some(request);
                }
                Err(text) => {
                    self.add(&Reply::failed(Code::BadRequest, text));
                    self.send(now);
                }
            }
        }
        None
    }
}
