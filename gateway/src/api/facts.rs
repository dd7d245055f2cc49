//! GET `/v1/facts`: reads the log of facts by a cursor.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Json, extract::State};
use futures_util::future::try_join_all;
use jackfield_cluster::{
    Unavailable,
    facts::{Fact, Facts, Kinds, Page, Tip},
    partition::Partition,
};
use serde::{Deserialize, Serialize, Serializer};
use tokio::time::{Instant, sleep};
use utoipa::{IntoParams, ToSchema};

use super::{
    api_query::ApiQuery,
    caller::{Caller, Read},
    error::{ApiError, Errors, NotFound},
    fact_cursor::Cursor,
    fact_merge::merge,
    state::Api,
};
use crate::fact::{FactBody, body};

/// Most facts in one answer, and as many as it has by default.
const LIMIT: usize = 1_000;
const DEFAULT_LIMIT: usize = 100;
/// Longest time to wait for a fact, in seconds.
const WAIT: u64 = 25;
/// Time between two looks while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Reads of all partitions for one answer: facts of other types may be passed over.
const ROUNDS: usize = 8;

/// Selects facts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FactsQuery {
    /// The `cursor` of the answer before; from the oldest fact that is kept if omitted.
    #[param(max_length = 2220)]
    after: Option<String>,
    /// 1 to 1000; 100 if omitted.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<usize>,
    /// Names of facts, separated by commas; each may end in `*`. All if omitted.
    #[param(example = "session.*,user.online")]
    r#type: Option<String>,
    /// Seconds to wait for a fact if there is none, up to 25; 0 if omitted.
    #[param(maximum = 25)]
    wait: Option<u64>,
}

/// Facts by their time; those about one user, and those about one room, in their order.
#[derive(Serialize, ToSchema)]
#[schema(as = Facts)]
pub(crate) struct FactsAnswer {
    #[schema(value_type = Vec<FactDoc>)]
    facts: Vec<OwnedFact>,
    /// Continues after these facts.
    cursor: String,
    /// Whether more facts follow now.
    more: bool,
    /// Redis lost data: facts after the cursor may be missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reset: bool,
    /// How many facts after the cursor are no longer kept.
    #[serde(skip_serializing_if = "is_zero")]
    dropped: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A fact, as hooks get it.
#[derive(ToSchema)]
#[schema(as = Fact)]
#[expect(dead_code, reason = "only for the OpenAPI document")]
pub(crate) struct FactDoc {
    /// Stable: the same in every repetition.
    id: String,
    #[schema(example = "session.ended")]
    r#type: String,
    #[schema(format = DateTime)]
    timestamp: String,
    #[schema(value_type = Object)]
    data: serde_json::Value,
}

/// A fact that is written as [`FactBody`].
pub(crate) struct OwnedFact(pub(super) Fact);

impl Serialize for OwnedFact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let body: Option<FactBody<'_>> = body(&self.0);
        body.serialize(serializer)
    }
}

/// The facts, in order.
#[utoipa::path(
    get, path = "/v1/facts", tag = "facts", security(("apiKey" = [])), params(FactsQuery),
    responses(
        (status = 200, description = "Facts after the cursor", body = FactsAnswer),
        Errors,
        NotFound,
    ),
)]
pub(crate) async fn facts(
    _: Caller<Read>,
    State(api): State<Arc<Api>>,
    ApiQuery(FactsQuery { after, limit, r#type, wait }): ApiQuery<FactsQuery>,
) -> Result<Json<FactsAnswer>, ApiError> {
    let log = &api.shared.cluster.facts;
    if log.kinds().is_empty() {
        return Err(ApiError::FactsOff);
    }
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=LIMIT).contains(&limit) {
        return Err(ApiError::wrong(format!("limit must be 1 to {LIMIT}")));
    }
    let wait = wait.unwrap_or(0);
    if wait > WAIT {
        return Err(ApiError::wrong(format!("wait must be at most {WAIT} seconds")));
    }
    let cursor = match after.as_deref() {
        None | Some("") => Cursor::default(),
        Some(text) => Cursor::parse(text).ok_or_else(|| ApiError::wrong("after must be a cursor of an answer"))?,
    };
    let kinds = match r#type.as_deref() {
        None | Some("") => Kinds::ALL,
        Some(text) => Kinds::matching(text.split(',').map(str::trim))
            .map_err(|_| ApiError::wrong("type must have names of facts, such as session.* or user.online"))?,
    };
    let until = Instant::now() + Duration::from_secs(wait);
    let mut reading = Reading { log, cursor, kinds, limit, facts: Vec::new(), more: false, reset: false, dropped: 0 };
    loop {
        reading.read().await?;
        if reading.is_worth_an_answer() || Instant::now() >= until || api.shared.lifecycle.stopping().is_cancelled() {
            return Ok(Json(reading.answer()));
        }
        reading.wait(until).await?;
    }
}

/// One answer in the making.
struct Reading<'a> {
    log: &'a Facts,
    cursor: Cursor,
    kinds: Kinds,
    limit: usize,
    facts: Vec<Fact>,
    more: bool,
    reset: bool,
    dropped: u64,
}

impl Reading<'_> {
    /// Reads until the answer is full, there is no more, or enough was passed over.
    async fn read(&mut self) -> Result<(), Unavailable> {
        for _ in 0..ROUNDS {
            let left = self.limit - self.facts.len();
            // More than its share of each partition, because facts are not spread evenly.
            let count = if self.kinds == Kinds::ALL { left.div_ceil(8) + 8 } else { 256 };
            let (log, cursor) = (self.log, &self.cursor);
            let pages = try_join_all(Partition::all().map(|partition| async move {
                Ok((partition, log.read(partition, cursor.of(partition), count).await?))
            }))
            .await?;
            self.take(pages, left);
            if !self.more || self.facts.len() >= self.limit {
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, pages: Vec<(Partition, Page)>, left: usize) {
        let ends: BTreeMap<_, _> = pages.iter().map(|(partition, page)| (*partition, page.end)).collect();
        for (_, page) in &pages {
            self.reset |= page.reset;
            self.dropped += page.dropped;
        }
        let kinds = self.kinds;
        let (facts, next) = merge(pages, left, |fact| kinds.has(fact.kind));
        self.facts.extend(facts);
        self.more =
            next.iter().any(|(partition, next)| ends.get(partition).is_some_and(|end| end.epoch > 0 && next != end));
        next.into_iter().for_each(|(partition, position)| self.cursor.set(partition, position));
    }

    fn is_worth_an_answer(&self) -> bool {
        !self.facts.is_empty() || self.more || self.reset || self.dropped > 0
    }

    /// Waits until something was recorded.
    async fn wait(&self, until: Instant) -> Result<(), Unavailable> {
        let partitions: Vec<Partition> = Partition::all().collect();
        while Instant::now() < until {
            sleep(LOOK_EVERY.min(until - Instant::now())).await;
            let tips = self.log.tips(&partitions, &[]).await?;
            let is_new =
                |(partition, tip): (&Partition, &Tip)| tip.end.epoch > 0 && tip.end != self.cursor.of(*partition);
            if partitions.iter().zip(&tips).any(is_new) {
                break;
            }
        }
        Ok(())
    }

    fn answer(self) -> FactsAnswer {
        let facts = self.facts.into_iter().map(OwnedFact).collect();
        let Self { more, reset, dropped, .. } = self;
        FactsAnswer { facts, cursor: self.cursor.text(), more, reset, dropped }
    }
}
