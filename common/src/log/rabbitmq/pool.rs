//! Channels with confirms, on the connection of the moment.

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, Pool, RecycleError, RecycleResult};
use lapin::Channel;
use lapin::options::ConfirmSelectOptions;
use tokio::time::timeout;

use super::connection::Link;
use super::live::Live;

/// For a channel to open. No stream has a part in it: a connection that misses it is given up.
const CHANNEL_DEADLINE: Duration = Duration::from_secs(2);

/// Channels with confirms on the connection of the moment.
pub(super) type Publishers = Pool<PublisherManager>;

/// A pool with a channel for each shard at most: a shard borrows one as long as something of its own is unconfirmed.
pub(super) fn pool(link: Link, shards: u16) -> Publishers {
    let size = usize::from(shards);
    // Only a timeout without a runtime makes this fail, and there is none here.
    Pool::builder(PublisherManager { link }).max_size(size).build().unwrap_or_else(|_| unreachable!())
}

#[derive(Debug)]
pub(super) struct PublisherManager {
    link: Link,
}

pub(super) struct Publisher {
    pub(super) channel: Arc<Channel>,
    pub(super) live: Arc<Live>,
}

impl Manager for PublisherManager {
    type Type = Publisher;
    type Error = String;

    async fn create(&self) -> Result<Publisher, String> {
        let live = self.link.settled().await?;
        let open = async {
            let channel = live.connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok::<_, lapin::Error>(Arc::new(channel))
        };
        match timeout(CHANNEL_DEADLINE, open).await {
            Ok(Ok(channel)) => Ok(Publisher { channel, live }),
            Ok(Err(error)) => {
                live.on_error("cannot open a channel", &error);
                Err(error.to_string())
            }
            Err(_) => {
                let reason = format!("no channel within {CHANNEL_DEADLINE:?}");
                live.give_up(&reason);
                Err(reason)
            }
        }
    }

    async fn recycle(&self, publisher: &mut Publisher, _: &Metrics) -> RecycleResult<String> {
        match publisher.channel.status().connected() {
            true => Ok(()),
            false => Err(RecycleError::message("the channel is closed")),
        }
    }
}
