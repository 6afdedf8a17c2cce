//! A TCP proxy that can be made to carry nothing: what a network does that loses every packet and tells nobody.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Forwards connections to one address. Dropping it ends them all.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    carries: watch::Sender<bool>,
    answers: watch::Sender<bool>,
    accepted: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (carries, seen) = watch::channel(true);
        let (answers, back) = watch::channel(true);
        let (count, accepted) = watch::channel(0);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                count.send_modify(|count| *count += 1);
                connections.spawn(carry(client, target, seen.clone(), back.clone()));
            }
        });
        Ok(Self { address, carries, answers, accepted, task })
    }

    /// Waits until so many connections have come.
    pub async fn accepted(&self, count: usize) -> Result<()> {
        self.accepted.clone().wait_for(|accepted| *accepted >= count).await?;
        Ok(())
    }

    /// From now on nothing comes through, on old connections and new ones; none is closed.
    pub fn cut(&self) {
        self.carries.send_replace(false);
    }

    /// From now on what comes from the target stays here.
    pub fn hold_answers(&self) {
        self.answers.send_replace(false);
    }

    /// Ends [`Proxy::cut`].
    pub fn heal(&self) {
        self.carries.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(
    client: TcpStream,
    target: SocketAddr,
    mut carries: watch::Receiver<bool>,
    answers: watch::Receiver<bool>,
) {
    if carries.wait_for(|carries| *carries).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let back = copy(from_server, to_client, [carries.clone(), answers]);
    tokio::join!(copy(from_client, to_server, [carries]), back);
}

async fn copy<const N: usize>(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut carries: [watch::Receiver<bool>; N],
) {
    let mut bytes = [0; 16 * 1024];
    loop {
        let count = from.read(&mut bytes).await.unwrap_or_default();
        for carries in &mut carries {
            if carries.wait_for(|carries| *carries).await.is_err() {
                return;
            }
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
        if count == 0 {
            let _ = to.shutdown().await;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn it_carries_nothing_while_it_is_cut_and_everything_after() {
        let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = echo.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = echo.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        let proxy = Proxy::start(target).await.unwrap();
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        client.write_all(b"a").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'a');
        proxy.cut();
        client.write_all(b"b").await.unwrap();
        assert!(timeout(Duration::from_millis(200), client.read_u8()).await.is_err());
        proxy.heal();
        assert_eq!(client.read_u8().await.unwrap(), b'b');
        proxy.hold_answers();
        client.write_all(b"c").await.unwrap();
        assert!(timeout(Duration::from_millis(200), client.read_u8()).await.is_err());
    }
}
