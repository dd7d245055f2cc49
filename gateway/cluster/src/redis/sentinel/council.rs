//! The sentinels of one master, each over one connection that is kept.

use futures_util::future::join_all;
use redis::RedisResult;

use super::{
    ASK_TIMEOUT,
    view::{View, objection, open, view},
};
use crate::redis::{
    connector::{failed, within},
    stream::Stream,
    target::{Address, Master},
};

/// See the module.
pub(in crate::redis) struct Council {
    pub(super) master: Master,
    /// Of the sentinels that answered when they were asked last.
    streams: Vec<Option<Stream>>,
}

impl Council {
    pub(in crate::redis) fn new(master: Master) -> Self {
        let streams = master.sentinels.iter().map(|_| None).collect();
        Self { master, streams }
    }

    /// The views of all sentinels that answer.
    pub(super) async fn views(&mut self) -> Vec<(Address, View)> {
        self.ask(true).await
    }

    /// Fails if a sentinel says that this server is being replaced, or has been, or if not even half of all answer. Those
    /// that did not answer last time are not asked, so that one that is frozen delays this once.
    pub(in crate::redis) async fn check(&mut self, server: &Address) -> RedisResult<()> {
        let views = self.ask(false).await;
        if views.len() * 2 <= self.streams.len() {
            return Err(failed("not enough sentinels say whether the master is being replaced"));
        }
        objection(&views, server).map_or(Ok(()), |objection| Err(failed(objection)))
    }

    async fn ask(&mut self, is_opening: bool) -> Vec<(Address, View)> {
        let asked = self.master.sentinels.iter().zip(&mut self.streams).map(|(sentinel, kept)| async {
            let asked = within(ASK_TIMEOUT, async {
                let mut stream = match kept.take() {
                    Some(stream) => stream,
                    None if is_opening => open(sentinel).await?,
                    None => return Ok(None),
                };
                let view = view(&mut stream, &self.master.name).await?;
                *kept = Some(stream);
                Ok(view)
            });
            Some((sentinel.address.clone(), asked.await.ok()??))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}
