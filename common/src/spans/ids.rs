//! Which trace a notification has, and whether it is kept. Both follow from the notification's user and id, so that every
//! process comes to the same without a word in the record. Pure.

use sha2::{Digest, Sha256};

use crate::ids::{NotificationId, UserId};

/// What the hash begins with, so that it is no other hash of the same texts.
const DOMAIN: &[u8] = b"bellwire trace 1";

/// The ids of a notification's trace and of its first span, which is the parent of all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceIds {
    /// The trace.
    pub trace: u128,
    /// Its first span.
    pub root: u64,
}

impl TraceIds {
    /// Those of the notification with this id of this user.
    #[must_use]
    pub fn of(user: &UserId, id: &NotificationId) -> Self {
        let mut hash = Sha256::new_with_prefix(DOMAIN);
        // Neither has a line break in it, so no two pairs are hashed alike.
        for part in [user.as_str(), id.as_str()] {
            hash.update(b"\n");
            hash.update(part.as_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        let (mut trace, mut root) = ([0; 16], [0; 8]);
        trace.copy_from_slice(&digest[..16]);
        root.copy_from_slice(&digest[16..24]);
        Self { trace: u128::from_be_bytes(trace), root: u64::from_be_bytes(root) }
    }
}

/// The share of the traces that is kept: OpenTelemetry's `traceidratio`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio(f64);

/// What cannot be a [`Ratio`]: the variable, and what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongRatio(pub &'static str, pub &'static str);

/// See [`Ratio::read`].
pub const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
/// See [`Ratio::read`].
pub const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";

impl Ratio {
    /// By the values of [`SAMPLER`] and [`SAMPLER_ARG`]. Notifications have no parents, so `parentbased_` changes nothing.
    pub fn read(sampler: Option<&str>, arg: Option<&str>) -> Result<Self, WrongRatio> {
        let sampler = sampler.map(|name| name.strip_prefix("parentbased_").unwrap_or(name));
        match sampler {
            Some("always_on") => return Ok(Self(1.0)),
            Some("always_off") => return Ok(Self(0.0)),
            None | Some("" | "traceidratio") => {}
            Some(_) => return Err(WrongRatio(SAMPLER, "must be always_on, always_off or traceidratio")),
        }
        let Some(arg) = arg.filter(|arg| !arg.is_empty()) else { return Ok(Self(1.0)) };
        let ratio = arg.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.map(Self).ok_or(WrongRatio(SAMPLER_ARG, "must be a number from 0 to 1"))
    }

    /// Whether this trace is kept. What a smaller ratio keeps, a larger one keeps too.
    #[must_use]
    pub fn keeps(self, ids: TraceIds) -> bool {
        const BITS: u32 = 63;
        let low = (ids.trace as u64) >> 1;
        self.0 >= 1.0 || low < (self.0 * (1_u64 << BITS) as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(user: &str, id: &str) -> TraceIds {
        TraceIds::of(&UserId::try_new(user).unwrap(), &NotificationId::try_new(id).unwrap())
    }

    /// While a cluster is upgraded, its nodes must still speak of the same traces.
    #[test]
    fn the_ids_of_a_trace_never_change() {
        let ids = ids("7", "first");
        assert_eq!((format!("{:032x}", ids.trace).as_str(), format!("{:016x}", ids.root).as_str()), GOLDEN);
    }

    #[test]
    fn another_user_and_another_id_are_another_trace() {
        let all = [ids("7", "first"), ids("7", "second"), ids("8", "first"), ids("7f", "irst")];
        for (index, one) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other.trace != one.trace && other.root != one.root));
        }
    }

    #[test]
    fn a_ratio_keeps_its_share_and_what_smaller_ones_keep() {
        let read = |arg| Ratio::read(Some("traceidratio"), Some(arg)).unwrap();
        let kept = |ratio: Ratio| (0..4000).filter(|n| ratio.keeps(ids("7", &n.to_string()))).collect::<Vec<_>>();
        let [none, some, more, all] = ["0", "0.1", "0.25", "1"].map(|arg| kept(read(arg)));
        assert!(none.is_empty() && all.len() == 4000);
        assert!((300..500).contains(&some.len()) && (850..1150).contains(&more.len()), "{} {}", some.len(), more.len());
        assert!(some.iter().all(|n| more.contains(n)));
    }

    #[test]
    fn samplers_are_those_of_the_standard() {
        let one = Ok(Ratio(1.0));
        assert_eq!(Ratio::read(None, None), one);
        assert_eq!(Ratio::read(Some("parentbased_always_on"), Some("0.5")), one);
        assert_eq!(Ratio::read(Some("always_off"), None), Ok(Ratio(0.0)));
        assert_eq!(Ratio::read(Some("parentbased_traceidratio"), Some("0.5")), Ok(Ratio(0.5)));
        assert_eq!(Ratio::read(None, Some("0.5")), Ok(Ratio(0.5)));
        assert_eq!(Ratio::read(Some("jaeger_remote"), None).unwrap_err().0, SAMPLER);
        for wrong in ["1.5", "-0.1", "NaN", "half"] {
            assert_eq!(Ratio::read(None, Some(wrong)).unwrap_err().0, SAMPLER_ARG, "{wrong}");
        }
    }

    const GOLDEN: (&str, &str) = ("b30ea2ae33d951dd9085b02d8a6b5cee", "71cc0ff3d93bde06");
}
