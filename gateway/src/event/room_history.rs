//! `room-history` `{room, before?, limit?}`: acknowledged with `{status, messages}`, oldest first, for members. `before` is
//! exclusive; without it, the newest.

use serde::Deserialize;

use super::{EventError, parse::Event, room};
use crate::{
    client::Client,
    cluster::log::{Position, Range},
    room::array,
};

const MOST: usize = 100;
const USUAL: usize = 50;

#[derive(Deserialize)]
#[serde(expecting = "{room, before?, limit?}")]
struct Wanted {
    room: String,
    before: Option<String>,
    limit: Option<usize>,
}

/// The acknowledgement as JSON: the messages are text already.
pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<String, EventError> {
    let Wanted { room, before, limit } = event.data()?;
    let name = room::joined(client, &room)?.name;
    let limit = limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(EventError::Validation(format!("limit must be 1 to {MOST}")));
    }
    let foreign = || EventError::Validation("before must be an id of this room's messages".into());
    let before: Option<Position> = before.map(|text| text.parse().map_err(|()| foreign())).transpose()?;
    let range = before.map_or(Range::Newest, |before| Range::Before(before.number));
    let page = client.node.cluster.log.read(&name, range, limit, None).await?;
    if before.is_some_and(|before| before.epoch != page.end.epoch) {
        return Err(foreign());
    }
    Ok(format!("{{\"status\":\"ok\",\"messages\":{}}}", array(&page, &page.messages)))
}
