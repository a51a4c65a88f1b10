//! What a thread tells the control plane, which is woken once for all that is told in a turn.

use crate::sys::poller::Waker;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// Where a thread tells its news. When it is dropped, be that by a panic, it tells the last of them.
#[derive(Debug)]
pub struct Outbox<T> {
    told: Sender<T>,
    wake: Arc<Waker>,
    unread: bool,
    last: Option<T>,
}

impl<T> Outbox<T> {
    /// News go to `told`, and `wake` is woken; `last` is told at the end.
    #[must_use]
    pub fn new(told: Sender<T>, wake: Arc<Waker>, last: T) -> Outbox<T> {
        Outbox { told, wake, unread: false, last: Some(last) }
    }

    /// Tells something; it is heard after `deliver`.
    pub fn tell(&mut self, news: T) {
        // The control plane listens until it has told this thread to end.
        self.unread |= self.told.send(news).is_ok();
    }

    /// Wakes the control plane, if there is something that it has not been woken for.
    pub fn deliver(&mut self) {
        if std::mem::take(&mut self.unread)
            && let Err(e) = self.wake.wake()
        {
            tracing::error!("cannot wake the control plane: {e}");
        }
    }
}

impl<T> Drop for Outbox<T> {
    fn drop(&mut self) {
        if let Some(last) = self.last.take() {
            self.tell(last);
        }
        self.deliver();
    }
}
