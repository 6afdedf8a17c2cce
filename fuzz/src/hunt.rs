//! The loop: make an input, try it, make the first one that fails small.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Mutator, Target};

/// How often a smaller input is tried before the smallest so far is taken.
const SHRINK_ATTEMPTS_MAX: usize = 20_000;

/// An input that breaks a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The input.
    pub input: Vec<u8>,
    /// What the target said.
    pub message: String,
}

/// Tries one input; the message of the panic if the target breaks.
pub fn attempt(target: Target, input: &[u8]) -> Result<(), String> {
    // A target keeps nothing between two inputs, so nothing can be left broken.
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|panic| message_of(panic.as_ref()))
}

/// Tries new inputs as long as `more`, which is asked with their number, says so; the first failure, made small,
/// ends it.
pub fn hunt(target: Target, mutator: &mut Mutator<'_>, mut more: impl FnMut(u64) -> bool) -> Result<u64, Failure> {
    let mut count = 0;
    while more(count) {
        let input = mutator.next_input();
        if attempt(target, &input).is_err() {
            return Err(shrink(target, input));
        }
        count += 1;
    }
    Ok(count)
}

/// Cuts out of a failing input whatever it fails without.
#[must_use]
pub fn shrink(target: Target, mut input: Vec<u8>) -> Failure {
    let mut attempts = 0;
    let mut chunk = input.len().max(1);
    while chunk > 0 {
        let mut at = 0;
        while at < input.len() && attempts < SHRINK_ATTEMPTS_MAX {
            attempts += 1;
            let end = (at + chunk).min(input.len());
            let smaller = [&input[..at], &input[end..]].concat();
            if attempt(target, &smaller).is_err() {
                input = smaller;
            } else {
                at = end;
            }
        }
        chunk /= 2;
    }
    let message = attempt(target, &input).err().unwrap_or_else(|| "does not fail every time".to_owned());
    Failure { input, message }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEAK: Target =
        Target { name: "weak", run: |input| assert!(!input.windows(2).any(|pair| pair == b"]]"), "two brackets") };

    #[test]
    fn a_weak_target_is_found_and_its_input_made_small() {
        let seeds = [b"[[1], 2, [3]]".to_vec(), b"[4]".to_vec()];
        let good = [seeds[1].clone()];
        let failure = hunt(WEAK, &mut Mutator::new(1, &good), |count| count < 100_000).unwrap_err();
        assert_eq!(failure, Failure { input: b"]]".to_vec(), message: "two brackets".to_owned() });
        assert_eq!(shrink(WEAK, seeds[0].clone()).input, b"]]");
    }

    #[test]
    fn a_sound_target_uses_up_its_time() {
        let sound = Target { name: "sound", run: |_| () };
        assert_eq!(hunt(sound, &mut Mutator::new(1, &[]), |count| count < 1000), Ok(1000));
    }
}
