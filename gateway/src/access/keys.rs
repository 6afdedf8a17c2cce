//! The shared key, which may change while the node runs.

use tokio::sync::watch;

use crate::protocol::SharedKey;

/// The key that counts now, for connections that come from now on; open sessions stay. Clones see the same.
#[derive(Debug, Clone)]
pub struct KeyRing(watch::Receiver<Option<SharedKey>>);

/// Changes the key.
#[derive(Debug)]
pub struct KeyWriter(watch::Sender<Option<SharedKey>>);

impl KeyRing {
    /// A key that stays; none lets nobody in.
    #[must_use]
    pub fn fixed(key: Option<SharedKey>) -> Self {
        Self::with_writer(key).1
    }

    /// A key that can be changed.
    #[must_use]
    pub fn with_writer(key: Option<SharedKey>) -> (KeyWriter, Self) {
        let (sender, receiver) = watch::channel(key);
        (KeyWriter(sender), Self(receiver))
    }

    /// The key that counts now.
    #[must_use]
    pub fn current(&self) -> Option<SharedKey> {
        self.0.borrow().clone()
    }
}

impl KeyWriter {
    /// From now on this one counts; none lets nobody in. Says whether it is another one.
    pub fn set(&self, key: Option<SharedKey>) -> bool {
        self.0.send_if_modified(|current| {
            let is_same = match (&*current, &key) {
                (Some(current), Some(key)) => current.is(key),
                (None, None) => true,
                _ => false,
            };
            if !is_same {
                *current = key;
            }
            !is_same
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_changes_counts_at_once() {
        let key = |text| Some(SharedKey::try_new(text).unwrap());
        let (writer, ring) = KeyRing::with_writer(key("one"));
        assert!(ring.current().unwrap().matches("one"));
        assert!(writer.set(key("two")) && !writer.set(key("two")));
        assert!(ring.current().unwrap().matches("two"));
        assert!(writer.set(None) && !writer.set(None));
        assert!(ring.current().is_none());
        assert!(KeyRing::fixed(key("one")).current().unwrap().matches("one"), "stays without a writer");
    }
}
