//! From what was seen to the one line of a plugin and its exit code. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use super::range::Range;

/// What was seen on the whole way.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) ingests: Vec<Ingest>,
    /// What nodes say of themselves where something did not arrive.
    pub(crate) said: Vec<String>,
    /// How long was waited.
    pub(crate) waited: Duration,
}

/// A gateway and the tab that was opened there.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) name: String,
    /// How long it took to be greeted, or why it was not.
    pub(crate) opened: Result<Duration, String>,
    /// For each ingest: from sending to showing.
    pub(crate) shown: Vec<Option<Duration>>,
    /// Why the tab heard nothing any more, if it did not just take too long.
    pub(crate) ended: Option<String>,
}

/// An ingest.
#[derive(Debug)]
pub(crate) struct Ingest {
    pub(crate) name: String,
    /// How long it took to confirm, or why it did not. None: it was not asked, because no tab was open.
    pub(crate) taken: Option<Result<Duration, String>>,
}

/// Exit codes of plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// When to alert.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limits {
    pub(crate) warning: Range,
    pub(crate) critical: Range,
}

/// The line, and with `verbose` more lines behind it.
pub(crate) fn verdict(seen: &Seen, limits: &Limits, verbose: bool) -> (State, String) {
    let mut problems = broken(seen);
    let total = seen.gateways.iter().flat_map(|gateway| &gateway.shown).flatten().max().copied();
    if let Some(total) = total {
        let seconds = total.as_secs_f64();
        let exceeded = [(State::Critical, &limits.critical), (State::Warning, &limits.warning)];
        if let Some((state, range)) = exceeded.into_iter().find(|(_, range)| range.alerts(seconds)) {
            problems.push((state, format!("notify to tab {} (limit {})", millis(total), range.as_str())));
        }
    }
    let state = problems.iter().map(|(state, _)| *state).max().unwrap_or(State::Ok);
    let mut text = match total {
        _ if !problems.is_empty() => {
            problems.sort_by_key(|(state, _)| std::cmp::Reverse(*state));
            problems.into_iter().map(|(_, text)| text).chain(seen.said.iter().cloned()).collect::<Vec<_>>().join("; ")
        }
        Some(total) => format!("notify to tab {}", millis(total)),
        None => String::new(),
    };
    if state == State::Ok && seen.gateways.len() * seen.ingests.len() > 1 {
        let (ingests, gateways) = (count(seen.ingests.len(), "ingest"), count(seen.gateways.len(), "gateway"));
        let _ = write!(text, ", the slowest of {ingests} and {gateways}");
    }
    let more = if verbose { details(seen) } else { String::new() };
    (state, line(state, &text, &performance(seen, limits, total)) + &more)
}

/// One line as a plugin prints it. What stands behind a bar would be taken for performance data.
pub(crate) fn line(state: State, text: &str, performance: &str) -> String {
    let text = clean(text);
    let bar = if performance.is_empty() { "" } else { " | " };
    format!("BELLWIRE {} - {text}{bar}{performance}\n", state.word())
}

fn clean(text: &str) -> String {
    let visible = text.chars().map(|c| if c == '|' { '/' } else { c });
    visible
        .collect::<String>()
        .split(char::is_control)
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A gateway that is away cuts its users off; an ingest is only one of several that senders try.
fn broken(seen: &Seen) -> Vec<(State, String)> {
    let mut problems = Vec::new();
    let some_ingest_works = seen.ingests.iter().any(|ingest| matches!(ingest.taken, Some(Ok(_))));
    for ingest in &seen.ingests {
        if let Some(Err(why)) = &ingest.taken {
            let state = if some_ingest_works { State::Warning } else { State::Critical };
            problems.push((state, format!("ingest {} {why}", ingest.name)));
        }
    }
    for gateway in &seen.gateways {
        let name = &gateway.name;
        if let Err(why) = &gateway.opened {
            problems.push((State::Critical, format!("gateway {name} {why}")));
            continue;
        }
        let taken = |ingest: &&Ingest| matches!(ingest.taken, Some(Ok(_)));
        let lost = seen.ingests.iter().zip(&gateway.shown).filter(|(ingest, shown)| taken(ingest) && shown.is_none());
        let lost: Vec<&str> = lost.map(|(ingest, _)| ingest.name.as_str()).collect();
        if lost.is_empty() {
            continue;
        }
        let lost = lost.join(" and ");
        problems.push((State::Critical, match &gateway.ended {
            Some(why) => format!("gateway {name} {why}, before it showed what ingest {lost} accepted"),
            None => format!(
                "ingest {lost} accepted, but gateway {name} did not show it within {} s: between the log and the tab",
                seen.waited.as_secs()
            ),
        }));
    }
    problems
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

fn millis(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

/// `'label'=value[unit];[warn];[crit];[min];[max]`, as the guidelines have it.
fn performance(seen: &Seen, limits: &Limits, total: Option<Duration>) -> String {
    let mut items = Vec::new();
    let value = |duration: Duration| format!("{:.6}s", duration.as_secs_f64());
    if let Some(total) = total {
        let (warning, critical) = (limits.warning.as_str(), limits.critical.as_str());
        items.push(format!("total={};{warning};{critical};0", value(total)));
    }
    let slowest = |all: Vec<Duration>| all.into_iter().max();
    let opened = seen.gateways.iter().filter_map(|gateway| gateway.opened.as_ref().ok().copied()).collect();
    let taken = seen.ingests.iter().filter_map(|ingest| ingest.taken.as_ref()?.as_ref().ok().copied()).collect();
    for (label, duration) in [("accepted", slowest(taken)), ("connected", slowest(opened))] {
        items.extend(duration.map(|duration| format!("{label}={};;;0", value(duration))));
    }
    if seen.gateways.len() > 1 {
        for gateway in &seen.gateways {
            let shown = gateway.shown.iter().flatten().max();
            // Equals signs and quotes have a meaning there.
            let name: String = gateway.name.chars().map(|c| if "='\"|".contains(c) { '_' } else { c }).collect();
            items.extend(shown.map(|shown| format!("'total {name}'={};;;0", value(*shown))));
        }
    }
    items.join(" ")
}

fn details(seen: &Seen) -> String {
    let mut text = String::new();
    for gateway in &seen.gateways {
        let said = match &gateway.opened {
            Ok(duration) => format!("greeted a tab after {}", millis(*duration)),
            Err(why) => why.clone(),
        };
        let _ = writeln!(text, "gateway {} {}", gateway.name, clean(&said));
    }
    for (number, ingest) in seen.ingests.iter().enumerate() {
        let said = match &ingest.taken {
            Some(Ok(duration)) => format!("accepted after {}", millis(*duration)),
            Some(Err(why)) => why.clone(),
            None => "was not asked, because no tab is open".to_owned(),
        };
        let _ = writeln!(text, "ingest {} {}", ingest.name, clean(&said));
        for gateway in &seen.gateways {
            if let Some(shown) = gateway.shown.get(number).copied().flatten() {
                let _ = writeln!(text, "  shown by gateway {} {} after it was sent", gateway.name, millis(shown));
            }
        }
    }
    for said in &seen.said {
        let _ = writeln!(text, "{}", clean(said));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn limits() -> Limits {
        Limits { warning: Range::parse("1").unwrap(), critical: Range::parse("5").unwrap() }
    }

    fn gateway(name: &str, shown: &[Option<u64>]) -> Gateway {
        let shown = shown.iter().map(|shown| shown.map(MS)).collect();
        Gateway { name: name.into(), opened: Ok(MS(3)), shown, ended: None }
    }

    fn ingest(name: &str, taken: Result<u64, &str>) -> Ingest {
        Ingest { name: name.into(), taken: Some(taken.map(MS).map_err(str::to_owned)) }
    }

    fn seen(gateways: Vec<Gateway>, ingests: Vec<Ingest>) -> Seen {
        Seen { gateways, ingests, said: vec![], waited: MS(10_000) }
    }

    fn said(seen: &Seen) -> (State, String) {
        verdict(seen, &limits(), false)
    }

    #[test]
    fn all_is_well() {
        let (state, text) = said(&seen(vec![gateway("g", &[Some(12)])], vec![ingest("i", Ok(4))]));
        assert_eq!(state, State::Ok);
        assert_eq!(
            text,
            "BELLWIRE OK - notify to tab 12 ms | total=0.012000s;1;5;0 accepted=0.004000s;;;0 connected=0.003000s;;;0\n"
        );
    }

    #[test]
    fn slow_is_worse_by_its_limit() {
        for (millis, wanted) in [(1_000, State::Ok), (1_001, State::Warning), (5_001, State::Critical)] {
            let (state, text) = said(&seen(vec![gateway("g", &[Some(millis)])], vec![ingest("i", Ok(4))]));
            assert_eq!(state, wanted, "{text}");
            assert_eq!(text.contains("limit"), wanted != State::Ok, "{text}");
        }
    }

    #[test]
    fn the_broken_hop_is_named() {
        let closed = Gateway { opened: Err("cannot be reached: refused".into()), ..gateway("g", &[None]) };
        let silent = Ingest { name: "i".into(), taken: None };
        let (state, text) = said(&seen(vec![closed], vec![silent]));
        assert_eq!((state, &*text), (State::Critical, "BELLWIRE CRITICAL - gateway g cannot be reached: refused\n"));

        let (state, text) = said(&seen(vec![gateway("g", &[None])], vec![ingest("i", Err("is not safe"))]));
        assert_eq!(state, State::Critical);
        assert!(text.starts_with("BELLWIRE CRITICAL - ingest i is not safe | connected="), "{text}");

        let lost = seen(vec![gateway("g", &[None])], vec![ingest("i", Ok(4))]);
        let (state, text) = said(&Seen { said: vec!["node x: 7 records behind".into()], ..lost });
        assert_eq!(state, State::Critical);
        assert!(text.contains("ingest i accepted, but gateway g did not show it within 10 s"), "{text}");
        assert!(text.contains("; node x: 7 records behind | "), "{text}");

        let ended = Gateway { ended: Some("ended the session with 4100 shutdown".into()), ..gateway("g", &[None]) };
        let (_, text) = said(&seen(vec![ended], vec![ingest("i", Ok(4))]));
        assert!(text.contains("gateway g ended the session with 4100 shutdown, before it showed"), "{text}");
    }

    #[test]
    fn one_of_several_ingests_is_a_warning_and_one_of_several_gateways_is_not() {
        let both = || vec![gateway("g", &[Some(9), None]), gateway("h", &[Some(11), None])];
        let (state, text) = said(&seen(both(), vec![ingest("i", Ok(4)), ingest("j", Err("is away"))]));
        assert_eq!(state, State::Warning);
        assert!(text.contains("- ingest j is away |") && text.contains("total=0.011000s"), "{text}");
        assert!(text.contains("'total g'=0.009000s;;;0 'total h'=0.011000s;;;0"), "{text}");

        let (state, text) =
            said(&seen(vec![gateway("g", &[Some(9)]), gateway("h", &[None])], vec![ingest("i", Ok(4))]));
        assert_eq!(state, State::Critical);
        assert!(text.contains("gateway h did not show it") && !text.contains("gateway g"), "{text}");
    }

    #[test]
    fn nothing_that_others_say_becomes_performance_data_or_a_second_line() {
        let (_, text) = said(&seen(vec![gateway("g", &[None])], vec![ingest("i", Err("says a|b=1\r\nc\u{1b}d"))]));
        assert!(text.contains("ingest i says a/b=1 c d | connected"), "{text}");
        assert_eq!(text.lines().count(), 1);
        let (_, text) =
            verdict(&seen(vec![gateway("g", &[None])], vec![ingest("i", Err("says a|b\nc"))]), &limits(), true);
        assert_eq!(
            text.lines().skip(1).collect::<Vec<_>>(),
            ["gateway g greeted a tab after 3 ms", "ingest i says a/b c"]
        );
    }
}
