//! Sends a connection the events for its user: see [`super::user_cursor`] for the decisions.
//!
//! Events are sent under the session's lock, so that those from the bus and those from the log keep their order.

use std::sync::Arc;

use jackfield_cluster::{
    ids::SessionRef,
    log::{Page, Position},
    wire::{Target, UserEvent},
};
use jackfield_engine::{CloseReason, Frame, Full, Parts};

use super::{Client, Connection, state::SessionState, user_cursor::Step};
use crate::{log_follower::Read, metrics, notification};

/// An event for one user, encoded once for each namespace.
pub(crate) struct UserFrames {
    contents: Vec<(String, Option<Parts>)>,
    /// These sockets do not get it.
    except: Vec<Target>,
    /// By namespace.
    frames: Vec<(Arc<str>, Vec<Frame>)>,
}

impl UserFrames {
    /// `None` if the event is malformed.
    pub(crate) fn new(event: &UserEvent) -> Option<Self> {
        let (contents, except) = match event {
            UserEvent::Event { except, content } => {
                let (text, parts) = Parts::decode(content.clone())?;
                (vec![(std::str::from_utf8(&text).ok()?.to_owned(), parts)], except.clone())
            }
            UserEvent::Inbox { change, unread, at } => {
                let events = notification::events(change, *unread, at);
                (events.into_iter().map(|content| (content, None)).collect(), Vec::new())
            }
        };
        Some(Self { contents, except, frames: Vec::new() })
    }

    /// Sends the event of this position to one socket, unless it is an excepted one.
    pub(super) fn send(&mut self, client: &Client, position: Position) -> Result<(), Full> {
        if client.is_any_of(&self.except) {
            return Ok(());
        }
        let frames = self.of(&client.namespace.name);
        metrics::DELIVERIES.add(frames.len());
        frames.iter().try_for_each(|frame| client.try_send_user(frame, position))
    }

    fn of(&mut self, namespace: &Arc<str>) -> &[Frame] {
        let index = self.frames.iter().position(|(name, _)| name == namespace).unwrap_or_else(|| {
            let frame =
                |(content, parts): &(String, Option<Parts>)| Frame::event_with(namespace, content, parts.as_ref());
            self.frames.push((Arc::clone(namespace), self.contents.iter().map(frame).collect()));
            self.frames.len() - 1
        });
        &self.frames[index].1
    }
}

impl Connection {
    /// An event for the user arrived over the bus.
    pub(crate) fn receive_user_event(&self, position: Position, frames: &mut UserFrames) {
        let (step, is_full) = {
            let mut session = self.session.lock();
            let step = session.user_cursor.live(position);
            (step, step == Step::Deliver && send(&session, frames, position).is_err())
        };
        if step == Step::Read {
            self.shared.behind.push(self.id);
        }
        self.end_if(is_full);
    }

    /// The bus may have lost events for the user, whose log ends here.
    pub(crate) fn user_log_ends(&self, end: Position) {
        if self.session.lock().user_cursor.ends(end) {
            self.shared.behind.push(self.id);
        }
    }

    /// The session and the position after which its user's log must be read; `None` if the session has ended.
    pub(crate) fn begin_catch_up(&self) -> Option<(SessionRef, Position)> {
        let mut session = self.session.lock();
        let user = session.user().filter(|_| !session.is_ended()).cloned()?;
        Some((self.session_ref(user), session.user_cursor.begin_read()?))
    }

    /// Sends the events that were read. Returns false if the log must be read again.
    pub(crate) fn catch_up(&self, page: &Page<Option<UserEvent>>) -> bool {
        let mut is_full = false;
        let is_done = {
            let mut session = self.session.lock();
            match session.user_cursor.read(page) {
                Read::Anew { .. } => {
                    self.lost_user_events();
                    false
                }
                Read::Deliver { lost, from, more } => {
                    if lost.is_some() {
                        self.lost_user_events();
                    }
                    let missed = &page.messages[from..];
                    metrics::REPAIRED.add_for(["user"], missed.len());
                    for stored in missed {
                        if let Some(mut frames) = stored.body.as_ref().and_then(UserFrames::new) {
                            is_full = is_full || send(&session, &mut frames, stored.position).is_err();
                        }
                    }
                    !more && session.user_cursor.caught_up()
                }
            }
        };
        self.end_if(is_full);
        is_done
    }

    fn lost_user_events(&self) {
        metrics::RESETS.add_for(["user"], 1);
        tracing::warn!(session = %self.id, "a client missed events for its user that are not kept any more");
    }

    /// Outside of the session's lock, because the end of the transport takes it.
    fn end_if(&self, is_full: bool) {
        if is_full {
            self.outbox.abort(CloseReason::TooSlow);
        }
    }
}

/// Sends the event of this position to the session's sockets.
fn send(session: &SessionState, frames: &mut UserFrames, position: Position) -> Result<(), Full> {
    session.sockets.iter().try_for_each(|client| frames.send(client, position))
}
