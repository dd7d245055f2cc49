//! A room's stored messages, one page at a time, for members and backends.

use jackfield_cluster::{
    Unavailable,
    log::{Log, Position, Range},
    room_name::RoomName,
};

use super::array;

/// Most messages in a page.
pub(crate) const MAX_PAGE: usize = 100;
/// Messages in a page if the caller sets no limit.
const DEFAULT: usize = 50;

/// Why a page cannot be returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HistoryError {
    /// `limit` is out of range.
    #[error("limit must be 1 to {MAX_PAGE}")]
    Limit,
    /// `before` is not a message id.
    #[error("before must be an id of this room's messages")]
    Before,
    /// `before` belongs to an earlier epoch of the room, or to another room.
    #[error("before must be an id of this room's messages")]
    Epoch,
    /// The log does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The last `limit` messages (50 of at most 100) before the message `before`, or the newest: a JSON array, oldest
/// first.
///
/// # Errors
/// [`HistoryError`].
pub(crate) async fn history(
    log: &Log,
    room: &RoomName,
    before: Option<&str>,
    limit: Option<usize>,
) -> Result<String, HistoryError> {
    let limit = limit.unwrap_or(DEFAULT);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(HistoryError::Limit);
    }
    let before: Option<Position> = before.map(|text| text.parse().map_err(|()| HistoryError::Before)).transpose()?;
    let range = before.map_or(Range::Newest, |before| Range::Before(before.number));
    let page = log.read(room, range, limit, None).await?;
    if before.is_some_and(|before| !page.knows(before.epoch)) {
        return Err(HistoryError::Epoch);
    }
    Ok(array(&page.messages))
}
