//! A channel with confirms for each shard, on the connection of the moment.
//!
//! Each shard has its own for two reasons: the broker serves one channel at a third of the rate of several; and RabbitMQ 3,
//! when a stream's leader is lost, sends what was not confirmed to the new one under the numbers of the channel instead
//! of those of the stream on that channel (rabbitmq-server #12236). Where they differ, because the channel has served
//! another stream before, none of it is ever confirmed.

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

/// One shard's channel.
pub(super) type Publishers = Pool<PublisherManager>;

/// A pool of one channel: its shard borrows it as long as something is unconfirmed.
pub(super) fn pool(link: Link) -> Publishers {
    // Only a timeout without a runtime makes this fail, and there is none here.
    Pool::builder(PublisherManager { link }).max_size(1).build().unwrap_or_else(|_| unreachable!())
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
