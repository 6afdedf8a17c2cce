//! Makes rules quicker: divides their durations. Pure.

/// The text of a rules file with every duration divided: ranges and subqueries (`[15m]`, `[15m:15s]`), and `for`.
pub(crate) fn quicker(rules: &str, by: u64) -> String {
    rules.lines().map(|line| quicker_line(line, by) + "\n").collect()
}

fn quicker_line(line: &str, by: u64) -> String {
    let bare = line.trim_start();
    if bare.starts_with('#') {
        return line.to_owned();
    }
    if let Some(duration) = bare.strip_prefix("for: ") {
        return format!("{}for: {}", &line[..line.len() - bare.len()], divided(duration, by));
    }
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('[') {
        let (range, after) = after.split_once(']').unwrap_or_else(|| panic!("a range without an end: {line}"));
        let parts: Vec<String> = range.split(':').map(|part| divided(part, by)).collect();
        out += &format!("{before}[{}]", parts.join(":"));
        rest = after;
    }
    out + rest
}

/// A duration of one number and one unit, divided.
fn divided(duration: &str, by: u64) -> String {
    let digits = duration.find(|c: char| !c.is_ascii_digit()).unwrap_or(duration.len());
    let (number, unit) = duration.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => panic!("no duration: {duration:?}"),
    };
    let ms = number.parse::<u64>().unwrap_or_else(|_| panic!("no duration: {duration:?}")) * unit_ms;
    assert!(ms % by == 0 && ms > 0, "{duration} cannot be divided by {by}");
    format!("{}ms", ms / by)
}

#[cfg(test)]
mod tests {
    use super::quicker;

    #[test]
    fn ranges_and_waiting_times_are_divided() {
        let rules = "        expr: a[5m] / b{c=\"d\"}[1d] > 30\n        for: 1h\n";
        assert_eq!(
            quicker(rules, 30),
            "        expr: a[10000ms] / b{c=\"d\"}[2880000ms] > 30\n        for: 120000ms\n"
        );
    }

    #[test]
    fn both_parts_of_a_subquery_are_divided() {
        assert_eq!(quicker("min(x[15m:15s])", 30), "min(x[30000ms:500ms])\n");
    }

    #[test]
    fn thresholds_texts_and_comments_stay() {
        let rules = "# wait [5m]\nexpr: a - time() < 14 * 86400\nsummary: for 5m, for: ever\n";
        assert_eq!(quicker(rules, 30), rules);
    }

    #[test]
    #[should_panic(expected = "no duration")]
    fn what_is_no_duration_is_said() {
        quicker("a[5 minutes]", 30);
    }

    #[test]
    #[should_panic(expected = "cannot be divided")]
    fn what_would_become_nothing_is_said() {
        quicker("a[1s]", 3_000);
    }
}
