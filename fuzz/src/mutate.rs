//! From one input to the next.

use fastrand::Rng;

/// Largest input, in bytes: a little more than the largest message that a tab may send.
pub const INPUT_BYTES_MAX: usize = 10_000;

const MUTATIONS_MAX: usize = 8;
const RANDOM_BYTES_MAX: usize = 256;

/// Words of the formats, and values on the edges of their types.
const WORDS: &[&str] = &[
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "0",
    "-1",
    "1.5",
    "1e400",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "\\u0000",
    "\\ud800",
    "\\\"",
    "\"key\":\"secret\"",
    "\"uuid\":\"{at:0}\"",
    "{at:1}",
    "{at:9}",
    "{other:1}",
    "{first}",
    "\"task\":\"register\"",
    "\"task\":\"keepAlive\"",
    "\"task\":\"testMessage\"",
    "\"data\":",
    "\"userId\":7",
    "\"browserUuid\":\"b1\"",
    "\"type\":\"KeepAlive\"",
    "\"type\":\"RegisterBrowserPushNotification\"",
    "\"type\":\"TestPushNotification\"",
    "\"payload\":",
    "\"clientUuid\":\"{at:2}\"",
    "\"title\":\"t\"",
    "\"icon\":\"/i.png\"",
    "\"op\":\"hello\"",
    "\"op\":\"ack\"",
    "\"op\":\"test\"",
    "\"op\":\"ping\"",
    "\"user\":\"7\"",
    "\"browser\":\"b1\"",
    "\"cursor\":\"log-0:42\"",
    "\"kind\":\"service\"",
    "\"state\":2",
    "\"session\":\"00000000000000ab-12\"",
    "\"token\":\"t\"",
    "\"say\":",
    "user=7",
    "&browser=b1",
    "&cursor=log-0%3A42",
    "\n",
    "@ 3\n",
    ">binary\n",
    ">oversize\n",
    ",",
    ":",
    "}",
    "]",
    "<",
    "&",
    "\u{2028}",
    "ä",
    "\u{1f514}",
];

/// Makes inputs: the same seed and corpus make the same ones, in the same order.
#[derive(Debug)]
pub struct Mutator<'a> {
    rng: Rng,
    seeds: &'a [Vec<u8>],
}

impl<'a> Mutator<'a> {
    /// Begins with this seed and these inputs.
    #[must_use]
    pub fn new(seed: u64, seeds: &'a [Vec<u8>]) -> Self {
        Self { rng: Rng::with_seed(seed), seeds }
    }

    /// The next input.
    #[must_use]
    pub fn next_input(&mut self) -> Vec<u8> {
        if self.seeds.is_empty() || self.rng.u8(..) < 8 {
            let length = self.rng.usize(..=RANDOM_BYTES_MAX);
            return std::iter::repeat_with(|| self.rng.u8(..)).take(length).collect();
        }
        let mut input = self.seed().to_vec();
        for _ in 0..self.rng.usize(1..=MUTATIONS_MAX) {
            self.mutate(&mut input);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn seed(&mut self) -> &'a [u8] {
        &self.seeds[self.rng.usize(..self.seeds.len())]
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let (from, to) = self.range(input.len());
        match self.rng.u8(..11) {
            0 => flip(input, from, 1 << self.rng.u8(..8)),
            1 => flip(input, from, self.rng.u8(1..)),
            2 => drop(input.drain(from..to)),
            3 => {
                let copy = input[from..to].to_vec();
                let at = self.rng.usize(..=input.len());
                input.splice(at..at, copy);
            }
            4 => {
                let word = WORDS[self.rng.usize(..WORDS.len())];
                input.splice(from..from, word.bytes());
            }
            5 => {
                let word = WORDS[self.rng.usize(..WORDS.len())];
                input.splice(from..to, word.bytes());
            }
            6 => {
                let other = self.seed();
                let (a, b) = self.range(other.len());
                input.splice(from..to, other[a..b].iter().copied());
            }
            7 => input.truncate(from),
            8 => {
                let visible = self.rng.u8(b'!'..=b'~');
                input.insert(from, visible);
            }
            9 => {
                let lines: Vec<&[u8]> = self.seed().split_inclusive(|byte| *byte == b'\n').collect();
                let line = lines.get(self.rng.usize(..lines.len().max(1))).copied().unwrap_or_default();
                let at = input[..from].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                input.splice(at..at, line.iter().copied());
            }
            _ => {
                let times = self.rng.usize(1..=64);
                let chunk = input[from..to.min(from + 64)].repeat(times);
                input.splice(from..from, chunk);
            }
        }
    }

    /// A range within `length`, mostly a short one.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let from = self.rng.usize(..=length);
        let most = if self.rng.bool() { 16 } else { length };
        (from, (from + self.rng.usize(..=most)).min(length))
    }
}

fn flip(input: &mut [u8], at: usize, bits: u8) {
    if let Some(byte) = input.get_mut(at) {
        *byte ^= bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(seed: u64) -> Vec<Vec<u8>> {
        let seeds = [b"{\"op\":\"hello\"}".to_vec(), b"[1,2,3]".to_vec()];
        let mut mutator = Mutator::new(seed, &seeds);
        std::iter::repeat_with(|| mutator.next_input()).take(500).collect()
    }

    #[test]
    fn a_seed_makes_the_same_inputs_again() {
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
    }

    #[test]
    fn inputs_differ_and_are_bounded() {
        let mut inputs = inputs(3);
        assert!(inputs.iter().all(|input| input.len() <= INPUT_BYTES_MAX));
        inputs.sort();
        inputs.dedup();
        assert!(inputs.len() > 400, "{}", inputs.len());
    }
}
