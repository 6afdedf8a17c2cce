//! Makes a failing schedule small: leaves out steps as long as the same promise is still broken.

use crate::coverage::run;
use crate::plan::Plan;

/// Runs that are spent at most.
const RUNS_MAX: usize = 600;

/// The indices of the steps that are needed to break `promise`.
#[must_use]
pub fn shrink(plan: &Plan, promise: char) -> Vec<usize> {
    let mut kept: Vec<usize> = (0..plan.steps.len()).collect();
    let mut runs = 0;
    let mut chunk = kept.len() / 2;
    while chunk > 0 && runs < RUNS_MAX {
        let mut at = 0;
        while at < kept.len() && runs < RUNS_MAX {
            let mut without = kept.clone();
            without.drain(at..(at + chunk).min(kept.len()));
            runs += 1;
            if breaks(plan, &without, promise) {
                kept = without;
            } else {
                at += chunk;
            }
        }
        chunk /= 2;
    }
    kept
}

/// The plan with only these steps.
#[must_use]
pub fn only(plan: &Plan, kept: &[usize]) -> Plan {
    let steps = kept.iter().filter_map(|&index| plan.steps.get(index).copied()).collect();
    Plan { steps, ..plan.clone() }
}

fn breaks(plan: &Plan, kept: &[usize], promise: char) -> bool {
    run(only(plan, kept)).violations.iter().any(|violation| violation.promise == promise)
}
