//! A session begins to want notifications.

use std::sync::Arc;

use bellwire_common::ids::{Offset, SessionId};

use super::Session;
use super::places::{Place, Places};
use crate::delivery::reporter::Mine;
use crate::delivery::{Position, Reached};
use crate::liveness::PING_EVERY_MS;
use crate::protocol::{End, Identity, native};
use crate::shard::Shard;
use crate::storm::Digest;

impl Session {
    /// Whose tab it is, and the native cursor with which the browser comes back.
    pub(super) async fn on_announce(&mut self, identity: Identity, cursor: Option<&str>) -> Result<(), End> {
        let Some(greeted) = self.greeted.take() else { return Ok(()) };
        self.seat.hub.access.claim(&mut self.standing, &identity.user).await?;
        self.seat.ticket.belongs_to(&identity.user).map_err(|_| End::UserLimit)?;
        self.seat.ticket.listens_for(&identity);
        let hub = Arc::clone(&self.seat.hub);
        let (own, also) = (hub.shards.own(&identity.user), hub.shards.also(&identity.user));
        self.liveness.on_announced();
        if self.dialect.protocol().is_native() {
            let known = [Some(own), also].into_iter().flatten().filter_map(|(_, shard)| known(shard, cursor?));
            let cursor = known.map(|(log, offset)| native::cursor_token(log, offset)).reduce(native::joined);
            let session = SessionId { node: hub.node, number: self.seat.number };
            let (token, version) = (self.seat.token(), env!("CARGO_PKG_VERSION"));
            let text = native::welcome(session, &identity, cursor.as_deref(), token.as_deref(), version, PING_EVERY_MS);
            self.feed_text(text.into()).await?;
        }
        let own = self.open(own, &greeted, &identity, cursor);
        let also = also.map(|also| self.open(also, &greeted, &identity, cursor));
        self.places = Some(Places::new(own, also));
        Ok(())
    }

    fn open(
        &self,
        (index, shard): (usize, &Arc<Shard>),
        greeted: &[Reached],
        identity: &Identity,
        cursor: Option<&str>,
    ) -> Place {
        let Identity { user, browser } = identity.clone();
        let (number, protocol) = (self.seat.number, self.dialect.protocol());
        let digests = self.seat.hub.digests(protocol);
        let confirmed = cursor.and_then(|token| known(shard, token)).map(|(_, offset)| Position::after(offset));
        let mine = Mine {
            user: user.clone(),
            browser: browser.clone(),
            from: None,
            confirmed: confirmed.unwrap_or_default(),
            stalled: false,
            digests,
        };
        let reached = greeted.get(index).copied().unwrap_or_else(|| shard.reached());
        let generation = shard.open(number, reached, mine, Arc::clone(&self.seat.tab));
        let storm = (digests && !protocol.is_native()).then(Box::<Digest>::default);
        let since = self.seat.hub.now();
        Place { shard: Arc::clone(shard), number, user, browser, generation, since, missed: 0, storm }
    }
}

/// What a cursor says of this shard's log, if that has so much.
fn known<'a>(shard: &Shard, token: &'a str) -> Option<(&'a str, Offset)> {
    let of_it = |(log, offset): &(&str, Offset)| *log == shard.name() && Some(*offset) <= shard.reached().applied;
    native::cursors_of(token).find(of_it)
}
