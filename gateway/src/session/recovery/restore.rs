//! The way back of a client: its socket enters its rooms again, and what it missed is held until its CONNECT is
//! answered.

use std::sync::Arc;

use chrono::Utc;
use futures_util::future::join_all;
use jackfield_cluster::{
    Unavailable,
    ids::{Incarnation, RecordId},
    log::Position,
    presence::{Announce, Entry},
    recovery::Record,
    room_name::RoomName,
};
use jackfield_shared::time::now;

use super::{Json, Recoverable, Tracked, offset::Offset, tracked::Limit};
use crate::{
    hub::Member as _,
    limits::Cost,
    log_follower::missed,
    room::{JoinError, Joined, Joining, rules::Action},
    session::{Client, PresenceChange, Shared, UserFrames, announcement},
};

/// A client that comes back.
pub(in crate::session) struct Returning<'a> {
    /// Its socket, in no room.
    pub(in crate::session) client: Client,
    pub(in crate::session) id: RecordId,
    pub(in crate::session) record: &'a Record,
    /// The user's log ends here, or later.
    pub(in crate::session) end: Position,
    /// The socket must not get events of the user's log after this position.
    pub(in crate::session) until: Option<Position>,
}

/// A room that the socket was in.
struct Place {
    name: RoomName,
    stay: u32,
    /// The position that the client has reached.
    at: Position,
}

/// Brings a client that has handled everything up to the offset back into its rooms. Returns its socket, the offset of
/// what it has handled, as JSON, and the position in its user's log from which it continues. `None` if it cannot be
/// recovered; then nothing is left of the attempt.
pub(in crate::session) async fn restore(
    shared: &Arc<Shared>,
    Returning { client, id, record, end, until }: Returning<'_>,
    offset: &str,
) -> Result<Option<(Arc<Client>, Json, Position)>, Unavailable> {
    let Some(offset) = Offset::parse(offset) else { return Ok(None) };
    let Some(places) = places(&client.namespace.name, record, &offset) else { return Ok(None) };
    let settings = &shared.settings;
    let max_rooms = settings.recovery.rooms as usize;
    let may_join = |place: &Place| shared.rules.allow(&place.name.name, Action::Join, &client.identity.roles);
    if places.len() > max_rooms || !places.iter().all(may_join) {
        return Ok(None);
    }
    // A user who has spent too much joins room by room, and waits for it.
    if client.user.event(Cost::event(0, Cost::none()), now()).is_err() {
        return Ok(None);
    }
    let incarnation = shared.lease.incarnation().ok_or(Unavailable)?;
    let limits = &settings.limits;
    let limit = Limit {
        // Half of its queue, as for a feed's subscriber.
        frames: if limits.queue == 0 { usize::MAX } else { limits.queue as usize / 2 },
        bytes: limits.queue_bytes as usize / 2,
    };
    let seen = places.iter().map(|place| (place.stay, Arc::clone(&place.name.name), place.at));
    let tracked = Tracked::hold(offset.user, seen, max_rooms, limit);
    let handled = tracked.offset();
    let client = Arc::new(client.recoverable(Recoverable::new(id, tracked), highest(record, &offset)));
    let (entered, end, watched) = tokio::join!(
        enter(shared, &client, &places, &incarnation),
        send_missed_events(shared, &client, offset.user, end, until),
        watch(shared, &client, &record.watched)
    );
    // The user pays as much for it as for joins.
    let bytes = client.tracked().map_or(0, |tracked| tracked.held_bytes());
    client.user.charge(bytes, now());
    match (entered, end, watched) {
        (Ok(true), Ok(Some(end)), Ok(())) if !holds_too_much(&client) => Ok(Some((client, handled, end))),
        (entered, end, watched) => {
            undo(shared, &client, &places, &incarnation);
            entered?;
            end?;
            watched?;
            Ok(None)
        }
    }
}

/// The rooms that are in the record, and that the client was told of. `None` if one is no room.
fn places(namespace: &Arc<str>, record: &Record, offset: &Offset) -> Option<Vec<Place>> {
    let told = record.rooms.iter().filter_map(|(stay, room)| Some((*stay, room, offset.of(*stay)?)));
    told.map(|(stay, room, at)| Some(Place { name: RoomName::parse(namespace, room)?, stay, at })).collect()
}

/// The highest number of a stay, also of those that only the client still names: no number may be used twice.
fn highest(record: &Record, offset: &Offset) -> u32 {
    let kept = record.rooms.iter().map(|(stay, _)| *stay);
    kept.chain(offset.rooms.iter().map(|(stay, _)| *stay)).max().unwrap_or(0)
}

/// Enters the rooms, each from the position that the client has reached. False if it cannot continue in one of them.
async fn enter(
    shared: &Arc<Shared>,
    client: &Arc<Client>,
    places: &[Place],
    incarnation: &Incarnation,
) -> Result<bool, Unavailable> {
    if places.is_empty() {
        return Ok(true);
    }
    let entries: Vec<Entry> = places.iter().map(|place| client.entry_of(place.name.clone(), place.stay)).collect();
    let stays: Vec<_> = entries.iter().map(|entry| entry.stay.clone()).collect();
    // The index entries are sent first, on the same connection, so Redis stores them first.
    let (indexed, entered) = tokio::join!(
        biased;
        shared.cluster.membership.index_add(incarnation, &stays),
        shared.cluster.presence.enter(&entries, incarnation, Announce::Yes)
    );
    indexed?;
    entered?;
    let mut is_in = true;
    for joined in join_all(places.iter().map(|place| join(shared, client, place))).await {
        is_in &= match joined {
            Ok(is_here) => is_here,
            Err(JoinError::Unavailable) => return Err(Unavailable),
            Err(JoinError::TooSoon { .. } | JoinError::Lost) => false,
        };
    }
    Ok(is_in)
}

/// Enters a room. False if the client missed more than may be held, or has gone.
async fn join(shared: &Shared, client: &Arc<Client>, place: &Place) -> Result<bool, JoinError> {
    let mut joining = Joining::back(Arc::clone(client), place.at);
    loop {
        match shared.rooms.join(&place.name, joining.clone()).await? {
            (room, Joined::In { .. }) => return Ok(client.entered(room, place.stay)),
            (_, Joined::More { .. }) if holds_too_much(client) => return Ok(false),
            (_, Joined::More { sent, .. }) => joining.sent = Some(sent),
        }
    }
}

fn holds_too_much(client: &Client) -> bool {
    client.tracked().is_some_and(|tracked| tracked.is_full())
}

/// Sends the events for the user after the first position, and returns their end. `None` if they are not kept.
async fn send_missed_events(
    shared: &Shared,
    client: &Client,
    after: Position,
    end: Position,
    until: Option<Position>,
) -> Result<Option<Position>, Unavailable> {
    if after == end {
        return Ok(Some(end));
    }
    let page = shared.cluster.user_log.read(&client.identity.user_id, after).await?;
    let end = until.unwrap_or(page.end);
    let Some((from, to)) = missed(after, end, &page) else { return Ok(None) };
    let missed = page.messages.iter().filter(|stored| (from + 1..=to).contains(&stored.position.number));
    for stored in missed {
        if let Some(mut frames) = stored.body.as_ref().and_then(UserFrames::new) {
            client.abort_if(frames.send(client, stored.position));
        }
    }
    Ok(Some(end))
}

/// Watches these users' presence again, and sends the present one.
async fn watch(shared: &Shared, client: &Arc<Client>, users: &[Arc<str>]) -> Result<(), Unavailable> {
    if users.is_empty() {
        return Ok(());
    }
    // Watch first, then read, so that the socket receives a change in between.
    shared.watchers.watch(client, users.to_vec());
    let (online, at) = (shared.cluster.presence.online(users).await?, Utc::now().timestamp_millis());
    for (user, is_online) in users.iter().zip(online) {
        let change = if is_online { PresenceChange::Online } else { PresenceChange::Offline };
        if let Some(frame) = announcement(change, at, user) {
            client.send(&frame);
        }
    }
    Ok(())
}

/// Leaves everything that the socket may have entered.
fn undo(shared: &Shared, client: &Arc<Client>, places: &[Place], incarnation: &Incarnation) {
    shared.watchers.forget(client);
    client.take_rooms();
    for place in places {
        shared.rooms.leave(&place.name, client);
        shared.releases.push(client.entry_of(place.name.clone(), place.stay).stay, incarnation.clone());
    }
}
